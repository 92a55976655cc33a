"""A base image that is given: taken as it is, or refused with the reason."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from made_images import layout_of, made_image, made_layer

from edge.adapters.image_base import BaseImage, load_base
from edge.errors import BundleError


def loaded(base: Path, tmp_path: Path, *, architecture: str = "amd64") -> BaseImage:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return load_base(base, scratch, architecture=architecture, python="3.11")


@pytest.mark.parametrize("as_folder", [True, False])
def test_the_layers_are_taken_as_they_are(*, as_folder: bool, tmp_path: Path) -> None:
    layer = made_layer(tmp_path)
    image = made_image(tmp_path / "base.tar", layer)
    base = loaded(layout_of(image, tmp_path / "f") if as_folder else image.path, tmp_path)
    assert [found.digest for found in base.layers] == [layer.digest]
    assert base.layers[0].path.read_bytes() == layer.path.read_bytes()
    assert base.environment == ("A=b",)
    assert base.python == "/usr/bin/python3.11"


def test_a_python_of_its_own_goes_before_the_systems(tmp_path: Path) -> None:
    image = made_image(tmp_path / "base.tar", made_layer(tmp_path, "usr/local/bin/python3.11"))
    assert loaded(image.path, tmp_path).python == "/usr/local/bin/python3.11"


def test_a_base_without_that_python(tmp_path: Path) -> None:
    image = made_image(tmp_path / "base.tar", made_layer(tmp_path, "usr/bin/python3.9"))
    with pytest.raises(BundleError, match=r"it has no python3\.11 in /usr/local/bin or /usr/bin"):
        loaded(image.path, tmp_path)


def test_a_base_for_another_architecture(tmp_path: Path) -> None:
    image = made_image(tmp_path / "base.tar", made_layer(tmp_path))
    with pytest.raises(BundleError) as caught:
        loaded(image.path, tmp_path, architecture="arm64")
    assert caught.value.what == ("not a base image: it has 0 images for arm64, and one is needed")
    assert caught.value.hint == (
        "--base takes an OCI image layout: skopeo copy docker://IMAGE oci-archive:FILE"
    )


def altered(layout: Path, change: str, layer_digest: str) -> None:
    index = json.loads((layout / "index.json").read_bytes())
    blobs = layout / "blobs/sha256"
    if change == "no index":
        (layout / "index.json").unlink()
    elif change == "no JSON":
        (layout / "index.json").write_text("{")
    elif change == "a list":
        (layout / "index.json").write_text("[]")
    elif change == "a digest that is a path":
        index["manifests"][0]["digest"] = "sha256:../../../etc/passwd"
        (layout / "index.json").write_text(json.dumps(index))
    elif change == "no digest":
        del index["manifests"][0]["digest"]
        (layout / "index.json").write_text(json.dumps(index))
    elif change == "another layer":
        (blobs / layer_digest[7:]).write_bytes(b"other")
    elif change == "a layer that is a link":
        place = blobs / layer_digest[7:]
        shutil.move(place, layout / "moved")
        place.symlink_to(layout / "moved")
    else:
        manifest = blobs / index["manifests"][0]["digest"][7:]
        manifest.write_bytes(manifest.read_bytes() + b" ")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("no index", "it has no index.json"),
        ("no JSON", "index.json: Expecting property name enclosed in double quotes"),
        ("a list", "index.json is no JSON object"),
        ("a digest that is a path", "no digest of a known kind: sha256:../../../etc/passwd"),
        ("no digest", "'digest' is missing in an index"),
        ("another layer", "is damaged"),
        ("a layer that is a link", "is missing"),
        ("another manifest", "is damaged"),
    ],
)
def test_a_damaged_or_hostile_layout_is_refused(change: str, what: str, tmp_path: Path) -> None:
    layer = made_layer(tmp_path)
    layout = layout_of(made_image(tmp_path / "base.tar", layer), tmp_path / "layout")
    altered(layout, change, layer.digest)
    with pytest.raises(BundleError) as caught:
        loaded(layout, tmp_path)
    assert what in caught.value.what


@pytest.mark.parametrize("change", [{"architecture": "arm64"}, {"os": "windows"}])
def test_the_configuration_has_the_last_word(change: dict[str, Any], tmp_path: Path) -> None:
    layer = made_layer(tmp_path)
    layout = layout_of(made_image(tmp_path / "base.tar", layer, **change), tmp_path / "layout")
    index = json.loads((layout / "index.json").read_bytes())
    del index["manifests"][0]["platform"]
    (layout / "index.json").write_text(json.dumps(index))
    with pytest.raises(BundleError, match="and the target is linux amd64"):
        loaded(layout, tmp_path)


def test_what_is_no_archive_at_all(tmp_path: Path) -> None:
    path = tmp_path / "base.tar"
    path.write_bytes(b"no tar at all" * 100)
    with pytest.raises(BundleError, match="not a base image"):
        loaded(path, tmp_path)
