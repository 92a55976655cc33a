"""What `package` need not do again, and everything that makes it do it again."""

from pathlib import Path
from typing import Any

import pytest

from edge.adapters.bundle import WrittenBundle
from edge.errors import ModelError
from edge.records.manifest import BundleFile, BundleModel, BundleSamples, Manifest
from edge.records.measurement import SessionConfig
from edge.workflows import builds
from edge.workflows.builds import build_key, read_sources, remember, unchanged

KEY = "0" * 64
DIGEST = "1" * 64


def manifest() -> Manifest:
    return Manifest(
        name="m-rpi4",
        sequence=0,
        edgekit_version="0",
        target="rpi4",
        architecture="aarch64",
        python="3.11",
        glibc="2.28",
        libstdcxx=None,
        cpu_features=(),
        apt_packages=(),
        runtime="onnxruntime",
        runtime_version="1.32.0",
        session=SessionConfig("onnxruntime", 4),
        model=BundleModel(
            name="m.onnx",
            format="onnx",
            precision="fp32",
            path="model/m.onnx",
            sha256=DIGEST,
            size_bytes=1,
            peak_activation_bytes=None,
            inputs=(),
            outputs=(),
            licence=None,
            source=None,
            accuracy=None,
        ),
        wheels=(),
        samples=BundleSamples("samples.npz", 1, "close", 0.0, 0.0, "this test"),
        files=(BundleFile("model/m.onnx", 1, DIGEST), BundleFile("samples.npz", 1, DIGEST)),
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"model")
    return path


@pytest.fixture
def bundle(tmp_path: Path, model: Path) -> WrittenBundle:
    """A bundle that lies there and is remembered."""
    path = tmp_path / "m-rpi4.pyz"
    path.write_bytes(b"bundle")
    written = WrittenBundle(
        path=path, manifest=manifest(), digest=DIGEST, size_bytes=6, key_id="a" * 64
    )
    remember(KEY, written, read_sources([model]))
    return written


def key(model: str | None = None, target: str = "rpi4", **changes: Any) -> str:
    inputs = changes.pop("inputs", None)
    return build_key(model, target, inputs=inputs, options={"threads": None, **changes})


def test_what_was_built_is_found(bundle: WrittenBundle) -> None:
    assert unchanged(KEY, bundle.path) == bundle


def test_without_a_name_it_is_the_one_that_the_build_chose(
    bundle: WrittenBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert unchanged(KEY, None) is None
    monkeypatch.chdir(bundle.path.parent)
    found = unchanged(KEY, None)
    assert found is not None
    assert found.path == Path("m-rpi4.pyz")


def test_another_build_is_not_found(bundle: WrittenBundle) -> None:
    assert unchanged("2" * 64, bundle.path) is None


@pytest.mark.parametrize("content", [b"bundlE", b"bundle and more", b""])
def test_a_changed_bundle_is_built_again(bundle: WrittenBundle, content: bytes) -> None:
    bundle.path.write_bytes(content)
    assert unchanged(KEY, bundle.path) is None


def test_a_missing_bundle_is_built_again(bundle: WrittenBundle) -> None:
    bundle.path.unlink()
    assert unchanged(KEY, bundle.path) is None


def test_a_changed_or_missing_model_is_packaged_again(bundle: WrittenBundle, model: Path) -> None:
    model.write_bytes(b"Model")
    assert unchanged(KEY, bundle.path) is None
    model.unlink()
    assert unchanged(KEY, bundle.path) is None


def test_a_model_that_became_a_link_is_looked_at_again(bundle: WrittenBundle, model: Path) -> None:
    model.rename(model.with_suffix(".moved"))
    model.symlink_to(model.with_suffix(".moved"))
    assert unchanged(KEY, bundle.path) is None


def test_files_beside_the_bundle_count(bundle: WrittenBundle) -> None:
    beside = bundle.path.with_suffix(".yaml")
    beside.write_text("a: 1\n")
    remember(KEY, bundle, (), [beside])
    assert unchanged(KEY, bundle.path) == bundle
    beside.write_text("a: 2\n")
    assert unchanged(KEY, bundle.path) is None


@pytest.mark.parametrize("content", ["", "{", "{}", '{"digest": 1}', "[]"])
def test_a_damaged_memory_is_none(bundle: WrittenBundle, content: str) -> None:
    builds._place(KEY).write_text(content)
    assert unchanged(KEY, bundle.path) is None


def test_a_missing_source_is_an_error_and_nothing_is_remembered(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx: no such file or directory"):
        read_sources([tmp_path / "none.onnx"])


def test_the_same_question_has_the_same_key() -> None:
    assert key() == key()
    assert key("digits-cnn") == key("digits-cnn")


@pytest.mark.parametrize(
    "other",
    [
        {"model": "digits-cnn"},
        {"model": "digits-cnn:digits-cnn-int8.onnx"},
        {"target": "rpi"},
        {"target": "host"},
        {"threads": 1},
        {"shapes": {"input": (1, 3, 224, 224)}},
        {"runtime": "onnxruntime"},
        {"signing_key": "a" * 64},
    ],
)
def test_another_question_has_another_key(other: dict[str, Any]) -> None:
    assert key(**other) != key()


def test_one_file_has_one_key_however_it_is_named(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    assert key("m.onnx") == key(str(model))
    other = model.parent / "other"
    other.mkdir()
    (other / "m.onnx").write_bytes(model.read_bytes())
    # What lies beside it, external data for one, may differ.
    assert key("other/m.onnx") != key("m.onnx")


def test_a_target_file_counts_with_its_content(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("name = 'own'\n")
    before = key(target=str(file))
    file.write_text("name = 'owN'\n")
    assert key(target=str(file)) != before


def test_inputs_count_with_their_content(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"a")
    before = key(inputs=folder)
    assert before == key(inputs=folder) != key()
    (folder / "b.png").write_bytes(b"b")
    with_two = key(inputs=folder)
    (folder / "b.png").write_bytes(b"B")
    assert len({before, with_two, key(inputs=folder)}) == 3
    single = key(inputs=folder / "a.png")
    (folder / "a.png").write_bytes(b"A")
    assert key(inputs=folder / "a.png") != single


def test_missing_inputs_and_targets_are_left_to_the_build(tmp_path: Path) -> None:
    assert key(inputs=tmp_path / "none") == key(inputs=tmp_path / "none")
    assert key(target=str(tmp_path / "none.toml"))


@pytest.mark.parametrize("changed", ["own_digest", "installed_distributions", "machine_facts"])
def test_another_edgekit_runtime_or_machine_has_another_key(
    changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key()
    monkeypatch.setattr(builds, changed, lambda **_: ["changed"])
    assert key() != before
