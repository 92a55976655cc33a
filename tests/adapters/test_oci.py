"""The archive of an image: what stands in it, and that it is the same each time."""

import hashlib
import json
import tarfile
from pathlib import Path

import pytest
from made_images import layout_of, made_image, made_layer

from edge.errors import HostError


def test_every_blob_is_called_by_its_digest(tmp_path: Path) -> None:
    layer = made_layer(tmp_path)
    image = made_image(tmp_path / "a.oci.tar", layer)
    layout = layout_of(image, tmp_path / "layout")
    blobs = {path.name: path.read_bytes() for path in (layout / "blobs/sha256").iterdir()}
    assert len(blobs) == 3
    assert all(hashlib.sha256(data).hexdigest() == name for name, data in blobs.items())
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    (row,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    assert row["digest"] == image.digest
    assert row["platform"] == {"architecture": "amd64", "os": "linux"}
    assert image.reference == f"small:{image.digest[7:19]}"
    assert row["annotations"] == {"org.opencontainers.image.ref.name": image.reference}
    manifest = json.loads(blobs[image.digest[7:]])
    assert manifest["layers"][0]["digest"] == layer.digest
    assert manifest["annotations"] == {"a": "1", "b": "2"}
    config = json.loads(blobs[manifest["config"]["digest"][7:]])
    assert config["rootfs"] == {"type": "layers", "diff_ids": [layer.diff_id]}


def test_the_same_image_gives_the_same_bytes(tmp_path: Path) -> None:
    layer = made_layer(tmp_path)
    made_image(tmp_path / "a.tar", layer)
    made_image(tmp_path / "b.tar", layer)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as archive:
        names = archive.getnames()
        assert {(i.mtime, i.uid, i.uname) for i in archive} == {(0, 0, "")}
    assert names[:2] == ["blobs", "blobs/sha256"]
    assert names[2:] == sorted(names[2:])


def test_a_layer_that_changes_meanwhile_leaves_no_image(tmp_path: Path) -> None:
    layer = made_layer(tmp_path)
    layer.path.write_bytes(b"other")
    with pytest.raises(HostError) as caught:
        made_image(tmp_path / "a.tar", layer)
    assert str(caught.value) == f"{layer.path}: it changed while the image was written"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["layer.tar"]
