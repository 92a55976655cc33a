"""Why a bundle does not fit a machine, taken apart: the reasons of edge/device/fit.py."""

import re
from collections.abc import Callable
from typing import Final

from edge.errors import printable
from edge.reasoning.finding_words import Decoded, table

_LONGEST_NAME: Final = 120


def decoded_misfit(reason: str) -> Decoded:
    """Return what one reason of edge.device.fit against a machine means."""
    for words in _MISFITS:
        match = words.pattern.match(reason)
        if match is not None:
            return words.decode(match)
    return Decoded(kind="misfit", what=printable(reason))


def is_misfit(reason: str) -> bool:
    """Whether a text is a reason of edge.device.fit against a machine."""
    return any(words.pattern.match(reason) for words in _MISFITS)


def _processor(match: re.Match[str]) -> Decoded:
    features = printable(match[1])
    what = f"the bundle is made for a processor with {features}, which this one lacks"
    return Decoded(kind="misfit", what=what, missing=features)


def _needs(prefix: str) -> Callable[[re.Match[str]], Decoded]:
    def decode(match: re.Match[str]) -> Decoded:
        version = f"{prefix}_{printable(match[1], _LONGEST_NAME)}"
        there = printable(match[2], _LONGEST_NAME)
        return Decoded(
            kind="missing-symbol-version",
            what=f"the bundle needs {version}, and the system has {prefix}_{there}",
            missing=version,
        )

    return decode


def _packages(match: re.Match[str]) -> Decoded:
    names = printable(match[1])
    what = f"the system packages {names} are missing"
    return Decoded(kind="import-failure", what=what, missing=names)


def _made_for(match: re.Match[str]) -> Decoded:
    return Decoded(kind="misfit", what=printable(match[0]), missing=printable(match[1]))


_MISFITS: Final = table(
    (
        (r"made for (Python \S{1,40}), this is ([^\s:]{1,40}(?: of [^\s:]{1,40})?)", _made_for),
        (r"made for (\S{1,40}), this machine is (\S{1,40})", _made_for),
        (r"needs glibc (\S{1,40}), this system has (\S{1,40})", _needs("GLIBC")),
        (r"needs GLIBCXX_(\S{1,40}), this system's libstdc\+\+6 has (\S{1,40})", _needs("GLIBCXX")),
        (
            r"needs the C\+\+ library (libstdc\+\+6), which",
            lambda found: Decoded(
                kind="import-failure", what="the C++ library is missing", missing=found[1]
            ),
        ),
        (
            r"needs the (GNU C library), which",
            lambda found: Decoded(
                kind="misfit", what="the system has no GNU C library", missing=found[1]
            ),
        ),
        (r"this processor lacks ([^\n]{1,300})", _processor),
        (r"it lacks ([^:\n]{1,300}): sudo apt-get install", _packages),
    )
)
