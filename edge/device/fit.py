"""Whether a bundle fits the machine it is on: processor, Python, C and C++ library.

Device slice: Python 3.8.
"""

import ctypes
import importlib.util
import re
import sys
import sysconfig
from dataclasses import dataclass
from typing import Optional, Tuple

from edge.device.facts import read_host_facts
from edge.records.host import HostFacts
from edge.records.manifest import Manifest, lacking_features

_GLIBCXX = re.compile(rb"GLIBCXX_(3\.4\.\d+)\0")
# A 32-bit system on a 64-bit kernel: the kernel's name for the machine says nothing of its wheels.
_ARCHITECTURE_OF_32_BIT = {"aarch64": "armv7l", "armv8l": "armv7l", "x86_64": "i686"}


@dataclass(frozen=True)
class Machine:
    """What wheels need of a machine; None is unknown, and "" a library that is not there."""

    architecture: str
    python: str
    glibc: str
    libstdcxx: Optional[str]
    cpu_features: Tuple[str, ...]


def this_machine(facts: Optional[HostFacts] = None) -> Machine:
    """Return what this machine and the Python that runs here have."""
    known = facts or read_host_facts()
    return Machine(
        architecture=userland(known.machine, is_64_bit=sys.maxsize > 2**32),
        python=_python(),
        glibc=_glibc(known.libc),
        libstdcxx=_libstdcxx(),
        cpu_features=known.cpu_features,
    )


def userland(machine: str, *, is_64_bit: bool) -> str:
    """Return the architecture that programs are built for, from the kernel's name of it."""
    return machine if is_64_bit else _ARCHITECTURE_OF_32_BIT.get(machine, machine)


def misfits(manifest: Manifest, machine: Machine) -> Tuple[str, ...]:
    """Return the reasons why the bundle cannot run there; without any it fits."""
    if manifest.architecture != machine.architecture:
        # Everything else differs then, too, and would only distract.
        made = "made for {}, this machine is {}"
        return (made.format(manifest.architecture, machine.architecture),)
    reasons = []
    if manifest.python != machine.python:
        text = "made for Python {0}, this is {1}: run it with python{0}"
        reasons.append(text.format(manifest.python, machine.python))
    if not machine.glibc:
        reasons.append("needs the GNU C library, which this system does not have")
    elif _version(machine.glibc) < _version(manifest.glibc):
        needs = "needs glibc {}, this system has {}"
        reasons.append(needs.format(manifest.glibc, machine.glibc))
    reasons.extend(_libstdcxx_misfit(manifest.libstdcxx, machine.libstdcxx))
    # What cannot be read is no reason to refuse.
    missing = lacking_features(manifest.cpu_features, machine.cpu_features)
    if machine.cpu_features and missing:
        reasons.append("this processor lacks {}".format(", ".join(missing)))
    return tuple(reasons)


def missing_packages(manifest: Manifest) -> Tuple[str, ...]:
    """Return the system packages that the bundle relies on, if numpy is not to be had."""
    carried = any(wheel.name == "numpy" for wheel in manifest.wheels)
    found = carried or importlib.util.find_spec("numpy") is not None
    return () if found else manifest.apt_packages


def _libstdcxx_misfit(needed: Optional[str], there: Optional[str]) -> Tuple[str, ...]:
    if needed is None or there is None:
        return ()
    if not there:
        return ("needs the C++ library libstdc++6, which this system does not have",)
    if _version(there) < _version(needed):
        return ("needs GLIBCXX_{}, this system's libstdc++6 has {}".format(needed, there),)
    return ()


def _python() -> str:
    text = "{}.{}".format(*sys.version_info[:2])
    if sys.implementation.name != "cpython":
        return "{} of {}".format(text, sys.implementation.name)
    return text + "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else text


def _glibc(libc: Optional[str]) -> str:
    found = re.search(r"\d+\.\d+", libc or "")
    return found.group() if found and (libc or "").startswith("glibc") else ""


def _libstdcxx() -> Optional[str]:
    """Return the newest GLIBCXX version of the C++ library that a program would get here."""
    try:
        ctypes.CDLL("libstdc++.so.6")
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            paths = [line.split()[-1] for line in maps if "libstdc++.so" in line]
        with open(paths[0], "rb") as library:
            versions = {found.decode() for found in _GLIBCXX.findall(library.read())}
    except OSError as error:
        return "" if "cannot open shared object" in str(error) else None
    except IndexError:
        return None
    return max(versions, key=_version, default=None)


def _version(text: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))
