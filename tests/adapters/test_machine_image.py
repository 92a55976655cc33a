"""The archive that an emulated machine's kernel starts from."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.adapters.machine_image import ArchiveFile, cpio_archive, disk_bytes, initramfs

_NAMES = st.from_regex(r"[a-z][a-z0-9_.]{0,30}", fullmatch=True)
_FILES = st.lists(
    st.builds(
        ArchiveFile,
        name=_NAMES,
        content=st.none() | st.binary(max_size=70),
        executable=st.booleans(),
    ),
    max_size=6,
)


def entries(archive: bytes) -> list[tuple[str, int, bytes]]:
    """Read an archive as the kernel does: name, mode and content, up to the trailer."""
    found, place = [], 0
    while True:
        assert place % 4 == 0
        assert archive[place : place + 6] == b"070701"
        fields = [int(archive[place + 6 + 8 * n : place + 14 + 8 * n], 16) for n in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        start = place + 110
        assert archive[start + length - 1] == 0
        name = archive[start : start + length - 1].decode()
        start += length
        start += -start % 4
        content = archive[start : start + size]
        assert len(content) == size
        place = start + size + -size % 4
        if name == "TRAILER!!!":
            assert place == len(archive)
            return found
        found.append((name, mode, content))


@given(_FILES)
def test_an_archive_is_read_back(files: list[ArchiveFile]) -> None:
    expected = []
    for file in files:
        mode = 0o100755 if file.executable else 0o100644
        kind = 0o040755 if file.content is None else mode
        expected.append((file.name, kind, file.content or b""))
    assert entries(cpio_archive(files)) == expected


def test_an_archive_is_written_to_the_byte() -> None:
    head = b"070701" + b"00000001000081A4" + b"00000000" * 2 + b"00000001" + b"00000000"
    head += b"00000002" + b"00000000" * 4 + b"00000002" + b"00000000" + b"a\0"
    assert cpio_archive([ArchiveFile(name="a", content=b"hi")])[:116] == head + b"hi\0\0"


def test_the_same_files_give_the_same_compressed_bytes() -> None:
    files = [ArchiveFile(name="init", content=b"#!", executable=True)]
    assert initramfs(files) == initramfs(files)
    assert entries(gzip.decompress(initramfs(files))) == [("init", 0o100755, b"#!")]


@pytest.mark.parametrize(("root", "bundle"), [(0, 0), (55 << 20, 18 << 20)])
def test_a_disk_has_room_for_what_a_bundle_unpacks(root: int, bundle: int) -> None:
    assert disk_bytes(root, bundle) - root - bundle >= (256 << 20) + 7 * bundle
