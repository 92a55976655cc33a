"""Our own tokeniser where it will do, the library for others."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from edge.datasets.tokenisers import open_tokeniser
from edge.device.tokens import WordPiece
from edge.errors import HostError, UsageError


def written(path: Path, told: Any) -> Path:
    path.write_text(json.dumps(told), encoding="utf-8")
    return path


def test_wordpiece_needs_nothing(tmp_path: Path) -> None:
    words = {word: n for n, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "the"))}
    for kind in ({"type": "WordPiece"}, {}):
        told = {"model": {**kind, "vocab": words}, "normalizer": {"type": "BertNormalizer"}}
        tokens = open_tokeniser(written(tmp_path / "tokenizer.json", told))
        assert isinstance(tokens, WordPiece)
        assert tokens.ids("the", 8) == [2, 4, 3]


def test_without_the_library_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "tokenizer.json", {"model": {"type": "BPE"}})
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(HostError) as caught:
        open_tokeniser(path)
    what = "a tokeniser of the kind BPE with no normaliser needs the library tokenizers"
    assert str(caught.value) == f"{path}: {what}"
    assert caught.value.hint == "pip install 'edgekit-deploy[text]'"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model": 3}', "[" * 100_000])
def test_what_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        open_tokeniser(path)
    assert str(caught.value) == f"{path}: not a tokenizer.json"
    with pytest.raises(UsageError) as caught:
        open_tokeniser(tmp_path / "none")
    assert str(caught.value) == f"{tmp_path / 'none'}: no such file or directory"
