"""Whether a bundle fits a machine: every reason why not."""

import sys
from dataclasses import replace
from typing import Any

import pytest

from edge.device.bundle import Bundle
from edge.device.fit import Machine, misfits, this_machine, userland

PI = Machine(
    architecture="aarch64",
    python="3.11",
    glibc="2.36",
    libstdcxx="3.4.30",
    cpu_features=("fp", "asimd", "crc32"),
)


@pytest.mark.parametrize(
    ("machine", "reasons"),
    [
        ({}, ()),
        ({"architecture": "x86_64"}, ("made for aarch64, this machine is x86_64",)),
        ({"python": "3.13"}, ("made for Python 3.11, this is 3.13: run it with python3.11",)),
        ({"glibc": "2.31"}, ("needs glibc 2.34, this system has 2.31",)),
        ({"glibc": "2.4"}, ("needs glibc 2.34, this system has 2.4",)),
        ({"glibc": "2.100"}, ()),
        ({"glibc": ""}, ("needs the GNU C library, which this system does not have",)),
        ({"libstdcxx": "3.4.9"}, ("needs GLIBCXX_3.4.22, this system's libstdc++6 has 3.4.9",)),
        (
            {"libstdcxx": ""},
            ("needs the C++ library libstdc++6, which this system does not have",),
        ),
        ({"libstdcxx": None}, ()),
        ({"cpu_features": ("fp",)}, ("this processor lacks asimd",)),
        ({"cpu_features": ()}, ()),
    ],
)
def test_misfits(opened: Bundle, machine: dict[str, Any], reasons: tuple[str, ...]) -> None:
    manifest = replace(
        opened.manifest,
        architecture="aarch64",
        python="3.11",
        glibc="2.34",
        libstdcxx="3.4.22",
        cpu_features=("asimd", "fp"),
    )
    assert misfits(manifest, replace(PI, **machine)) == reasons


def test_a_32_bit_system_on_a_64_bit_kernel_is_32_bit() -> None:
    assert userland("aarch64", is_64_bit=False) == "armv7l"
    assert userland("aarch64", is_64_bit=True) == "aarch64"
    assert userland("armv7l", is_64_bit=False) == "armv7l"


def test_a_64_bit_kernel_spells_neon_asimd(opened: Bundle) -> None:
    manifest = replace(opened.manifest, architecture="armv7l", cpu_features=("neon", "vfpv3"))
    machine = replace(this_machine(), architecture="armv7l", cpu_features=("fp", "asimd"))
    assert misfits(manifest, machine) == ()


def test_this_machine_is_read() -> None:
    machine = this_machine()
    assert machine.python == "{}.{}".format(*sys.version_info[:2])
    assert machine.glibc.startswith("2.")
    # numpy needs it, so it is here.
    assert machine.libstdcxx is not None
    assert machine.libstdcxx.startswith("3.4.")
