"""Tokenisers of other kinds, by the library tokenizers."""

import json
from pathlib import Path
from typing import Any

import pytest

from edge.datasets.tokenisers import open_tokeniser
from edge.errors import UsageError

pytestmark = pytest.mark.extras

PAD = {"id": 0, "content": "<pad>", "special": True, "normalized": False}
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False}
BPE = {
    "version": "1.0",
    "added_tokens": [{**PAD, **FLAGS}],
    "pre_tokenizer": {"type": "Whitespace"},
    "model": {
        "type": "BPE",
        "vocab": {"<pad>": 0, "a": 1, "b": 2, "ab": 3, "c": 4},
        "merges": [["a", "b"]],
    },
}
UNIGRAM = {
    "version": "1.0",
    "padding": {
        "strategy": {"Fixed": 9},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 2,
        "pad_type_id": 0,
        "pad_token": "c",
    },
    "model": {"type": "Unigram", "unk_id": 0, "vocab": [["?", 0.0], ["ab", -1.0], ["c", -2.0]]},
}


@pytest.mark.parametrize(
    ("told", "text", "expected", "padding"),
    [(BPE, "ab abc", [3, 3, 4], 0), (UNIGRAM, "abcab", [1, 2, 1], 2)],
)
def test_other_kinds(
    tmp_path: Path, told: dict[str, Any], text: str, expected: list[int], padding: int
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    tokens = open_tokeniser(path)
    assert tokens.ids(text, 8) == expected
    assert tokens.ids(text, 2) == expected[:2]
    assert tokens.padding == padding


def test_what_the_library_refuses(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"type": "BPE", "vocab": 3}}), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        open_tokeniser(path)
    assert str(caught.value).startswith(f"{path}: the library tokenizers refuses it: ")
