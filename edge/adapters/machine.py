"""Boots an emulated machine of a given memory and runs a bundle in it: qemu's full system.

No rights, no network, no KVM. The disk stays as it is: what a machine writes goes to a file that
is deleted with it. Why: docs/adr/0017-full-system.md.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.adapters.files import host_error
from edge.adapters.machine_console import Booted, failure_words, read_console
from edge.adapters.machine_kernel import Kernel
from edge.adapters.programs import HostProgram
from edge.device.executed import python_command
from edge.errors import EmulationError, HostError, printable

Progress = Callable[[float], None]

# How long the bundle may take in there; the machine itself a little longer.
_WALL_S: Final = 900
_STARTING_S: Final = 300
# How often whoever waits is told that it goes on.
_LOOK_S: Final = 0.5
_LARGEST_CONSOLE_BYTES: Final = 32 << 20
# However this process ends, the machine gets a SIGTERM then, which turns it off.
_DYING_WITH_US: Final = python_command("from edge.device.child import become; become()", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine without its memory: what runs it, its kernel, disk and cores."""

    emulator: HostProgram
    kernel: Kernel
    disk: Path
    python: str
    qemu_cpu: str
    cores: int

    def boot(
        self,
        memory_bytes: int,
        *,
        usable_bytes: int | None = None,
        reserved_bytes: int = 0,
        progress: Progress = lambda _fraction: None,
    ) -> Booted:
        """Start it with so much memory, run the bundle in it, and return what it told.

        Of the memory that it has free, all but `usable_bytes` is taken away first; without them
        just `reserved_bytes` is.

        Raises:
            EmulationError: it did not start, or ended without a report.
            HostError: qemu cannot be started, or there is no room for what the machine writes.
        """
        taken = f"edgekit.reserve={reserved_bytes >> 10}"
        if usable_bytes is not None:
            taken = f"edgekit.usable={usable_bytes >> 10}"
        told = f"{taken} edgekit.wall={_WALL_S} edgekit.python={self.python}"
        try:
            with tempfile.TemporaryDirectory(prefix="boot-", dir=self.disk.parent) as scratch:
                console = Path(scratch) / "console"
                complaint = self._run(memory_bytes, told, Path(scratch), console, progress)
                printed = _printed(console)
        except OSError as error:
            raise host_error(error, self.disk.parent) from error
        booted = read_console(printed)
        if booted is None:
            if "cannot set up guest memory" in complaint:
                what = f"this machine has too little memory to emulate {memory_bytes >> 20} MiB"
                raise HostError(what, hint="take another machine, or leave out --full-system")
            words = complaint or failure_words(printed)
            what = (
                f"the machine with {memory_bytes >> 20} MiB did not report: {printable(words, 300)}"
            )
            raise EmulationError(what)
        return booted

    def _command(self, memory_bytes: int, told: str, console: Path) -> list[str]:
        drive = f"file={_escaped(self.disk)},format=raw,if=none,id=disk,snapshot=on,cache=unsafe"
        return [
            *self.emulator.command,
            *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
            *("-monitor", "none", "-nic", "none"),
            *("-M", "virt", "-accel", "tcg", "-cpu", self.qemu_cpu),
            *("-smp", str(self.cores), "-m", str(memory_bytes >> 20)),
            *("-kernel", str(self.kernel.image), "-initrd", str(self.kernel.initramfs)),
            *("-append", f"console=ttyAMA0 panic=-1 loglevel=5 {told}"),
            *("-drive", drive, "-device", "virtio-blk-device,drive=disk"),
            *(
                "-chardev",
                f"file,id=console,path={_escaped(console)}",
                "-serial",
                "chardev:console",
            ),
        ]

    def _run(
        self, memory_bytes: int, told: str, scratch: Path, console: Path, progress: Progress
    ) -> str:
        """Run qemu to its end, or end it; return what it complained of."""
        complaints = scratch / "complaints"
        with complaints.open("wb") as complaint:
            try:
                process = subprocess.Popen(
                    [
                        *_DYING_WITH_US,
                        str(os.getpid()),
                        *self._command(memory_bytes, told, console),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=complaint,
                    stderr=complaint,
                    start_new_session=True,
                    # What the machine writes lies in TMPDIR.
                    env={
                        "PATH": os.defpath,
                        "LC_ALL": "C",
                        "TMPDIR": str(scratch),
                        **self.emulator.environment,
                    },
                    cwd=scratch,
                )
            except OSError as error:
                what = f"cannot be started: {(error.strerror or str(error)).lower()}"
                raise HostError(what, where=self.emulator.command[0]) from error
            try:
                _wait(process, progress)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        if process.returncode == 0:
            return ""
        lines = complaints.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else f"qemu ended with status {process.returncode}"


def host_memory_bytes() -> int:
    """Return the memory that this machine has: no emulated one can use more."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _wait(process: "subprocess.Popen[bytes]", progress: Progress) -> None:
    """Wait until a machine has ended, or has had its time."""
    for look in range(int((_WALL_S + _STARTING_S) / _LOOK_S)):
        try:
            process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            # How far it is, nobody knows: half of what is left after half a minute more.
            progress(1 - 1 / (1 + look * _LOOK_S / 30))
        else:
            break


def _printed(console: Path) -> bytes:
    """Return the end of what was printed: the report comes last."""
    with console.open("rb") as file:
        file.seek(max(console.stat().st_size - _LARGEST_CONSOLE_BYTES, 0))
        return file.read()


def _escaped(path: Path) -> str:
    """Return a path as a value of qemu's options: a comma would end it."""
    return str(path).replace(",", ",,")
