"""The one tree of errors; every family has its own exit code (docs/reference/exit-codes.md).

Part of the device slice: Python 3.8, standard library only.
"""

from typing import ClassVar, Optional

# A model's or a bundle's own strings are printed in messages; they are cut at this length.
_LONGEST_TEXT = 200


def printable(text: object, longest: int = _LONGEST_TEXT) -> str:
    """Escape control characters and line breaks of an untrusted string and cut it to length."""
    cut = str(text)
    if len(cut) > longest:
        cut = cut[: longest - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


class EdgekitError(Exception):
    """An error for the user: what happened, where, and what to do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(
        self, what: str, *, where: Optional[object] = None, hint: Optional[str] = None
    ) -> None:
        """Keep the three parts apart; `where` is a path, a key or a name."""
        super().__init__(what)
        self.what = what
        self.where = None if where is None else str(where)
        self.hint = hint

    def __str__(self) -> str:
        """Return one line: where it happened, then what happened."""
        what = printable(self.what, 1000)
        return what if self.where is None else f"{printable(self.where, 500)}: {what}"


class ReaderWentAway(Exception):
    """Whoever read our output has closed it (`| head`): no error, and nothing more to say."""


class UsageError(EdgekitError):
    """The command was called wrongly."""

    exit_code = 2


class ConfigError(EdgekitError):
    """A target, workload, card or results file is wrong."""

    exit_code = 3


class ModelError(EdgekitError):
    """The model cannot be read, fetched or understood."""

    exit_code = 4


class BundleError(EdgekitError):
    """A bundle cannot be built, is damaged, or is made for another target."""

    exit_code = 5


class RuntimeFailure(EdgekitError):
    """The runtime or the model failed in its child process."""

    exit_code = 6


class UntrustedMeasurement(EdgekitError):
    """It was measured, but the measurement cannot be trusted."""

    exit_code = 7


class EmulationError(EdgekitError):
    """The emulated target cannot be set up or run."""

    exit_code = 8


class HostError(EdgekitError):
    """The machine stands in the way: disk, network, permission, a missing program."""

    exit_code = 9
