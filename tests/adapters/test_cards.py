"""Every card in models/ is whole, and a wrong one is refused with its key."""

import sys
from pathlib import Path

import pytest
from packaging.utils import parse_wheel_filename

from edge.adapters.cards import card_names, load_card, load_card_file, load_cards
from edge.adapters.data import data_folder
from edge.adapters.package_archive import wheel_options
from edge.adapters.registry import sha256_of
from edge.errors import ConfigError, ModelError
from edge.recipes import load_recipe, recipe_names
from edge.records.card import ModelCard
from edge.records.codec import from_dict, to_dict

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent.parent
# What a card of this kind must have beside its model, to be of use.
PREPROCESSED = {"image-classification", "detection", "segmentation", "pose", "ocr", "text", "audio"}


@pytest.mark.parametrize("name", card_names())
def test_card_is_whole(name: str) -> None:
    card = load_card(name)
    assert from_dict(ModelCard, to_dict(card)) == card
    assert card.licence in {"Apache-2.0", "MIT"}
    assert card.description.endswith(".")
    assert card.kind not in PREPROCESSED or card.preprocessing is not None
    for file in card.file:
        assert file.name.endswith(f".{file.format}")


@pytest.mark.parametrize("name", [n for n in card_names() if load_card(n).source.package])
def test_package_is_pinned(name: str) -> None:
    source = load_card(name).source
    assert source.filename is not None
    if source.registry == "npm":
        # npm packs @scope/name as scope-name.
        packed = str(source.package).lstrip("@").replace("/", "-")
        assert source.filename == f"{packed}-{source.version}.tgz"
        return
    distribution, version, _, _ = parse_wheel_filename(source.filename)
    assert (distribution, str(version)) == (source.package, source.version)
    assert wheel_options(source.filename)[0] == "--only-binary=:all:"


@pytest.mark.parametrize("name", [n for n in card_names() if load_card(n).convert])
def test_recipe_and_extra_exist(name: str) -> None:
    conversion = load_card(name).convert
    assert conversion is not None
    assert load_recipe(conversion.recipe).REQUIRES
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert conversion.extra in project["optional-dependencies"]


def test_every_recipe_has_a_card() -> None:
    used = {card.convert.recipe for card in load_cards() if card.convert}
    assert used == set(recipe_names())


def test_cards_of_many_kinds() -> None:
    cards = load_cards()
    assert cards[0].default
    assert sum(card.default for card in cards) == 1
    kinds = {card.kind for card in cards}
    assert kinds >= {"image-classification", "detection", "ocr", "text", "audio", "classical"}
    assert len([card for card in cards if card.source.registry != "project"]) >= 12


@pytest.mark.parametrize("name", [n for n in card_names() if load_card(n).source.folder])
def test_files_of_the_project(name: str) -> None:
    card = load_card(name)
    folder = data_folder("models") / str(card.source.folder)
    for file in card.file:
        assert sha256_of(folder / file.name) == file.sha256
        assert (folder / file.name).stat().st_size == file.size_bytes
    if card.samples is not None:
        assert sha256_of(folder / card.samples.file) == card.samples.sha256


def test_unknown_name() -> None:
    with pytest.raises(ModelError) as caught:
        load_card("Silero-VAT")
    assert str(caught.value) == "there is no model named 'Silero-VAT'"
    assert caught.value.hint == "did you mean silero-vad?"


def test_name_like_nothing() -> None:
    with pytest.raises(ModelError) as caught:
        load_card("../x\n")
    assert str(caught.value) == "there is no model named '../x\\\\n'"
    assert caught.value.hint == "edgekit models list names them"


WRONG = {
    "typo": ("licence =", "license =", "license: unknown key"),
    "digest": ('sha256 = "7ed9', 'sha256 = "7ED9', "file[0]: sha256 must be 64 hexadecimal"),
    "no digest": ('sha256 = "7ed98', '# "', "file[0]: needs both of sha256 and size_bytes"),
    "folder in a name": (
        'name = "silero-vad.onnx"',
        'name = "../silero-vad.onnx"',
        "file[0]: not a plain file name: '../silero-vad.onnx'",
    ),
    "no pin": ("package_sha256", "# ", "source: needs package, version, filename and package_sha"),
    "no member": ("member =", "# ", "silero-vad.onnx: a member is for what comes out of a package"),
    "no licence": ("licence =", "# ", "licence: missing key"),
    "kind": ('kind = "audio"', 'kind = "sound"', "kind: must be one of image-classification"),
    "example": (
        "shape = [1, 576]",
        "shape = [1, 576, 1]",
        "file[0]: silero-vad.onnx: the example of 'input' has another shape",
    ),
    "no example": (
        '[[file.example]]\nname = "state"\nshape = [2, 1, 128]\n',
        "",
        "file[0]: silero-vad.onnx: input 'state' needs an example",
    ),
    "newer": (
        'schema_version = "1.0"',
        'schema_version = "2.0"',
        "schema_version: version 2.0 is newer than this edgekit reads (1.0)",
    ),
    "other name": (
        'name = "silero-vad"\n',
        'name = "other"\n',
        "name: must be silero-vad, the name of the file",
    ),
}


@pytest.mark.parametrize(("old", "new", "what"), WRONG.values(), ids=WRONG)
def test_wrong_card(old: str, new: str, what: str, tmp_path: Path) -> None:
    text = (data_folder("models") / "silero-vad.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "silero-vad.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_card_file(path)
    assert str(caught.value).startswith(f"{path}: {what}")
