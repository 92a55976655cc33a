"""An OCI image layout, as a folder or a tar file, as the base of an image: its layers as they are."""

import json
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from edge.adapters.files import host_error
from edge.adapters.image_layers import Layer, digest_of
from edge.adapters.oci import INDEX_TYPE
from edge.errors import BundleError, printable

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_LARGEST_DOCUMENT_BYTES: Final = 4 << 20
_LARGEST_BLOB_BYTES: Final = 8 << 30
_READABLE: Final = ("tar", "tar+gzip", "tar.gzip")
_DEEPEST_INDEX: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    """What a base brings: its layers, its environment, and the Python in it ("/usr/bin/python3.11")."""

    layers: tuple[Layer, ...]
    environment: tuple[str, ...]
    python: str


def load_base(base: Path, scratch: Path, *, architecture: str, python: str) -> BaseImage:
    """Read a base for an architecture ("amd64") that has Python `python` ("3.11").

    Blobs of a tar file are written into `scratch`; each is checked against its digest.

    Raises:
        BundleError: it is no image layout, not for this architecture, or has no such Python.
        HostError: it cannot be read, or `scratch` cannot be written.
    """
    try:
        layout = _unpacked(base, scratch) if base.is_file() else base
        return _read(layout, architecture, python)
    except OSError as error:
        raise host_error(error, base) from error
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _bad(base, str(error)) from error


def _bad(base: Path, what: str) -> BundleError:
    hint = "--base takes an OCI image layout: skopeo copy docker://IMAGE oci-archive:FILE"
    return BundleError(f"not a base image: {printable(what)}", where=base, hint=hint)


def _unpacked(base: Path, scratch: Path) -> Path:
    """Write the layout's own files of a tar into `scratch`; a blob's name is its digest."""
    left = _LARGEST_BLOB_BYTES
    with tarfile.open(base, "r:*") as archive:
        for info in archive:
            name = str(PurePosixPath(info.name))
            parts = PurePosixPath(name).parts
            is_blob = parts[:-1] == ("blobs", "sha256") and _DIGEST.fullmatch(f"sha256:{parts[-1]}")
            if not info.isreg() or not (is_blob or name in ("index.json", "oci-layout")):
                continue
            left -= info.size
            if left < 0:
                raise _bad(base, "it unpacks to too much")
            place = scratch.joinpath(*parts)
            place.parent.mkdir(parents=True, exist_ok=True)
            content = archive.extractfile(info)
            assert content is not None
            with place.open("wb") as target:
                while block := content.read(1 << 20):
                    target.write(block)
    return scratch


def _read(layout: Path, architecture: str, python: str) -> BaseImage:
    manifest = _manifest(layout, architecture)
    try:
        config = _blob_document(layout, manifest["config"]["digest"])
        told = {str(config["architecture"]), str(config["os"])}
        diff_ids = config["rootfs"]["diff_ids"]
        rows = [(row["mediaType"], row["digest"]) for row in manifest["layers"]]
        environment = tuple(config.get("config", {}).get("Env") or ())
    except (KeyError, TypeError, AttributeError) as error:
        raise _bad(layout, f"{error} is missing in its documents") from error
    if told != {architecture, "linux"}:
        what = f"it is for {' '.join(sorted(told))}, and the target is linux {architecture}"
        raise _bad(layout, what)
    if len(rows) != len(diff_ids):
        raise _bad(layout, "it has another number of layers than it says")
    layers = []
    for (media_type, digest), diff_id in zip(rows, diff_ids, strict=True):
        path = _blob(layout, digest)
        found, size_bytes = digest_of(path)
        if found != digest:
            raise _bad(layout, f"the blob {digest} is damaged")
        layers.append(
            Layer(
                path=path,
                digest=digest,
                diff_id=diff_id,
                size_bytes=size_bytes,
                media_type=media_type,
            )
        )
    where = _find_python(layers, layout, f"python{python}")
    return BaseImage(layers=tuple(layers), environment=environment, python=where)


def _manifest(layout: Path, architecture: str) -> Mapping[str, Any]:
    """Return the manifest for the architecture, through indexes of indexes."""
    path = layout / "index.json"
    if not path.is_file():
        raise _bad(layout, "it has no index.json")
    document = _document(path, layout)
    for _ in range(_DEEPEST_INDEX):
        try:
            if "manifests" not in document:
                return document
            fitting = [
                row
                for row in document["manifests"]
                if (row.get("platform") or {}).get("architecture") in (None, architecture)
            ]
            if len(fitting) != 1:
                what = f"it has {len(fitting)} images for {architecture}, and one is needed"
                raise _bad(layout, what)
            document = _blob_document(layout, fitting[0]["digest"])
        except (KeyError, TypeError, AttributeError) as error:
            raise _bad(layout, f"{error} is missing in an index") from error
    raise _bad(layout, f"more than {_DEEPEST_INDEX} {INDEX_TYPE} in each other")


def _blob(layout: Path, digest: object) -> Path:
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise _bad(layout, f"no digest of a known kind: {digest}")
    path = layout / "blobs" / "sha256" / digest.partition(":")[2]
    if path.is_symlink() or not path.is_file():
        raise _bad(layout, f"the blob {digest} is missing")
    return path


def _blob_document(layout: Path, digest: object) -> Mapping[str, Any]:
    path = _blob(layout, digest)
    if path.stat().st_size > _LARGEST_DOCUMENT_BYTES or digest_of(path)[0] != digest:
        raise _bad(layout, f"the document {digest} is damaged")
    return _document(path, layout)


def _document(path: Path, layout: Path) -> Mapping[str, Any]:
    if path.stat().st_size > _LARGEST_DOCUMENT_BYTES:
        raise _bad(layout, f"{path.name} is too large")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _bad(layout, f"{path.name}: {error}") from error
    if not isinstance(document, dict):
        raise _bad(layout, f"{path.name} is no JSON object")
    return document


def _find_python(layers: list[Layer], layout: Path, program: str) -> str:
    """Return the path of the Python in the layers, the usual places in the usual order."""
    names: set[str] = set()
    for layer in layers:
        if not layer.media_type.endswith(_READABLE):
            raise _bad(
                layout, f"a layer is compressed in another way than gzip: {layer.media_type}"
            )
        with tarfile.open(layer.path, "r:*") as archive:
            names.update(str(PurePosixPath("/") / info.name) for info in archive)
    for folder in ("/usr/local/bin", "/usr/bin"):
        if f"{folder}/{program}" in names:
            return f"{folder}/{program}"
    raise _bad(layout, f"it has no {program} in /usr/local/bin or /usr/bin")
