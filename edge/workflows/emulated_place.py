"""Sets up what stands in for a target: an emulator and a root, or this machine under limits."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from edge.adapters.counter import counter_plugin
from edge.adapters.files import host_error
from edge.adapters.native import NativeMode, native_place, runs_natively
from edge.adapters.programs import host_program
from edge.adapters.qemu_user import UserMode
from edge.adapters.roots import base_root, dressed_root
from edge.adapters.runner import Runner
from edge.errors import HostError
from edge.reasoning.board_files import board_files
from edge.reasoning.stand_in import StandIn, system_packages
from edge.records.emulation import Place
from edge.records.target import Target
from edge.workflows.shares import Shares

Progress = Callable[[float], None]

_EMULATORS: Final = {"aarch64": "qemu-aarch64", "armv7l": "qemu-arm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """A place that is ready: `runner` runs a bundle's commands there, `folder` is for its files.

    `uncounted` is the reason why no instructions can be counted there, None where they can.
    `peak_bytes` tells the most memory that a native program has had; None: it is not known.
    """

    place: Place
    runner: Runner
    folder: Path
    mode: Literal["user", "native"]
    uncounted: str | None
    peak_bytes: Callable[[], int | None] = lambda: None


@contextmanager
def set_up(
    target: Target, stand_in: StandIn, *, count: bool, progress: Progress
) -> Iterator[SetUp]:
    """Give a place for a target, made from the cache or for the cache; its folder goes afterwards.

    Raises:
        ConfigError: the target cannot be emulated.
        HostError: what it needs cannot be had here, with a remedy.
    """
    try:
        scratch = tempfile.TemporaryDirectory(prefix="edgekit-emulate-", ignore_cleanup_errors=True)
    except OSError as error:
        raise host_error(error, tempfile.gettempdir()) from error
    with scratch as name:
        folder = Path(name)
        if runs_natively(target):
            yield _native(target, stand_in, folder, progress)
        else:
            yield _emulated(target, stand_in, folder, count=count, progress=progress)


def _emulated(
    target: Target, stand_in: StandIn, folder: Path, *, count: bool, progress: Progress
) -> SetUp:
    architecture = target.cpu.architecture
    if stand_in.qemu_cpu is None or architecture not in _EMULATORS:
        hint = f"emulate it on a machine that is {architecture}"
        raise HostError(f"nothing stands in for {architecture} here", where=target.name, hint=hint)
    shares = Shares(progress)
    emulator = host_program(_EMULATORS[architecture], shares.of(0.3))
    plugin, uncounted = _counter() if count else (None, "not asked for")
    base = base_root(
        stand_in.suite,
        stand_in.python,
        architecture,
        apt_packages=system_packages(target),
        progress=shares.of(0.7),
    )
    root = dressed_root(base, folder / "root", board_files(target))
    place = Place(
        system=stand_in.system,
        python=stand_in.python,
        glibc=stand_in.glibc,
        qemu_cpu=stand_in.qemu_cpu,
        emulator=f"{emulator.name} {emulator.version}",
        differences=stand_in.differences,
    )
    runner = UserMode(emulator, root, python=stand_in.python, cpu=stand_in.qemu_cpu, plugin=plugin)
    return SetUp(place=place, runner=runner, folder=folder, mode="user", uncounted=uncounted)


def _counter() -> tuple[Path | None, str | None]:
    """Return the plugin, or why there is none: everything else works without."""
    try:
        return counter_plugin(), None
    except HostError as error:
        remedy = f" ({error.hint})" if error.hint else ""
        return None, f"{error.what}{remedy}"


def _native(target: Target, stand_in: StandIn, folder: Path, progress: Progress) -> SetUp:
    runner = NativeMode(target, stand_in, folder, progress)
    return SetUp(
        place=native_place(target, stand_in),
        runner=runner,
        folder=folder,
        mode="native",
        uncounted="it runs natively, and nothing counts there",
        peak_bytes=lambda: runner.peak_bytes,
    )
