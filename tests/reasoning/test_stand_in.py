"""What stands in for a target, and in what it differs."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.adapters.targets import load_target, load_targets
from edge.errors import ConfigError
from edge.reasoning.stand_in import StandIn, stand_in_for, stand_in_target
from edge.records.target import Emulation, Target

RPI4 = load_target("rpi4")


def with_system(python: str, glibc: str, libstdcxx: str = "3.4.28") -> Target:
    return replace(
        RPI4, os=replace(RPI4.os, python=python, glibc=glibc, libstdcxx=libstdcxx, name="Own")
    )


@pytest.mark.parametrize(
    ("name", "suite", "core", "exact"),
    [
        ("rpi-zero2w", "bookworm", "cortex-a53", True),
        ("rpi3", "bookworm", "cortex-a53", True),
        ("rpi4", "bookworm", "cortex-a72", True),
        ("rpi4-32bit", "bookworm", "cortex-a15", True),
        ("rpi5", "bookworm", "cortex-a76", True),
        ("jetson-nano", "bullseye", "cortex-a57", False),
        ("jetson-orin-nano", "bookworm", "cortex-a76", False),
        ("cloud-cpu-arm", "bookworm", "neoverse-n1", True),
        ("cloud-cpu", "bookworm", None, True),
        ("cloud-cpu-4c", "bookworm", None, True),
    ],
)
def test_the_release_for_each_target(
    *, name: str, suite: str, core: str | None, exact: bool
) -> None:
    stand_in = stand_in_for(load_target(name))
    assert (stand_in.suite, stand_in.qemu_cpu, stand_in.exact) == (suite, core, exact)


def test_every_target_stands_in_or_says_why_not() -> None:
    for target in load_targets():
        if target.kind == "cloud-gpu":
            with pytest.raises(ConfigError):
                stand_in_for(target)
        else:
            assert stand_in_for(target).architecture == target.cpu.architecture


@pytest.mark.parametrize(
    ("python", "glibc", "suite"),
    [
        ("3.13", "2.41", "trixie"),
        ("3.12", "2.39", "trixie"),
        ("3.8", "2.31", "bullseye"),
        # 3.9 and 3.11 are as near; bullseye would refuse what needs GLIBC_2.35.
        ("3.10", "2.35", "bookworm"),
        # Both have all that the board has: the nearer C library.
        ("3.10", "2.31", "bullseye"),
        # Its Python counts for more than its C library.
        ("3.11", "2.38", "bookworm"),
        ("3.14", "2.42", "trixie"),
    ],
)
def test_the_rule(python: str, glibc: str, suite: str) -> None:
    assert stand_in_for(with_system(python, glibc)).suite == suite


def test_an_older_library_is_not_exact() -> None:
    stand_in = stand_in_for(with_system("3.11", "2.38"))
    assert not stand_in.exact
    assert stand_in.differences == (
        "The system is Debian 12 (bookworm), arm64 and not Own.",
        (
            "The C library has glibc 2.36 and not glibc 2.38: what needs more than glibc 2.36 fails "
            "here, and may work on the board."
        ),
        (
            "The C++ library has GLIBCXX_3.4.30 and not GLIBCXX_3.4.28: what needs more than the "
            "board has is found by looking at the files."
        ),
    )
    assert stand_in_target(with_system("3.11", "2.38"), stand_in).os.glibc == "2.36"


def test_a_raspberry_pi() -> None:
    assert stand_in_for(RPI4) == StandIn(
        suite="bookworm",
        architecture="aarch64",
        python="3.11",
        glibc="2.36",
        libstdcxx="3.4.30",
        system="Debian 12 (bookworm), arm64",
        qemu_cpu="cortex-a72",
        exact=True,
        differences=(
            "The system is Debian 12 (bookworm), arm64 and not Raspberry Pi OS Bookworm, 64-bit.",
        ),
    )
    assert stand_in_target(RPI4, stand_in_for(RPI4)) is RPI4


def test_the_differences_of_a_jetson_nano() -> None:
    files = "what needs more than the board has is found by looking at the files."
    assert stand_in_for(load_target("jetson-nano")).differences == (
        (
            "The system is Debian 11 (bullseye), arm64 and not JetPack 4.6 (Ubuntu 18.04) with "
            "python3.8 from its archive."
        ),
        "Python is 3.9 and not 3.8: every compiled package is another file of the same project.",
        f"The C library has glibc 2.31 and not glibc 2.27: {files}",
        f"The C++ library has GLIBCXX_3.4.28 and not GLIBCXX_3.4.25: {files}",
        "There is no 128-core Maxwell GPU, 921 MHz.",
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "jetson-orin-nano",
            (
                "The emulated core is cortex-a76 and not Cortex-A78AE: it lacks uscat, ilrcpc, flagm, "
                "paca, pacg."
            ),
        ),
        ("rpi4-32bit", "The emulated core is cortex-a15 and not Cortex-A72: it lacks crc32."),
        (
            "cloud-cpu",
            (
                "It runs on this machine's processor and kernel, not on Intel Xeon Scalable, "
                "Sapphire Rapids."
            ),
        ),
    ],
)
def test_the_processor_differs(name: str, sentence: str) -> None:
    assert sentence in stand_in_for(load_target(name)).differences


def test_the_target_that_a_jetson_nano_becomes() -> None:
    nano = load_target("jetson-nano")
    target = stand_in_target(nano, stand_in_for(nano))
    assert (target.name, target.aliases) == ("jetson-nano-stand-in", ())
    assert (target.os.python, target.os.glibc, target.os.libstdcxx) == ("3.9", "2.27", "3.4.25")
    kept = [(runtime.distribution, runtime.version) for runtime in target.runtimes]
    assert kept == [(runtime.distribution, runtime.version) for runtime in nano.runtimes]
    for runtime in target.runtimes:
        assert (runtime.wheels, runtime.apt_packages, runtime.provided) == ((), (), ())
    assert target.memory == nano.memory


def test_what_the_system_provides_stays() -> None:
    board = load_target("rpi4-32bit")
    other = replace(board, os=replace(board.os, python="3.10"))
    (runtime,) = stand_in_target(other, stand_in_for(other)).runtimes
    assert runtime.apt_packages == ("python3-numpy",)
    assert runtime.provided == ("numpy==1.24.2",)


def test_a_gpu_in_a_cloud_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        stand_in_for(load_target("cloud-gpu-t4"))
    assert str(caught.value) == "cloud-gpu-t4: a GPU cannot be emulated"
    assert caught.value.hint == (
        "emulate cloud-cpu for the same system without a GPU, and measure on the GPU itself"
    )


def test_a_target_without_a_core_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        stand_in_for(replace(RPI4, emulation=None))
    assert str(caught.value) == "rpi4: its file names no core to emulate"
    assert caught.value.hint == (
        "give it [emulation] with qemu_cpu, one of cortex-a7, cortex-a15, cortex-a35, cortex-a53, "
        "cortex-a57, cortex-a72, cortex-a76, neoverse-n1"
    )
    with pytest.raises(ConfigError) as caught:
        stand_in_for(replace(RPI4, emulation=Emulation(qemu_cpu="cortex-x9")))
    assert str(caught.value) == "rpi4: no emulated core is known as cortex-x9"


@given(python=st.integers(6, 15), glibc=st.integers(17, 45), cxx=st.integers(20, 36))
def test_what_is_made_for_the_stand_in_runs_there_and_asks_no_more_than_the_board(
    python: int, glibc: int, cxx: int
) -> None:
    target = with_system(f"3.{python}", f"2.{glibc}", f"3.4.{cxx}")
    stand_in = stand_in_for(target)
    made_for = stand_in_target(target, stand_in).os
    assert made_for.python == stand_in.python
    release = int(stand_in.glibc.split(".")[1])
    assert int(made_for.glibc.split(".")[1]) == min(glibc, release)
    assert int(made_for.libstdcxx.split(".")[2]) <= min(cxx, int(stand_in.libstdcxx.split(".")[2]))
    assert stand_in.exact == (made_for == target.os)
