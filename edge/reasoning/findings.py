"""What a step of an emulated bundle said, decoded into what is wrong and what to do about it."""

import json
import math
import re
import signal
from collections.abc import Iterator, Sequence
from typing import Any, Final

from edge.errors import BundleError, RuntimeFailure, printable
from edge.reasoning.finding_remedies import remedy_for
from edge.reasoning.finding_words import Decoded, decoded, missing_versions
from edge.reasoning.misfit_words import decoded_misfit, is_misfit
from edge.records.emulation import Finding, Ran, StepName
from edge.records.manifest import Manifest

# What a program says last is at its end, and errors are lines; a document may be longer.
_LAST_WORDS: Final = 16 << 10
_LONGEST_DOCUMENT: Final = 8 << 20
_ERROR, _HINT = "error: ", "hint: "
_MOST_REASONS: Final = 8
# A shell, and the children of a parent that was killed, tell a signal as 128 and its number.
_SIGNAL_EXIT: Final = 128


def findings_of(step: StepName, ran: Ran, manifest: Manifest) -> tuple[Finding, ...]:
    """Return what went wrong in a step; nothing if it ended well.

    Whatever was printed, the step is decoded: what nobody knows is a crash or a failure, with the
    last words.
    """
    if ran.status == 0:
        return ()
    found = tuple(dict.fromkeys(_decoded(ran, manifest)))
    return tuple(
        Finding(
            kind=each.kind,
            step=step,
            what=each.what,
            remedy=remedy_for(each, manifest),
            library=each.library,
            missing=each.missing,
        )
        for each in found
    )


def without_repeats(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings with each fault once: the first that names the library, else the first.

    What the audit sees in a file is often what a later step fails of.
    """
    kept: dict[tuple[str, str | None], Finding] = {}
    for finding in findings:
        # Without what is missing two findings of a kind need not be one fault.
        fault = (finding.kind, finding.missing or finding.what)
        known = kept.get(fault)
        if known is None or (known.library is None and finding.library is not None):
            kept[fault] = finding
    return tuple(kept.values())


def _decoded(ran: Ran, manifest: Manifest) -> Iterator[Decoded]:
    if ran.status is None:
        yield Decoded(kind="hang", what="it did not end in the time that it was given")
        return
    words = ran.stderr[-_LAST_WORDS:]
    error, hint = _line(words, _ERROR), _line(words, _HINT)
    told = _document(ran.stdout)
    reasons = _misfits(told, error)
    if reasons:
        yield from (decoded_misfit(reason) for reason in reasons[:_MOST_REASONS])
    elif ran.status == BundleError.exit_code and error is not None:
        yield _refused(error)
    elif ran.status == RuntimeFailure.exit_code and told.get("disagreements"):
        yield _disagreement(told, manifest)
    else:
        # What our own program concluded is surer than what happened to be printed beside it.
        said = [text for text in (error, hint) if text is not None]
        versions = list(missing_versions("\n".join(said))) or list(missing_versions(words))
        yield from versions[:_MOST_REASONS] or [_failed(ran.status, said, words)]


def _failed(status: int, said: Sequence[str], words: str) -> Decoded:
    named = next((known for text in said if (known := decoded(text)) is not None), None)
    # A crash whose cause its last words name is no mere crash.
    if named is not None and named.kind != "crash":
        return named
    quoted = decoded(words)
    if quoted is not None and (named is None or quoted.kind != "crash"):
        return quoted
    if named is not None:
        return named
    killed = _signal_name(status)
    if killed is not None:
        by_signal = decoded(killed)
        if by_signal is not None:
            return by_signal
        return Decoded(kind="crash", what=f"it died of {killed}{_quoted_end(words)}")
    if said:
        return Decoded(kind="failure", what=printable(said[0], 400))
    return Decoded(kind="failure", what=f"it ended with status {status}{_quoted_end(words)}")


def _refused(error: str) -> Decoded:
    """Return what the bundle's refusal of itself means."""
    if any(
        word in error
        for word in ("damaged", "not a bundle", "not a sound wheel", "manifest.json: ")
    ):
        return Decoded(kind="damaged-bundle", what=printable(error, 400))
    return Decoded(kind="failure", what=printable(error, 400))


def _misfits(told: dict[str, Any], error: str | None) -> list[str]:
    """Return the reasons against the machine, of `verify` as a list and of `run` as one line."""
    listed = told.get("misfits")
    if isinstance(listed, list):
        return [reason for reason in listed if isinstance(reason, str) and reason.strip()]
    if error is None:
        return []
    # The reasons follow the path of the bundle, which may have anything in its name.
    for match in re.finditer(": ", error):
        reasons = error[match.end() :].split("; ")
        if all(is_misfit(reason) for reason in reasons):
            return reasons
    return []


def _disagreement(told: dict[str, Any], manifest: Manifest) -> Decoded:
    count, agreed = _whole(told.get("count")), _whole(told.get("agreed"))
    what = f"{count - agreed} of {count} samples give other outputs than the bundle carries"
    if count == 0 or agreed >= count:
        what = "the outputs differ from those that the bundle carries"
    listed = told["disagreements"]
    first = listed[0] if isinstance(listed, list) and listed else None
    if isinstance(first, dict):
        place = f"sample {printable(first.get('sample'), 20)}, output {printable(first.get('output'), 80)}"
        what += f"; {place}: {printable(first.get('what'))}"
    largest = told.get("largest_difference")
    if (
        isinstance(largest, float)
        and math.isfinite(largest)
        and manifest.samples.compare == "close"
    ):
        what += f"; at most {largest:.2g} off"
    return Decoded(kind="wrong-output", what=what)


def _whole(value: object) -> int:
    return value if type(value) is int and 0 <= value < 1 << 53 else 0


def _document(stdout: str) -> dict[str, Any]:
    """Return the JSON document that was printed; nothing if it is none."""
    if len(stdout) > _LONGEST_DOCUMENT:
        return {}
    try:
        told = json.loads(stdout)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _line(words: str, mark: str) -> str | None:
    """Return the last line with a mark: what a runtime prints stands before it."""
    lines = [line for line in words.splitlines() if line.startswith(mark)]
    return lines[-1][len(mark) :].strip() or None if lines else None


def _quoted_end(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return f"; its last words: {printable(lines[-1])}" if lines else ""


def _signal_name(status: int) -> str | None:
    number = -status if status < 0 else status - _SIGNAL_EXIT
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}" if status < 0 else None
