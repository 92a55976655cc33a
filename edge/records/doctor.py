"""What a machine has for what edgekit does, and what it lacks."""

from dataclasses import dataclass
from typing import ClassVar, Literal

CheckGroup = Literal["host", "runtimes", "packaging", "emulation", "targets", "remote"]
# On first use: it is not here, and is fetched or made when it is needed; that takes the network.
CheckState = Literal["ok", "on-first-use", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCheck:
    """One thing: whether it is here, what was found, and what to do where it is missing."""

    name: str
    group: CheckGroup
    state: CheckState
    found: str
    remedy: str | None = None

    def __post_init__(self) -> None:
        """Require a remedy for what is missing."""
        if self.state == "missing" and not self.remedy:
            raise ValueError("what is missing has a remedy")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReport:
    """What this machine has; `doctor` fails for nothing that it lacks, unless it is asked to."""

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    checks: tuple[HostCheck, ...]
    edgekit_version: str

    def named(self, name: str) -> HostCheck | None:
        """Return a check by its name."""
        return next((check for check in self.checks if check.name == name), None)
