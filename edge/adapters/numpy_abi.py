"""Which numpy a compiled module can run with, read from the names that it has inside.

A module that uses numpy's C interface imports it by name when it starts. With the headers of numpy 1
that name is `numpy.core._multiarray_umath`; those of numpy 2 ask for `numpy._core._multiarray_umath`
first and for the other next, so such a module runs with both (numpy/__multiarray_api.h of 1.24.4,
1.26.4, 2.0.2 and 2.4.6; NEP 53). numpy 2 refuses the former. pybind11 before 2.12 has
`numpy.core.multiarray` for its own arrays, 2.12 and later put the name together when they run.
The headers of numpy 2 also write the oldest numpy that will do into the message of their own check.
"""

import re
from dataclasses import dataclass
from typing import Final

_FOR_BOTH: Final = b"numpy._core._multiarray_umath\0"
_FOR_NUMPY_1: Final = (b"numpy.core._multiarray_umath\0", b"numpy.core.multiarray\0")
_FLOOR: Final = re.compile(rb"compiled against NumPy C-API version 0x%x \(NumPy (\d+\.\d+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class NumpyNeeds:
    """The numpy that compiled code asks for: below 2 only, or from `oldest` on; None: not said."""

    below_2: bool = False
    oldest: str | None = None


def numpy_needs(data: bytes) -> NumpyNeeds:
    """Return what one compiled file needs of numpy; nothing at all if it does not use it."""
    if _FOR_BOTH in data:
        floors = [match[1].decode() for match in _FLOOR.finditer(data)]
        return NumpyNeeds(oldest=max(floors, key=_numbers, default=None))
    return NumpyNeeds(below_2=any(name in data for name in _FOR_NUMPY_1))


def all_numpy_needs(needs: list[NumpyNeeds]) -> NumpyNeeds:
    """Return what several files need together."""
    known = [need.oldest for need in needs if need.oldest is not None]
    return NumpyNeeds(
        below_2=any(need.below_2 for need in needs),
        oldest=max(known, key=_numbers, default=None),
    )


def numpy_misfit(needs: NumpyNeeds, version: str) -> str | None:
    """Return what of the needs a version of numpy does not meet, in words; None: it fits."""
    there = _numbers(version)
    if needs.below_2 and there >= (2,):
        return "is compiled for numpy 1"
    if needs.oldest is not None and there < _numbers(needs.oldest):
        return f"is compiled for numpy {needs.oldest} or newer"
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
