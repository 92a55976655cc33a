"""Which students there are, and what they can take."""

from pathlib import Path

import pytest

from edge.distillation.architecture import (
    channel_axis,
    check_fit,
    mask_input,
    parse_architecture,
    token_input,
)
from edge.errors import UsageError
from edge.records.tensor import TensorSpec

PICTURE = TensorSpec("input", "float32", (1, 1, 8, 8))
LAST = TensorSpec("input", "float32", ("n", 32, 32, 3))
IDS = TensorSpec("input_ids", "int64", ("batch", "sequence"))
MASK = TensorSpec("attention_mask", "int64", ("batch", "sequence"))
TYPES = TensorSpec("token_type_ids", "int64", ("batch", "sequence"))
VECTOR = TensorSpec("x", "float32", ("n", 12))
EXAMPLES = (
    "such as cnn:8,16,32, mobile:16, mlp:64,32, bag:64, transformer:2,64,2 or FILE.py:function"
)


@pytest.mark.parametrize(
    ("text", "name", "kind", "numbers"),
    [
        ("cnn:8,16,32", "cnn", "pictures", (8, 16, 32)),
        ("mobile:16", "mobile", "pictures", (16,)),
        ("mlp:64,32", "mlp", "vectors", (64, 32)),
        ("bag:64", "bag", "tokens", (64,)),
        ("transformer:2,64,2", "transformer", "tokens", (2, 64, 2)),
    ],
)
def test_a_student_is_named_with_its_numbers(
    text: str, name: str, kind: str, numbers: tuple[int, ...]
) -> None:
    read = parse_architecture(text)
    assert (read.text, read.name, read.kind, read.numbers) == (text, name, kind, numbers)


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("resnet:18", "no such architecture: resnet:18", EXAMPLES),
        ("", "no such architecture: ", EXAMPLES),
        ("cnn", "cnn: numbers are missing or are none", EXAMPLES),
        ("cnn:8,", "cnn:8,: numbers are missing or are none", EXAMPLES),
        ("cnn:-8", "cnn:-8: numbers are missing or are none", EXAMPLES),
        ("cnn:8,0", "cnn:8,0: a width is at least 1", None),
        ("mlp:" + ",".join(["1"] * 65), None, None),
        ("bag:8,8", "bag:8,8: it takes one number, its width", None),
        (
            "transformer:2,64",
            "transformer:2,64: it takes three numbers: layers, width and heads",
            None,
        ),
        (
            "transformer:2,9,3",
            "transformer:2,9,3: the width is an even multiple of the heads",
            None,
        ),
        ("a.py:1x", "a.py:1x: after the file stands the name of a function", "such as student.py:build"),
    ],
)  # fmt: skip
def test_what_is_no_student_is_refused(text: str, what: str | None, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        parse_architecture(text)
    assert caught.value.where == "--student"
    assert caught.value.what == (what or f"{text}: at most 64 layers")
    assert caught.value.hint == hint


def test_code_is_not_taken_without_being_told_to(tmp_path: Path) -> None:
    file = tmp_path / "student.py"
    with pytest.raises(UsageError, match="no such file"):
        parse_architecture(f"{file}:build", trusted=True)
    file.write_text("raise SystemExit('it was run')")
    with pytest.raises(UsageError) as caught:
        parse_architecture(f"{file}:build")
    assert caught.value.what == "its code would be run with your rights"
    assert caught.value.hint == "read it, then say --trusted"
    trusted = parse_architecture(f"{file}:build", trusted=True)
    assert (trusted.kind, trusted.file, trusted.function) == ("own", file, "build")


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        ("cnn:8", [PICTURE]),
        ("mobile:8", [LAST]),
        ("mlp:8", [VECTOR]),
        ("mlp:8", [PICTURE]),
        ("bag:8", [IDS]),
        ("transformer:1,8,2", [MASK, IDS, TYPES]),
    ],
)
def test_what_fits_is_taken(text: str, inputs: list[TensorSpec]) -> None:
    check_fit(parse_architecture(text), inputs)


@pytest.mark.parametrize(
    ("text", "inputs", "message", "hint"),
    [
        ("bag:8", [PICTURE], "a student bag takes tokens, not input float32 1x1x8x8", "cnn:8,16,32"),
        ("cnn:8", [VECTOR], "a student cnn takes pictures, not x float32 nx12", "mlp:64,32"),
        ("cnn:8", [IDS], "a student cnn takes pictures, not input_ids int64 batchxsequence", "bag:64"),
        ("bag:8", [], "a student bag takes tokens, not no inputs", "mlp:64,32"),
        ("bag:8", [MASK], "a student bag takes tokens, not attention_mask int64 batchxsequence", "mlp:64,32"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    text: str, inputs: list[TensorSpec], message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        check_fit(parse_architecture(text), inputs)
    assert caught.value.what == message
    assert caught.value.hint == f"such as {hint}"


def test_tokens_are_found_by_their_names() -> None:
    inputs = [MASK, TYPES, IDS]
    assert token_input(inputs) == 2
    assert mask_input(inputs) == 0
    assert token_input([VECTOR]) is None
    assert mask_input([IDS]) is None


def test_channels_stand_second_or_last() -> None:
    assert channel_axis((1, 3, 224, 224)) == 1
    assert channel_axis((1, 224, 224, 3)) == 3
    assert channel_axis((1, 64, 7, 7)) is None
    assert channel_axis((1, 3, 224)) is None
