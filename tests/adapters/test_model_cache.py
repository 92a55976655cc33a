"""A model in the cache is there as a whole, or not at all."""

import dataclasses
import json
import os
import threading
from pathlib import Path

import pytest
from made_packages import card_of, made_wheel

from edge.adapters.model_cache import (
    cached_folder,
    cached_model,
    keep,
    locked,
    pins_of,
    recorded_model,
    staging_folder,
)
from edge.errors import HostError, ModelError
from edge.records.card import ModelCard

DATA = b"a model"


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    return card_of(made_wheel(tmp_path / "served", "made", {"made/a": DATA}), "made/a", DATA)


def put(card: ModelCard, data: bytes = DATA, evidence: tuple[str, ...] = ()) -> None:
    with locked(card.name), staging_folder(card.name) as staged:
        made = staged / "files"
        made.mkdir()
        (made / "model.onnx").write_bytes(data)
        keep(card, pins_of(card), made, evidence)


def places(own_cache: Path) -> list[str]:
    return sorted(p.name for p in (own_cache / "models").iterdir() if p.suffix != ".lock")


def test_kept_model(card: ModelCard, own_cache: Path) -> None:
    assert cached_model("made", pins_of(card)) is None
    put(card, evidence=("seen",))
    fetched = cached_model("made", pins_of(card))
    assert fetched is not None
    assert fetched.evidence == ("seen",)
    assert [f.name for f in fetched.files] == ["model.onnx"]
    assert cached_folder("made") == own_cache / "models" / "made"
    assert places(own_cache) == ["made"]


def test_other_bytes_are_not_kept(card: ModelCard, own_cache: Path) -> None:
    with pytest.raises(ModelError, match=r"^model\.onnx has the SHA-256 [0-9a-f]{64}, and the"):
        put(card, b"b model")
    assert places(own_cache) == []


def test_damaged_file_counts_as_missing(card: ModelCard, own_cache: Path) -> None:
    put(card)
    (own_cache / "models" / "made" / "model.onnx").write_bytes(b"a mOdel")
    assert cached_model("made", pins_of(card)) is None
    assert recorded_model("made", pins_of(card)) is not None
    put(card)
    assert cached_model("made", pins_of(card)) is not None
    assert places(own_cache) == ["made"]


def test_lost_file_counts_as_missing(card: ModelCard, own_cache: Path) -> None:
    put(card)
    (own_cache / "models" / "made" / "model.onnx").unlink()
    assert cached_model("made", pins_of(card)) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema_version": "9.0"}'])
def test_damaged_record_counts_as_missing(text: str, card: ModelCard, own_cache: Path) -> None:
    put(card)
    (own_cache / "models" / "made" / "fetched.json").write_text(text, encoding="utf-8")
    assert recorded_model("made", pins_of(card)) is None


def test_pins_are_of_what_decides_the_bytes(card: ModelCard) -> None:
    said = dataclasses.replace(card, title="Another", notes=("A note.",))
    source = dataclasses.replace(card.source, package_sha256="0" * 64)
    assert pins_of(said) == pins_of(card)
    assert pins_of(dataclasses.replace(card, source=source)) != pins_of(card)
    assert pins_of(card, b"recipe") != pins_of(card)


def test_record_is_a_file_format(card: ModelCard, own_cache: Path) -> None:
    put(card)
    record = json.loads((own_cache / "models" / "made" / "fetched.json").read_text())
    assert record["schema_version"] == "1.0"
    assert list(record) == ["schema_version", "name", "pins", "files", "evidence"]


def test_failure_leaves_nothing(own_cache: Path) -> None:
    def interrupted() -> None:
        with locked("made"), staging_folder("made") as staged:
            (staged / "half").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert places(own_cache) == []


def test_leftovers_of_a_killed_run_are_cleared_away(card: ModelCard, own_cache: Path) -> None:
    left = own_cache / "models" / ".made.abcdef.part" / "files"
    left.mkdir(parents=True)
    (left / "model.onnx").write_bytes(b"half")
    other = own_cache / "models" / ".made-too.abcdef.part"
    other.mkdir()
    assert cached_model("made", pins_of(card)) is None
    put(card)
    assert places(own_cache) == [".made-too.abcdef.part", "made"]


def test_second_one_waits(own_cache: Path) -> None:
    order = []

    def second() -> None:
        with locked("made"):
            order.append("second")

    with locked("made"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_cache(card: ModelCard, own_cache: Path) -> None:
    own_cache.mkdir(mode=0o500)
    with pytest.raises(HostError, match="permission denied"):
        put(card)
