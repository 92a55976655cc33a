"""What is read of a wheel, and what is refused of one that says too much."""

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge.adapters.wheel_metadata import read_wheel
from edge.errors import BundleError, HostError
from edge.records.part import EmbeddedSbom, WheelFacts, WheelLibrary, WheelText

METADATA = b"""\
Metadata-Version: 2.4
Name: tiny
Version: 1.0
License-Expression: MIT
Classifier: Programming Language :: Python :: 3
Requires-Dist: numpy>=2
Requires-Dist: sympy; extra == "all"
Project-URL: Homepage, https://example.org/
Project-URL: Source, https://example.org/tiny.git

Long text.
"""
INFO = "tiny-1.0.dist-info"


def wheel(folder: Path, files: Mapping[str, bytes]) -> Path:
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_everything_is_read(tmp_path: Path) -> None:
    library = b"\x7fELF"
    digest = hashlib.sha256(library).digest()
    told = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    path = wheel(
        tmp_path,
        {
            "tiny/__init__.py": b"",
            "tiny/native.so": b"",
            "tiny/NOTICE": b"a notice",
            "tiny/licenses/licence.py": b"",
            "tiny.libs/libthing-01234567.so.5.0.0": library,
            "tiny.libs/libother-01234567.so": library,
            f"{INFO}/METADATA": METADATA,
            f"{INFO}/licenses/LICENSE": b"text \xff",
            f"{INFO}/sboms/all.cdx.json": b"{}",
            f"{INFO}/RECORD": (
                f"tiny.libs/libthing-01234567.so.5.0.0,sha256={told},4\n"
                "tiny.libs/libother-01234567.so,sha256=nonsense,4\n"
            ).encode(),
        },
    )
    assert read_wheel(path) == WheelFacts(
        name="tiny",
        version="1.0",
        licence_expression="MIT",
        licence=None,
        classifiers=("Programming Language :: Python :: 3",),
        requires=("numpy>=2", 'sympy; extra == "all"'),
        homepage="https://example.org/tiny.git",
        texts=(
            WheelText(path=f"{INFO}/licenses/LICENSE", text="text \ufffd"),
            WheelText(path="tiny/NOTICE", text="a notice"),
        ),
        libraries=(
            WheelLibrary(path="tiny.libs/libother-01234567.so", size_bytes=4, sha256=None),
            WheelLibrary(
                path="tiny.libs/libthing-01234567.so.5.0.0", size_bytes=4, sha256=digest.hex()
            ),
        ),
        sboms=(EmbeddedSbom(path=f"{INFO}/sboms/all.cdx.json", content=b"{}"),),
        top_folders=frozenset({"tiny", "tiny.libs", INFO}),
        compiled=True,
    )


def test_an_address_that_is_none_is_left_out(tmp_path: Path) -> None:
    metadata = b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\nHome-page: javascript:alert(1)\n"
    facts = read_wheel(wheel(tmp_path, {f"{INFO}/METADATA": metadata}))
    assert facts.homepage is None
    assert not facts.compiled


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "it has no METADATA, or several"),
        (
            {f"{INFO}/METADATA": METADATA, "other-1.0.dist-info/METADATA": METADATA},
            "it has no METADATA, or several",
        ),
        ({f"{INFO}/METADATA": b"Name: tiny\n"}, "METADATA has no name and version"),
        (
            {f"{INFO}/METADATA": METADATA + b"x" * (1 << 20)},
            f"{INFO}/METADATA is larger than 1048576 bytes",
        ),
        (
            {f"{INFO}/METADATA": METADATA, f"{INFO}/LICENSE": b"x" * ((4 << 20) + 1)},
            f"{INFO}/LICENSE is larger than 4194304 bytes",
        ),
        (
            {
                f"{INFO}/METADATA": METADATA,
                **{f"{INFO}/licenses/{number}": b"" for number in range(201)},
            },
            "it has 201 licence files and 0 SBOMs",
        ),
        (
            {f"{INFO}/METADATA": METADATA, **{f"x/{number}": b"" for number in range(50_000)}},
            "it has more than 50000 files",
        ),
    ],
    ids=["none", "two", "nameless", "long-metadata", "long-text", "texts", "files"],
)
def test_what_no_honest_wheel_has_is_refused(
    tmp_path: Path, files: Mapping[str, bytes], reason: str
) -> None:
    with pytest.raises(BundleError) as caught:
        read_wheel(wheel(tmp_path, files))
    assert str(caught.value) == f"tiny-1.0-py3-none-any.whl: not a sound wheel: {reason}"


def test_a_damaged_or_absent_wheel_is_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path, {f"{INFO}/METADATA": METADATA})
    content = path.read_bytes()
    damaged = io.BytesIO(content)
    damaged.seek(content.index(b"METADATA") + 10)
    damaged.write(b"\xff" * 20)
    path.write_bytes(damaged.getvalue())
    with pytest.raises(BundleError, match="not a sound wheel"):
        read_wheel(path)
    path.write_bytes(b"no zip at all")
    with pytest.raises(BundleError, match="not a sound wheel: File is not a zip file"):
        read_wheel(path)
    path.unlink()
    with pytest.raises(HostError, match="No such file or directory"):
        read_wheel(path)
