"""Writing a bundle: the same bytes every time, whole or not at all, and only our own files."""

import ast
import hashlib
import os
import resource
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from small_bundle import ONNX, WHEEL, packed, small_manifest, tiny_wheel, write_small

import edge
from edge.adapters import bundle as bundle_module
from edge.adapters.bundle import write_bundle
from edge.adapters.slice import licence_text, main_file, slice_files
from edge.device.bundle import open_bundle
from edge.device.entry import HEAD_BYTES, SHEBANG
from edge.errors import BundleError, HostError
from edge.records.manifest import BundleFile, Manifest


def test_the_same_members_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one.pyz", tmp_path / "two.pyz"
    write_small(one)
    os.utime(ONNX)
    written = write_small(two, members=dict(reversed(slice_files().items())))
    assert one.read_bytes() == two.read_bytes()
    data = one.read_bytes()
    assert written.size_bytes == len(data)
    assert written.digest == hashlib.sha256(data[HEAD_BYTES:]).hexdigest()
    assert data[:HEAD_BYTES] == SHEBANG + f"# edgekit-sha256: {written.digest}\n".encode()


def test_the_archive_is_plain(tmp_path: Path) -> None:
    path = tmp_path / "one.pyz"
    written = write_small(path)
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        assert archive.comment == b""
        assert archive.read(WHEEL) == packed(tiny_wheel())
    names = [info.filename for info in infos]
    assert names == sorted(names)
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.external_attr >> 16 for info in infos} == {stat.S_IFREG | 0o644}
    assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}
    listed = [file.path for file in written.manifest.files]
    assert sorted([*listed, "manifest.json"]) == names


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "one.pyz"
    written = write_small(path)
    with open_bundle(str(path)) as bundle:
        bundle.verify_members()
        assert bundle.manifest == written.manifest
        assert bundle.digest == written.digest
        assert bundle.size_bytes == written.size_bytes


def test_it_may_be_run_by_who_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "one.pyz"
    write_small(path)
    mode = path.stat().st_mode
    assert mode & 0o111 == (mode & 0o444) >> 2 != 0


@pytest.mark.parametrize("name", ["model/my model.data", "model/../x", "model/é", "model/.x"])
def test_an_odd_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError) as caught:
        write_small(tmp_path / "one.pyz", members={name: b"x"})
    assert str(caught.value) == f"{name}: a bundle cannot hold a file of that name"
    assert caught.value.hint == "rename the file: letters, digits, and _ . + - between them"
    assert not (tmp_path / "one.pyz").exists()


def test_names_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="differs only in case"):
        write_small(tmp_path / "one.pyz", members={"model/A": b"1", "model/a": b"2"})


def test_a_member_that_is_missing_is_refused(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(BundleError) as caught:
        write_small(tmp_path / "one.pyz", members={"model/gone": gone})
    assert str(caught.value) == f"{gone}: no such file or directory"


def test_too_large_a_bundle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "LARGEST_BUNDLE_BYTES", (1 << 20) - 1)
    with pytest.raises(BundleError) as caught:
        write_small(tmp_path / "one.pyz", members={"model/data": bytes(1 << 20)})
    assert caught.value.hint == "below 1 MiB in 4096 files; take a smaller model"
    assert not (tmp_path / "one.pyz").exists()


def test_a_model_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    model = tmp_path / "digits.onnx"
    model.write_bytes(ONNX.read_bytes())
    members = {
        "model/digits.onnx": model,
        WHEEL: tiny_wheel(),
        "samples.npz": b"samples",
    }

    def changing(files: tuple[BundleFile, ...]) -> Manifest:
        model.write_bytes(b"another")
        return small_manifest(files)

    def of_another(files: tuple[BundleFile, ...]) -> Manifest:
        manifest = small_manifest(files)
        return replace(manifest, model=replace(manifest.model, sha256="0" * 64))

    out = tmp_path / "one.pyz"
    with pytest.raises(BundleError, match="it changed while it was packaged"):
        write_bundle(out, members, changing, lambda _fraction: None)
    with pytest.raises(BundleError, match="the model changed while it was packaged"):
        write_bundle(out, members, of_another, lambda _fraction: None)
    assert [path.name for path in tmp_path.glob("*.pyz*")] == []


def test_a_folder_that_is_not_there_or_not_ours(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "samples.npz").touch()
    for folder, what, hint in (
        (tmp_path / "no", "no such file or directory", "create the folder first"),
        (Path("/proc/self/fd"), "", None),
    ):
        with pytest.raises(HostError) as caught:
            write_bundle(
                folder / "x.pyz",
                {"model/digits.onnx": ONNX, WHEEL: tiny_wheel(), "samples.npz": b""},
                small_manifest,
                lambda _fraction: None,
            )
        assert caught.value.what.startswith(what)
        assert hint in (None, caught.value.hint)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "one.pyz"
    path.write_bytes(b"the old one")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(HostError) as caught:
            write_small(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value) == f"{path}: file too large"
    assert path.read_bytes() == b"the old one"
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "cache") == [
        "one.pyz",
        "samples.npz",
    ]


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_fraction: float) -> None:
        raise KeyboardInterrupt

    members = {"model/digits.onnx": ONNX, WHEEL: tiny_wheel(), "samples.npz": b""}
    with pytest.raises(KeyboardInterrupt):
        write_bundle(tmp_path / "one.pyz", members, small_manifest, interrupt)
    assert list(tmp_path.iterdir()) == []


# The device slice.


def imported(path: Path) -> set[str]:
    """The files of ours that a file imports, as paths in a bundle."""
    package = Path(edge.__file__).parent
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] != "edge":
                continue
            for length in range(1, len(parts) + 1):
                place = package.parent.joinpath(*parts[:length])
                for file in (place / "__init__.py", place.with_suffix(".py")):
                    if file.is_file():
                        found.add(file.relative_to(package.parent).as_posix())
    return found


def test_the_slice_carries_all_that_it_imports() -> None:
    files = slice_files()
    assert {f"edge/device/{name}.py" for name in ("main", "child", "worker", "samples")} <= set(
        files
    )
    for path in (*files.values(), main_file()):
        assert imported(path) <= set(files), f"{path} imports what no bundle carries"


def test_the_slice_is_small() -> None:
    # It lies in every bundle as it is, and LiteRT's for a Raspberry Pi 4 has 0.2 MB to spare. What
    # a start from the file compiles is what it imports of it.
    assert sum(path.stat().st_size for path in slice_files().values()) < 550_000


def test_the_licence_is_the_projects() -> None:
    assert b"Apache License" in licence_text()
