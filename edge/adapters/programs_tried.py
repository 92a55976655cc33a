"""The programs of emulation: what each has to be, asked of the program itself.

Starts them; nothing but their version and what they can do is asked here.
"""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

# It answers at once; one that does not is not what it is called.
_LONGEST_S: Final = 20
# The oldest that is known to have every core that a target names, and -d of mke2fs.
_OLDEST: Final = {"qemu": (7, 2), "mke2fs": (1, 43)}
_VERSION: Final = re.compile(r"(?:version|^mke2fs) (\d+)\.(\d+)(?:\.(\d+))?", re.MULTILINE)
# A library that every program has loaded, and that is no plugin: only one that can open plugins at
# all gets so far as to miss a symbol in it.
_NO_PLUGIN: Final = ("-plugin", "libc.so.6", "none")
_OPENED: Final = "qemu_plugin"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostProgram:
    """A program of this machine; `command` goes before its arguments, `environment` is added."""

    name: str
    command: tuple[str, ...]
    version: str
    origin: Literal["installed", "fetched"]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Where a program comes from: Debian's package, and the releases in which it does."""

    name: str
    programs: tuple[str, ...]
    suites: tuple[str, ...]
    asked: str = "--version"
    data: str | None = None
    without: tuple[str, ...] = ()


# From Debian 13 on, qemu-user is linked statically and loads no plugins.
_USER: Final = Package(
    name="qemu-user",
    programs=("usr/bin/qemu-aarch64", "usr/bin/qemu-arm"),
    suites=("bookworm",),
)
PACKAGES: Final = {
    "qemu-aarch64": _USER,
    "qemu-arm": _USER,
    "qemu-system-aarch64": Package(
        name="qemu-system-arm",
        programs=("usr/bin/qemu-system-aarch64",),
        suites=("bookworm", "trixie"),
        data="usr/share/qemu",
        without=("iso-codes", "libasound2-data"),
    ),
    "mke2fs": Package(
        name="e2fsprogs", programs=("usr/sbin/mke2fs",), suites=("bookworm", "trixie"), asked="-V"
    ),
}


def checked(program: HostProgram, package: Package) -> tuple[str | None, str]:
    """Return the version of a program that does, or None and why it does not."""
    said = answer(program, package.asked)
    told = _VERSION.search(said)
    if told is None:
        return None, "it does not say its version"
    version = ".".join(part for part in told.groups() if part is not None)
    oldest = _OLDEST["mke2fs" if program.name == "mke2fs" else "qemu"]
    if (int(told[1]), int(told[2])) < oldest:
        return None, f"its version {version} is older than {'.'.join(map(str, oldest))}"
    if package is _USER and _OPENED not in answer(program, *_NO_PLUGIN):
        return None, f"version {version} loads no plugins"
    return version, ""


def answer(program: HostProgram, *arguments: str) -> str:
    """Return what a program says, or why it cannot be started or does not end."""
    try:
        done = subprocess.run(
            [*program.command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**program.environment, "LC_ALL": "C"},
            timeout=_LONGEST_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout.decode("utf-8", "replace")
