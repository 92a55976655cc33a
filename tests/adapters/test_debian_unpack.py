"""Debian packages unpacked as data: what lands where, and what is refused."""

import gzip
import os
import tarfile
from pathlib import Path

import pytest
from made_debs import made_ar, made_deb, made_tar, member

from edge.adapters.debian_unpack import unpack_archive
from edge.errors import BundleError

LINK = tarfile.SYMTYPE


def unpacked(tmp_path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    root = tmp_path / "root"
    unpack_archive(made_deb(tmp_path / "a.deb", *members), root)
    return root


def test_files_folders_and_modes(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        member("./", kind=tarfile.DIRTYPE),
        member("./usr/bin/", kind=tarfile.DIRTYPE),
        member("./usr/bin/tool", b"run", mode=0o4755),
        member("./etc/tool.conf", b"calm", mode=0o640),
        member("./usr/bin/same", kind=tarfile.LNKTYPE, link="./usr/bin/tool"),
        member("./dev/null", kind=tarfile.CHRTYPE),
    )
    assert (root / "usr/bin/tool").read_bytes() == b"run"
    assert (root / "usr/bin/tool").stat().st_mode & 0o7777 == 0o755
    assert (root / "etc/tool.conf").stat().st_mode & 0o777 == 0o644
    assert (root / "usr/bin/same").read_bytes() == b"run"
    assert not (root / "dev/null").exists()


def test_old_folders_are_links_into_usr(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        member("./lib/arch/ld-2.so", b"loader"),
        member("./lib/arch/ld.so.1", kind=LINK, link="ld-2.so"),
        member("./lib64/ld.so.2", kind=LINK, link="/lib/arch/ld-2.so"),
        member("./usr/lib/arch/libm.so", kind=LINK, link="/lib/arch/ld-2.so"),
        member("./lib/arch/conf", kind=LINK, link="../../etc/conf"),
    )
    assert {name: str((root / name).readlink()) for name in ("bin", "sbin", "lib", "lib64")} == {
        "bin": "usr/bin",
        "sbin": "usr/sbin",
        "lib": "usr/lib",
        "lib64": "usr/lib64",
    }
    # Relative, so that they lead to the same place with and without chroot.
    for name in ("lib/arch/ld.so.1", "lib64/ld.so.2", "usr/lib/arch/libm.so"):
        assert (root / name).resolve() == (root / "usr/lib/arch/ld-2.so").resolve()
    assert str((root / "usr/lib/arch/conf").readlink()) == "../../../etc/conf"


def test_a_second_package_replaces_files_and_keeps_folders(tmp_path: Path) -> None:
    root = unpacked(tmp_path, member("./etc/one", b"old"), member("./etc/two", b"two"))
    unpack_archive(made_deb(tmp_path / "b.deb", member("./etc/one", b"new")), root)
    assert sorted(path.name for path in (root / "etc").iterdir()) == ["one", "two"]
    assert (root / "etc/one").read_bytes() == b"new"


def test_other_compressions(tmp_path: Path) -> None:
    data = made_tar([member("./etc/a", b"a")])
    for name, packed in {"data.tar": data, "data.tar.gz": gzip.compress(data)}.items():
        path = tmp_path / "c.deb"
        path.write_bytes(made_ar({"debian-binary": b"2.0\n", name: packed}))
        unpack_archive(path, tmp_path / name)
        assert (tmp_path / name / "etc/a").read_bytes() == b"a"


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ([member("/etc/passwd", b"x")], "a file has an odd name: /etc/passwd"),
        ([member("./../up", b"x")], "a file has an odd name: ./../up"),
        ([member("./a\nb", b"x")], "a file has an odd name: ./a\\nb"),
        ([member("./l", kind=LINK, link="../../out")], "the link ./l leaves the root"),
        (
            [member("./l", kind=LINK, link="etc"), member("./l/passwd", b"x")],
            "l/passwd lies behind a link",
        ),
        (
            [member("./h", kind=tarfile.LNKTYPE, link="./nothing")],
            "a link to nothing, which is no file of it",
        ),
    ],
)
def test_what_would_leave_the_folder_is_refused(
    members: list[tuple[tarfile.TarInfo, bytes]], what: str, tmp_path: Path
) -> None:
    with pytest.raises(BundleError) as caught:
        unpacked(tmp_path, *members)
    assert str(caught.value) == f"a.deb: not a sound Debian package: {what}"


def test_no_link_is_followed_when_a_file_is_replaced(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/conf").symlink_to(outside)
    unpack_archive(made_deb(tmp_path / "a.deb", member("./etc/conf", b"theirs")), root)
    assert outside.read_bytes() == b"mine"
    assert (root / "etc/conf").read_bytes() == b"theirs"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "it is no ar archive"),
        (b"!<arch>\n", "it has no data.tar"),
        (
            made_ar({"data.tar.zst": b"x"}),
            "data.tar.zst is compressed in a way that no release of Debian uses",
        ),
        (
            b"!<arch>\n" + b"data.tar.xz".ljust(60),
            "invalid literal for int() with base 10: b'          '",
        ),
    ],
)
def test_what_is_no_package_is_refused(data: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / "a.deb"
    path.write_bytes(data)
    with pytest.raises(BundleError) as caught:
        unpack_archive(path, tmp_path / "root")
    assert str(caught.value) == f"a.deb: not a sound Debian package: {what}"


def test_a_package_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    path = made_deb(tmp_path / "a.deb", member("./etc/a", os.urandom(5000)))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(BundleError, match="not a sound Debian package"):
        unpack_archive(path, tmp_path / "root")
