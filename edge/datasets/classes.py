"""Labels as they are written, as class numbers."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.adapters.files import read_text
from edge.errors import UsageError, printable

# More digits than any class number has; int() of a million of them takes a while.
_WHOLE = re.compile(r"[+-]?\d{1,9}(\.0{1,9})?")
_MOST_TOLD = 6


def label_text(value: object) -> str:
    """Return a label of a JSON file as a CSV file would have it; nothing is ""."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def is_whole(text: str) -> bool:
    """Tell whether a label is a whole number: 3, or 3.0 as tables write it."""
    return _WHOLE.fullmatch(text) is not None


def class_numbers(
    texts: Sequence[str],
    where: Callable[[int], object],
    *,
    classes: Sequence[str] | None,
    sorts: bool,
    outputs: int | None,
) -> tuple[tuple[int, ...], str]:
    """Return the class numbers of labels, and in words what the classes are.

    `where(i)` names the place of a label. Names take their position in `classes`, or, with
    `sorts`, in their sorted order. `outputs` is how many classes the model tells apart.

    Raises:
        UsageError: a label is none, unknown, or out of range.
    """
    for number, text in enumerate(texts):
        if not text:
            raise UsageError("it has no label", where=where(number), hint=_NONE)
    if (classes is None or not set(texts) <= set(classes)) and all(map(is_whole, texts)):
        numbers = tuple(int(float(text)) for text in texts)
        words = f"labels from {min(numbers)} to {max(numbers)}"
    else:
        names = _names(texts, where, classes, sorts=sorts)
        position = {name: number for number, name in enumerate(names)}
        numbers = tuple(position[text] for text in texts)
        words = f"classes{' in sorted order' if classes is None else ''}: {_told(names)}"
    _require_known(numbers, texts, where, classes, outputs)
    return numbers, words


def _require_known(
    numbers: Sequence[int],
    texts: Sequence[str],
    where: Callable[[int], object],
    classes: Sequence[str] | None,
    outputs: int | None,
) -> None:
    limits = [(len(classes), "recipe")] if classes is not None else []
    limits += [(outputs, "model")] if outputs is not None else []
    most, whose = min(limits, default=(None, ""))
    for number, label in enumerate(numbers):
        if label >= 0 and (most is None or label < most):
            continue
        name = "" if is_whole(texts[number]) else f" ({printable(texts[number], 60)!r})"
        what = f"the label {label}{name} is no class" + (f" of the {whose}" if whose else "")
        told = "class numbers begin at 0" if most is None else f"it has classes 0 to {most - 1}"
        raise UsageError(what, where=where(number), hint=told)


def _names(
    texts: Sequence[str],
    where: Callable[[int], object],
    classes: Sequence[str] | None,
    *,
    sorts: bool,
) -> Sequence[str]:
    if classes is not None:
        unknown = next((n for n, text in enumerate(texts) if text not in classes), None)
        if unknown is not None:
            what = f"{printable(texts[unknown], 60)!r} is none of the {len(classes)} classes"
            raise UsageError(what, where=where(unknown), hint=f"the classes: {_told(classes)}")
        return classes
    if not sorts:
        first = next(n for n, text in enumerate(texts) if not is_whole(text))
        what = f"nothing says which number the class {printable(texts[first], 60)!r} has"
        raise UsageError(what, where=where(first), hint=_ORDER)
    return sorted(set(texts))


def read_classes(path: Path) -> tuple[str, ...]:
    """Read a file of class names, a name a line, in the order of their numbers.

    Raises:
        UsageError: it is no such file.
    """
    names = tuple(line.strip() for line in read_text(path, UsageError).splitlines())
    while names and not names[-1]:
        names = names[:-1]
    for number, name in enumerate(names, 1):
        if not name or name in names[: number - 1]:
            what = f"{printable(name, 60)!r} stands there twice" if name else "there is no name"
            raise UsageError(what, where=f"{path}, line {number}")
    if not names:
        raise UsageError("there is no class in it", where=path, hint="write a name a line")
    return names


_NONE = 'give each one a label, or say labels = "none" in a recipe'
_ORDER = 'say classes = ["first", "second"] in a recipe, or write a classes.txt, a name a line'


def _told(names: Sequence[str]) -> str:
    told = [f"{number} {printable(name, 40)}" for number, name in enumerate(names)]
    if len(told) > _MOST_TOLD:
        told = [*told[: _MOST_TOLD - 1], "…", told[-1]]
    return ", ".join(told)
