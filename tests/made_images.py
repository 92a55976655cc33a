"""Small OCI images for tests."""

import tarfile
from pathlib import Path
from typing import Any

from edge.adapters.image_layers import Entry, Layer, write_layer
from edge.adapters.oci import ImageArchive, write_archive

CONFIG: dict[str, Any] = {"architecture": "amd64", "os": "linux", "config": {"Env": ["A=b"]}}


def made_layer(folder: Path, name: str = "usr/bin/python3.11") -> Layer:
    return write_layer(folder / "layer.tar", [Entry(name=name, content=b"\x7fELF")])


def made_image(path: Path, layer: Layer, **changes: Any) -> ImageArchive:
    config = {**CONFIG, **changes}
    return write_archive(
        path, [layer], config, name="small", annotations={"b": "2", "a": "1"}, progress=_ignore
    )


def _ignore(_fraction: float) -> None:
    pass


def layout_of(image: ImageArchive, folder: Path) -> Path:
    with tarfile.open(image.path) as archive:
        archive.extractall(folder)  # Our own file.
    return folder
