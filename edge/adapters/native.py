"""Runs a bundle's commands on this machine under a target's limits, where both have one processor.

The Python, the C and the C++ library are the target's: a root's, started by the root's own
loader, which needs no rights. The kernel, the processor, /proc and /sys are this machine's.
"""

import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from edge.adapters.confined import confined
from edge.adapters.programs import LOADERS
from edge.adapters.qemu_user import run_alone
from edge.adapters.roots import base_root
from edge.device.facts import read_host_facts
from edge.device.fit import userland
from edge.errors import HostError
from edge.records.emulation import Place, Ran
from edge.records.host import HostFacts
from edge.records.target import Target
from edge.units import format_bytes

Progress = Callable[[float], None]

# What the runtimes choose their kernels by; the kernel lists a hundred more.
_TELLING: Final = (
    *("amx", "avx", "bmi", "f16c", "fma", "sse4", "popcnt"),
    *("asimd", "bf16", "fphp", "i8mm", "sve"),
)


class Standing(Protocol):
    """The part of a StandIn that is asked for here: the release that stands in for the system."""

    @property
    def suite(self) -> str:
        """Debian's name of the release."""

    @property
    def system(self) -> str:
        """The root in words."""

    @property
    def python(self) -> str:
        """Its Python, major.minor."""

    @property
    def glibc(self) -> str:
        """Its C library, major.minor."""

    @property
    def differences(self) -> tuple[str, ...]:
        """In what it differs from the target."""


def runs_natively(target: Target) -> bool:
    """Return whether the target is a cloud CPU of this machine's architecture."""
    here = userland(platform.machine(), is_64_bit=sys.maxsize > 2**32)
    return target.kind == "cloud-cpu" and target.cpu.architecture == here


def native_place(target: Target, stand_in: Standing, facts: HostFacts | None = None) -> Place:
    """Return this machine as the target's place, with everything in which it differs from it."""
    return Place(
        system=stand_in.system,
        python=stand_in.python,
        glibc=stand_in.glibc,
        qemu_cpu=None,
        emulator=None,
        differences=(*stand_in.differences, *_differences(target, facts or read_host_facts())),
    )


class NativeMode:
    """A target's root whose programs run on this machine, with the target's cores and memory."""

    def __init__(
        self,
        target: Target,
        stand_in: Standing,
        folder: Path,
        progress: Progress = lambda _fraction: None,
    ) -> None:
        """Get the root; `folder` is for files of a run.

        Raises:
            BundleError, ConfigError, HostError: as base_root.
            HostError: this machine has another processor.
        """
        architecture = target.cpu.architecture
        if architecture not in LOADERS or not runs_natively(target):
            what = f"this machine is no {architecture}, so nothing for it runs here natively"
            raise HostError(what, where=target.name)
        root = base_root(stand_in.suite, stand_in.python, architecture, progress=progress)
        self._command = _python_of(root, architecture, stand_in.python)
        self._cores = int(target.cpu.cores.value)
        self._memory_bytes = int(target.memory.usable_bytes.value)
        self._peak_file = folder / "peak"
        self._peak_bytes: int | None = None

    @property
    def peak_bytes(self) -> int | None:
        """The most memory that a process of the programs so far had resident; None: none ended."""
        return self._peak_bytes

    def run(
        self,
        program: Path,
        *arguments: str,
        home: Path,
        wall_s: float,
        counted: Path | None = None,  # noqa: ARG002 - this processor does not count for us
    ) -> Ran:
        """Run a program with the root's Python; it is killed after `wall_s`, with what it started.

        Raises:
            HostError: it cannot be started.
        """
        self._peak_file.unlink(missing_ok=True)
        # No packages of the user's: what a board's Python sees is in the root or in the bundle.
        command = confined(
            [*self._command, "-s", str(program), *arguments],
            cores=self._cores,
            data_bytes=self._memory_bytes,
            peak=self._peak_file,
        )
        ran = run_alone(command, {"HOME": str(home), "LC_ALL": "C.UTF-8"}, wall_s=wall_s)
        self._peak_bytes = max(filter(None, (self._peak_bytes, self._read_peak())), default=None)
        return ran

    def _read_peak(self) -> int | None:
        try:
            return int(self._peak_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None  # It was killed.


def _python_of(root: Path, architecture: str, python: str) -> tuple[str, ...]:
    """Return the command that starts a root's Python with the root's own libraries first.

    Without the loader before it, the kernel would take this machine's, which may be older than
    the root's C library, or another one.
    """
    loader, triplet = LOADERS[architecture]
    return (
        str(root / loader),
        "--inhibit-cache",
        "--library-path",
        str(root / "usr" / "lib" / triplet),
        str(root / "usr" / "bin" / f"python{python}"),
    )


def _differences(target: Target, facts: HostFacts) -> tuple[str, ...]:
    said = ["A shared library that the root lacks is looked for on this machine."]
    cores, usable = int(target.cpu.cores.value), int(target.memory.usable_bytes.value)
    here = min(len(os.sched_getaffinity(0)), facts.cores_allowed)
    if facts.cpu_quota is not None:
        here = min(here, max(1, int(facts.cpu_quota)))
    if here < cores:
        said.append(f"It has {cores} cores, and {here} of this machine can be used.")
    sizes = [size for size in (facts.memory_bytes, facts.memory_limit_bytes) if size is not None]
    if sizes and min(sizes) < usable:
        least, most = format_bytes(min(sizes)), format_bytes(usable)
        said.append(f"A program can have {most} of memory there, and {least} here.")
    said.append(
        f"Memory is limited to {format_bytes(usable)} of private data a process: more is refused "
        "here, where the target kills."
    )
    said.extend(_processor_differences(target.cpu.features, facts.cpu_features))
    return tuple(said)


def _processor_differences(there: tuple[str, ...], here: tuple[str, ...]) -> list[str]:
    """Say which kernels of a runtime can be chosen only there, or only here."""
    if not here:
        return ["Which instructions this machine's processor has cannot be read."]
    fewer = [name for name in there if name.startswith(_TELLING) and name not in here]
    more = [name for name in here if name.startswith(_TELLING) and name not in there]
    said = []
    if fewer:
        said.append(f"This machine's processor lacks {', '.join(fewer)}.")
    if more:
        said.append(f"This machine's processor also has {', '.join(sorted(more))}.")
    return said
