"""Reads what a wheel says of itself, as data and within limits; nothing of it is run.

METADATA: https://packaging.python.org/en/latest/specifications/core-metadata/.
"""

import base64
import binascii
import csv
import io
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from packaging.metadata import RawMetadata, parse_email

from edge.errors import BundleError, HostError
from edge.records.part import EmbeddedSbom, WheelFacts, WheelLibrary, WheelText

_MOST_FILES: Final = 50_000
_LARGEST_METADATA_BYTES: Final = 1 << 20
_LARGEST_RECORD_BYTES: Final = 32 << 20
_LARGEST_TEXT_BYTES: Final = 4 << 20
_LARGEST_SBOM_BYTES: Final = 8 << 20
_MOST_TEXTS: Final = 200
_MOST_SBOMS: Final = 50
# How licence files are called outside of dist-info/licenses, by their last part.
_LICENCE_NAME: Final = re.compile(
    r"(licen[cs]es?|copying|notice|third.?party.?notices?)([._-].*)?", re.IGNORECASE
)
_PROGRAM: Final = (".py", ".pyc", ".pyi", ".so")
_LIBRARY: Final = re.compile(r"[^/]+\.libs/[^/]+\.so(\.[0-9.]+)?")
_SHARED: Final = re.compile(r"\.so(\.[0-9.]+)?$")
_WEBSITES: Final = ("source", "source code", "repository", "homepage", "home")
_URL: Final = re.compile(r"https?://[A-Za-z0-9:/?#@!$&'()*+,;=._~%-]{1,500}")
_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError)


def read_wheel(path: Path) -> WheelFacts:
    """Return what the wheel at `path` says of itself.

    Raises:
        BundleError: it is no wheel, or says more than any honest one.
        HostError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _facts(archive, path.name)
    except _DAMAGE as error:
        raise _bad(path.name, str(error)) from error
    except OSError as error:
        raise HostError(error.strerror or str(error), where=path) from error


def _facts(archive: zipfile.ZipFile, wheel: str) -> WheelFacts:
    infos = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    if len(infos) > _MOST_FILES:
        raise _bad(wheel, f"it has more than {_MOST_FILES} files")
    folders = [
        n[: -len("METADATA")] for n in infos if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)
    ]
    if len(folders) != 1:
        raise _bad(wheel, "it has no METADATA, or several")
    folder = folders[0]
    raw = parse_email(_content(archive, infos[f"{folder}METADATA"], _LARGEST_METADATA_BYTES))[0]
    if "name" not in raw or "version" not in raw:
        raise _bad(wheel, "METADATA has no name and version")
    texts = sorted(name for name in infos if _is_licence(name, folder))
    sboms = sorted(name for name in infos if name.startswith(f"{folder}sboms/"))
    if len(texts) > _MOST_TEXTS or len(sboms) > _MOST_SBOMS:
        raise _bad(wheel, f"it has {len(texts)} licence files and {len(sboms)} SBOMs")
    return WheelFacts(
        name=raw["name"],
        version=raw["version"],
        licence_expression=raw.get("license_expression"),
        licence=raw.get("license"),
        classifiers=tuple(raw.get("classifiers", ())),
        requires=tuple(raw.get("requires_dist", ())),
        homepage=_website(raw),
        texts=tuple(_text(archive, infos[name]) for name in texts),
        libraries=_libraries(archive, infos, folder),
        sboms=tuple(
            EmbeddedSbom(path=n, content=_content(archive, infos[n], _LARGEST_SBOM_BYTES))
            for n in sboms
        ),
        top_folders=frozenset(name.partition("/")[0] for name in infos),
        compiled=any(_SHARED.search(n) and not _LIBRARY.fullmatch(n) for n in infos),
    )


def _bad(wheel: str, what: str) -> BundleError:
    return BundleError(f"not a sound wheel: {what}", where=wheel)


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most_bytes: int) -> bytes:
    """Return a member, of which no more than `most_bytes` is ever unpacked."""
    with archive.open(info) as member:
        content = member.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"{info.filename} is larger than {most_bytes} bytes")
    return content


def _is_licence(name: str, folder: str) -> bool:
    last = name.rpartition("/")[2]
    if name.startswith(f"{folder}licenses/"):
        return True
    return _LICENCE_NAME.fullmatch(last) is not None and not last.lower().endswith(_PROGRAM)


def _text(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> WheelText:
    content = _content(archive, info, _LARGEST_TEXT_BYTES)
    return WheelText(path=info.filename, text=content.decode("utf-8", "replace"))


def _website(raw: RawMetadata) -> str | None:
    urls = {label.lower(): url for label, url in raw.get("project_urls", {}).items()}
    found = [urls[label] for label in _WEBSITES if label in urls]
    website = (found or [raw.get("home_page", "")])[0]
    return website if _URL.fullmatch(website) else None


def _libraries(
    archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo], folder: str
) -> tuple[WheelLibrary, ...]:
    names = sorted(name for name in infos if _LIBRARY.fullmatch(name))
    record = infos.get(f"{folder}RECORD")
    digests: Mapping[str, str] = {}
    if names and record is not None:
        digests = _digests(_content(archive, record, _LARGEST_RECORD_BYTES), names)
    return tuple(
        WheelLibrary(path=n, size_bytes=infos[n].file_size, sha256=digests.get(n)) for n in names
    )


def _digests(record: bytes, names: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 in hexadecimal that RECORD gives each of those files."""
    wanted = set(names)
    found = {}
    for row in csv.reader(io.StringIO(record.decode("utf-8"))):
        if len(row) == 3 and row[0] in wanted and row[1].startswith("sha256="):
            try:
                digest = base64.urlsafe_b64decode(row[1][len("sha256=") :] + "==")
            except binascii.Error:
                continue
            if len(digest) == 32:
                found[row[0]] = digest.hex()
    return found
