"""The model cards: one TOML file a model in models/."""

import difflib
from pathlib import Path

from edge.adapters.data import data_folder
from edge.adapters.files import read_toml
from edge.errors import ConfigError, ModelError, printable
from edge.records.card import ModelCard
from edge.records.codec import from_dict


def card_names() -> tuple[str, ...]:
    """Return the names of all cards, sorted."""
    return tuple(sorted(path.stem for path in data_folder("models").glob("*.toml")))


def load_card(name: str) -> ModelCard:
    """Read the card of the model `name`.

    Raises:
        ModelError: there is no such card.
        ConfigError: the card is wrong.
    """
    names = card_names()
    if name not in names:
        close = difflib.get_close_matches(name.lower(), names, 1)
        guess = f"did you mean {close[0]}?" if close else "edgekit models list names them"
        raise ModelError(f"there is no model named {printable(name)!r}", hint=guess)
    return load_card_file(data_folder("models") / f"{name}.toml")


def load_cards() -> tuple[ModelCard, ...]:
    """Read every card: the default model's first, then by kind and name.

    Raises:
        ConfigError: one of them is wrong.
    """
    cards = [load_card(name) for name in card_names()]
    return tuple(sorted(cards, key=lambda card: (not card.default, card.kind, card.name)))


def load_card_file(path: Path) -> ModelCard:
    """Read a card from a file of its own.

    Raises:
        ConfigError: it cannot be read, or it is no card of the name of its file.
    """
    card = from_dict(ModelCard, read_toml(path), path)
    if card.name != path.stem:
        raise ConfigError(f"name: must be {path.stem}, the name of the file", where=path)
    return card
