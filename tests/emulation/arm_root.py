"""A 64-bit Arm system to start programs in: Debian's packages, the target's /proc, qemu-user.

qemu translates the program; `-L` makes its opens find the root's files first. What that does not
cover: a program that it starts is looked for on this machine, and scheduling calls tell of this
machine's cores. So times are no times, and whatever starts a second program does not work.
"""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.adapters.debian import fetch_packages, python_root, unpack_packages
from edge.adapters.debian_sources import KEYRING
from edge.device.facts import _ARM_PARTS
from edge.records.target import Target

QEMU: Final = "qemu-aarch64"
_ARCHITECTURE: Final = "aarch64"
# It can spin and ignore SIGTERM, so this ends it with SIGKILL; a sound start takes seconds.
_LONGEST_S: Final = 240


@dataclass(frozen=True)
class ArmRoot:
    """A root with one Python, dressed as one target."""

    folder: Path
    python: str
    cpu: str

    def start(
        self, program: Path, *arguments: str, home: Path
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program with the root's Python to its end; of the environment it gets HOME alone."""
        interpreter = self.folder / "usr" / "bin" / f"python{self.python}"
        return run_program([*self.emulator(), str(interpreter), str(program), *arguments], home)

    def emulator(self) -> tuple[str, ...]:
        """Return the command that goes before a program of this root."""
        return (QEMU, "-cpu", self.cpu, "-L", str(self.folder))


def run_program(command: Sequence[str], home: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, or end it; nothing of our environment reaches it."""
    path = shutil.which(command[0])
    assert path is not None
    return subprocess.run(
        [path, *command[1:]],
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST_S,
        stdin=subprocess.DEVNULL,
        env={"HOME": str(home), "LC_ALL": "C.UTF-8"},
        cwd="/",
    )


def missing_tools() -> list[str]:
    """Return the packages that this machine lacks to make a root and to start programs in it."""
    found = {
        "qemu-user": shutil.which(QEMU) is not None,
        "apt": shutil.which("apt-get") is not None,
        "debian-archive-keyring": KEYRING.is_file(),
    }
    return [package for package, is_there in found.items() if not is_there]


def make_root(folder: Path, suite: str, python: str) -> Path:
    """Make a root with the Python of a Debian release, from the signed archive or the cache."""
    names = python_root(suite, python, _ARCHITECTURE)
    unpack_packages(fetch_packages(names, suite=suite, architecture=_ARCHITECTURE), folder)
    return folder


def dressed_root(base: Path, folder: Path, target: Target) -> ArmRoot:
    """Return a root with the files of `base` and what /proc and /sys say on the target.

    Without an Arm /proc/cpuinfo onnxruntime and ai-edge-litert end in a segmentation fault when
    they are imported: the library that they ask for the processor finds none.
    """
    assert target.emulation is not None
    # Links to the base cost no space, and no target's /proc gets into another's root.
    folder.mkdir(parents=True)
    for entry in base.iterdir():
        if entry.name not in ("proc", "sys"):
            (folder / entry.name).symlink_to(entry.resolve())
    for name, text in _overlay(target).items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="ascii")
    return ArmRoot(folder, target.os.python, target.emulation.qemu_cpu)


def _overlay(target: Target) -> dict[str, str]:
    """Return what a target's kernel shows of it, as far as a runtime or a bundle looks."""
    cores = int(target.cpu.cores.value)
    kilobytes = int(target.memory.usable_bytes.value) >> 10
    online = f"0-{cores - 1}\n"
    return {
        "proc/cpuinfo": "".join(_processor(target, number) for number in range(cores)),
        "proc/meminfo": f"MemTotal: {kilobytes:14} kB\nMemAvailable: {kilobytes:10} kB\n",
        "proc/device-tree/model": target.title + "\0",
        **{f"sys/devices/system/cpu/{name}": online for name in ("online", "possible", "present")},
    }


def _processor(target: Target, number: int) -> str:
    assert target.emulation is not None
    # qemu's word for a core is Arm's name for it in lower case.
    parts = {name.lower(): part for part, name in _ARM_PARTS.items()}
    lines = {
        "processor": str(number),
        "BogoMIPS": "108.00",
        "Features": " ".join(target.cpu.features),
        "CPU implementer": "0x41",
        "CPU architecture": "8",
        "CPU variant": "0x0",
        "CPU part": parts[target.emulation.qemu_cpu],
        "CPU revision": "3",
    }
    return "".join(f"{key}\t: {value}\n" for key, value in lines.items()) + "\n"
