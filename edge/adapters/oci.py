"""Writes an OCI image layout as one tar file; the same layers and settings give the same bytes.

https://github.com/opencontainers/image-spec, version 1.0: no daemon and no registry is asked.
"""

import hashlib
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.adapters.files import whole_file
from edge.adapters.image_layers import Entry, Layer, add_entry, digest_of
from edge.errors import HostError

Progress = Callable[[float], None]

CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
REFERENCE: Final = "org.opencontainers.image.ref.name"
_LAYOUT: Final = {"imageLayoutVersion": "1.0.0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageArchive:
    """An image on disk: `digest` is that of its manifest, by which registries know it."""

    path: Path
    digest: str
    reference: str
    size_bytes: int
    layers: tuple[str, ...]


def write_archive(
    path: Path,
    layers: Sequence[Layer],
    config: Mapping[str, Any],
    *,
    name: str,
    annotations: Mapping[str, str],
    progress: Progress,
) -> ImageArchive:
    """Write the archive of an image called `name`; its tag is the start of its own digest.

    `config` is the image's configuration but for its `rootfs`, which comes from the layers.

    Raises:
        HostError: it cannot be written, or a layer changed meanwhile; nothing is left of it then.
    """
    rootfs = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
    config_bytes = _document({**config, "rootfs": rootfs})
    manifest_bytes = _document(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(CONFIG_TYPE, config_bytes),
            "layers": [
                {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size_bytes}
                for layer in layers
            ],
            "annotations": dict(sorted(annotations.items())),
        }
    )
    described = _descriptor(MANIFEST_TYPE, manifest_bytes)
    digest = str(described["digest"])
    reference = f"{name}:{digest.partition(':')[2][:12]}"
    platform = {key: config[key] for key in ("architecture", "os", "variant") if key in config}
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [{**described, "annotations": {REFERENCE: reference}, "platform": platform}],
    }
    blobs: dict[str, Path | bytes] = {layer.digest: layer.path for layer in layers}
    blobs |= {_digest(data): data for data in (config_bytes, manifest_bytes)}
    entries = {f"blobs/sha256/{known.partition(':')[2]}": blobs[known] for known in blobs}
    entries |= {"index.json": _document(index), "oci-layout": _document(_LAYOUT)}
    with whole_file(path) as staged:
        with tarfile.open(staged, "w") as archive:
            for folder in ("blobs", "blobs/sha256"):
                add_entry(archive, Entry(name=folder))
            for number, member in enumerate(sorted(entries)):
                add_entry(archive, Entry(name=member, content=entries[member], mode=0o644))
                progress((number + 1) / len(entries))
        _require_unchanged(layers)
        size_bytes = staged.stat().st_size
    return ImageArchive(
        path=path,
        digest=digest,
        reference=reference,
        size_bytes=size_bytes,
        layers=tuple(layer.digest for layer in layers),
    )


def _document(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}


def _require_unchanged(layers: Sequence[Layer]) -> None:
    """Hold every blob to its digest once more: a base's are somebody else's files."""
    for layer in layers:
        if digest_of(layer.path) != (layer.digest, layer.size_bytes):
            raise HostError("it changed while the image was written", where=layer.path)
