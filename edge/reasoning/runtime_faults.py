"""Releases of the runtimes that are known to fail on some processors, each with its evidence."""

from dataclasses import dataclass
from typing import Final

from edge.records.target import TargetRuntime


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A release fails on processors of an architecture that lack a feature; `sound` is newer."""

    distribution: str
    versions: tuple[str, ...]
    architecture: str
    lacking: str
    what: str
    sound: str
    source: str


FAULTS: Final = (
    # The import ends at `fmov v1.4h`, an instruction of FEAT_FP16. Its wheel of 1.21.0 for Python
    # 3.11 does so under qemu's cortex-a53 and cortex-a72 and not under cortex-a76; those of 1.20.1,
    # 1.21.1, 1.22.0, 1.22.1, 1.23.2 and 1.32.0 start under all three.
    Fault(
        distribution="onnxruntime",
        versions=("1.21.0",),
        architecture="aarch64",
        lacking="asimdhp",
        what="stops with an illegal instruction on processors without fp16 arithmetic (asimdhp)",
        sound="1.21.1",
        source="microsoft/onnxruntime issues 23957 and 24112",
    ),
)


def fault_of(runtime: TargetRuntime, architecture: str, features: tuple[str, ...]) -> Fault | None:
    """Return the known fault of a runtime on such a processor; features that nobody read: none."""
    for fault in FAULTS:
        if (
            features
            and fault.distribution == runtime.distribution
            and runtime.version in fault.versions
            and fault.architecture == architecture
            and fault.lacking not in features
        ):
            return fault
    return None
