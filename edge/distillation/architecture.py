"""Which students there are, by name and numbers; torch-free, so that a mistake shows at once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from edge.errors import UsageError, printable
from edge.records.tensor import TensorSpec

Kind = Literal["pictures", "vectors", "tokens", "own"]

_WAYS: Final = "cnn:8,16,32, mobile:16, mlp:64,32, bag:64, transformer:2,64,2 or FILE.py:function"
_NUMBERS: Final = re.compile(r"[0-9]{1,5}(,[0-9]{1,5})*")
_MOST_LAYERS: Final = 64
_CHANNELS: Final = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A student's plan: `numbers` are its widths; `file` and `function` of a user's own."""

    text: str
    name: str
    kind: Kind
    numbers: tuple[int, ...] = ()
    file: Path | None = None
    function: str | None = None


_KINDS: Final[dict[str, Kind]] = {
    "cnn": "pictures",
    "mobile": "pictures",
    "mlp": "vectors",
    "bag": "tokens",
    "transformer": "tokens",
}


def parse_architecture(text: str, *, trusted: bool = False) -> Architecture:
    """Read `cnn:8,16,32`, `mobile:16`, `mlp:64,32`, `bag:64`, `transformer:2,64,2` or FILE.py:name.

    A Python file is code that will be run, so it needs `trusted`; it is not read here.

    Raises:
        UsageError: there is no such architecture, its numbers do not fit it, or it is not trusted.
    """
    name, _, rest = text.rpartition(":") if ".py:" in text else text.partition(":")
    if name.endswith(".py"):
        return _own(text, Path(name), rest, trusted=trusted)
    if name not in _KINDS:
        what = f"no such architecture: {printable(text)}"
        raise UsageError(what, where="--student", hint=f"such as {_WAYS}")
    if _NUMBERS.fullmatch(rest) is None:
        what = f"{printable(text)}: numbers are missing or are none"
        raise UsageError(what, where="--student", hint=f"such as {_WAYS}")
    numbers = tuple(int(number) for number in rest.split(","))
    _check_numbers(text, name, numbers)
    return Architecture(text=text, name=name, kind=_KINDS[name], numbers=numbers)


def _own(text: str, file: Path, function: str, *, trusted: bool) -> Architecture:
    if not function.isidentifier():
        what = f"{printable(text)}: after the file stands the name of a function"
        raise UsageError(what, where="--student", hint="such as student.py:build")
    if not file.is_file():
        raise UsageError("no such file", where=file, hint="name a Python file, :, and a function")
    if not trusted:
        raise UsageError(
            "its code would be run with your rights",
            where=file,
            hint="read it, then say --trusted",
        )
    return Architecture(text=text, name="own", kind="own", file=file.resolve(), function=function)


def _check_numbers(text: str, name: str, numbers: tuple[int, ...]) -> None:
    problem = None
    if min(numbers) < 1:
        problem = "a width is at least 1"
    elif len(numbers) > _MOST_LAYERS:
        problem = f"at most {_MOST_LAYERS} layers"
    elif name in ("mobile", "bag") and len(numbers) != 1:
        problem = "it takes one number, its width"
    elif name == "transformer" and len(numbers) != 3:
        problem = "it takes three numbers: layers, width and heads"
    elif name == "transformer" and numbers[1] % (2 * numbers[2]):
        problem = "the width is an even multiple of the heads"
    if problem is not None:
        raise UsageError(f"{printable(text)}: {problem}", where="--student")


def channel_axis(shape: Sequence[object]) -> int | None:
    """Return where a picture's channels stand in a shape of four: 1 or 3, None: it is none."""
    if len(shape) != 4:
        return None
    return next((axis for axis in (1, 3) if shape[axis] in _CHANNELS), None)


def token_input(inputs: Sequence[TensorSpec]) -> int | None:
    """Return the position of the input that holds token numbers, None where there is none."""
    numbers = [n for n, spec in enumerate(inputs) if is_tokens(spec)]
    named = [n for n in numbers if not _is_mask(inputs[n]) and not _is_type(inputs[n])]
    return (named or [None])[0]  # type: ignore[list-item]


def mask_input(inputs: Sequence[TensorSpec]) -> int | None:
    """Return the position of the input that says which tokens count, None where there is none."""
    return next((n for n, spec in enumerate(inputs) if is_tokens(spec) and _is_mask(spec)), None)


def is_tokens(spec: TensorSpec) -> bool:
    """Whether an input has the shape of token numbers: integers, batch by sequence."""
    return spec.dtype in ("int32", "int64") and len(spec.shape or ()) == 2


def _is_mask(spec: TensorSpec) -> bool:
    return "mask" in spec.name.lower()


def _is_type(spec: TensorSpec) -> bool:
    return "type" in spec.name.lower() or "segment" in spec.name.lower()


def check_fit(architecture: Architecture, inputs: Sequence[TensorSpec]) -> None:
    """Refuse a student that cannot take the teacher's inputs.

    Raises:
        UsageError: it cannot; the hint names a kind that can.
    """
    told = printable(", ".join(str(spec) for spec in inputs), 300)
    is_picture = len(inputs) == 1 and channel_axis(inputs[0].shape or ()) is not None
    has_tokens = bool(inputs) and all(is_tokens(spec) for spec in inputs)
    has_tokens = has_tokens and token_input(inputs) is not None
    fits = {"pictures": is_picture, "tokens": has_tokens, "vectors": True, "own": True}
    if fits[architecture.kind]:
        return
    hint = "cnn:8,16,32" if is_picture else "bag:64" if has_tokens else "mlp:64,32"
    what = f"a student {architecture.name} takes {architecture.kind}, not {told or 'no inputs'}"
    raise UsageError(what, where="--student", hint=f"such as {hint}")
