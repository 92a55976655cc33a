"""Texts become token numbers as BERT's own tokeniser makes them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.device.tokens import TextForm, WordPiece
from edge.errors import UsageError
from edge.records.tensor import TensorSpec

WORDS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    *("the", "un", "##aff", "##able", "cafe", "!", ",", "$", "日", "本"),
]
SPECS = [
    TensorSpec(name, "int64", (1, 8)) for name in ("input_ids", "attention_mask", "token_type_ids")
]


def vocabulary(tmp_path: Path, **normalizer: Any) -> str:
    path = tmp_path / "tokenizer.json"
    model = {"type": "WordPiece", "vocab": {word: n for n, word in enumerate(WORDS)}}
    told = {"model": model, "normalizer": {"type": "BertNormalizer", **normalizer}}
    path.write_text(json.dumps(told), encoding="utf-8")
    return str(path)


# What the library tokenizers 0.23 gives for the same vocabulary.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unaffable", "un ##aff ##able"),
        ("The  Unaffable,\tthe!", "the un ##aff ##able , the"),
        ("Café", "cafe"),
        ("日本", "日 本"),
        ("the$the", "the $ the"),
        ("unaffables", "[UNK]"),
        ("the\u200bthe \ufffd\0,", "[UNK] ,"),
        ("", ""),
        ("the " * 200, "the the the the the the"),
        ("u" * 101, "[UNK]"),
    ],
)
def test_pieces(tmp_path: Path, text: str, expected: str) -> None:
    ids = WordPiece(vocabulary(tmp_path)).ids(text, 8)
    assert [WORDS[n] for n in ids] == ["[CLS]", *expected.split(), "[SEP]"]


# What the library tokenizers 0.23.3 gives for the same vocabulary and the same marks.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ΣΑΣ", "σασ"),
        ("the [SEP]the", "the [SEP] the"),
        ("[mask] [MASK]", "[ [UNK] ] [MASK]"),
        ("[CLS][sep]", "[CLS] [ sep ]"),
        ("the\u2028the\u2029the", "the the the"),
        ("the\u0378", "[UNK]"),
        ("cafe\u0301 café", "cafe cafe"),
        ("한 日한", "ᄒ ##ᅡ ##ᆫ 日 ᄒ ##ᅡ ##ᆫ"),
        ("İstanbul", "i ##stanbul"),
        ("ẞ ß", "ß ß"),
        ("the the [SEP] the the the the the", "the the [SEP] the the the the the"),
    ],
)
def test_the_library_cuts_the_same(tmp_path: Path, text: str, expected: str) -> None:
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*marks, "the", "σας", "σασ", "cafe", "日", "ᄒ", "##ᅡ", "##ᆫ", "[", "sep", "]"]
    words += ["i", "##stanbul", "ß"]
    path = Path(vocabulary(tmp_path))
    told = json.loads(path.read_text(encoding="utf-8"))
    told["model"]["vocab"] = {word: n for n, word in enumerate(words)}
    told["added_tokens"] = [
        {"id": n, "content": m, "normalized": False} for n, m in enumerate(marks)
    ]
    path.write_text(json.dumps(told), encoding="utf-8")
    ids = WordPiece(str(path)).ids(text, 10)
    assert [words[n] for n in ids] == ["[CLS]", *expected.split(), "[SEP]"]


def test_marks_that_are_none(tmp_path: Path) -> None:
    path = Path(vocabulary(tmp_path))
    told = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**told, "added_tokens": [{"id": 1}]}), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        WordPiece(str(path))
    assert str(caught.value) == f"{path}: its added_tokens are not as they should be"


def test_case_and_accents_are_kept_where_the_vocabulary_says_so(tmp_path: Path) -> None:
    pieces = WordPiece(vocabulary(tmp_path, lowercase=False))
    assert [WORDS[n] for n in pieces.ids("The café the", 8)[1:-1]] == ["[UNK]", "[UNK]", "the"]


@given(st.text(max_size=200), st.integers(2, 40))
def test_any_text_fits(text: str, most: int) -> None:
    pieces = WordPiece(_made)
    ids = pieces.ids(text, most)
    assert 2 <= len(ids) <= most
    assert (ids[0], ids[-1]) == (2, 3)


@pytest.fixture(autouse=True, scope="module")
def _vocabulary(tmp_path_factory: pytest.TempPathFactory) -> None:
    global _made  # noqa: PLW0603 - hypothesis and fixtures of a function do not go together
    _made = vocabulary(tmp_path_factory.mktemp("words"))


_made = ""


def test_lines_become_inputs(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("the cafe\n\n  unaffable  \n", encoding="utf-8")
    form = TextForm(str(path), SPECS, {"tokenizer": vocabulary(tmp_path)})
    assert form.texts == ["the cafe", "unaffable"]
    feeds = form.tokenise(form.texts[0])
    assert {name: array.tolist() for name, array in feeds.items()} == {
        "input_ids": [[2, 4, 8, 3, 0, 0, 0, 0]],
        "attention_mask": [[1, 1, 1, 1, 0, 0, 0, 0]],
        "token_type_ids": [[0] * 8],
    }
    assert {array.dtype.name for array in feeds.values()} == {"int64"}


def test_refusals(tmp_path: Path) -> None:
    path, words = tmp_path / "texts.txt", vocabulary(tmp_path)
    path.write_text("\n \n", encoding="utf-8")
    floats = [TensorSpec("x", "float32", (1, 8))]
    for specs, form, message in (
        (SPECS, {}, f"{path}: nothing says how the model's texts become tokens"),
        (SPECS, {"tokenizer": words}, f"{path}: there is no text in it"),
        (floats, {"tokenizer": words}, "the inputs x float32 1x8 take no tokens of one text"),
        (SPECS, {"tokenizer": str(path)}, f"{path}: not a tokenizer.json with a vocabulary"),
        (SPECS, {"tokenizer": f"{path}.no"}, f"{path}.no: no such file or directory"),
    ):
        with pytest.raises(UsageError) as caught:
            TextForm(str(path), specs, form)
        assert str(caught.value) == message
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UsageError) as caught:
        TextForm(str(path), SPECS, {"tokenizer": words})
    assert str(caught.value) == f"{path}: not a text file in UTF-8"


def test_another_kind_of_tokeniser(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"type": "BPE", "vocab": {}}}), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        WordPiece(str(path))
    assert caught.value.what == "a tokeniser of the kind BPE, BertNormalizer is not built in"
    assert caught.value.hint == "tokenise yourself: give an .npz of tokens"
