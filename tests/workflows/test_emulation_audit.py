"""What compiled files of a bundle need beyond what a target has, with a real one of this machine."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from altered_bundle import altered, in_wheel
from small_bundle import WHEEL, tiny_wheel, write_small

from edge.adapters.elf import elf_needs
from edge.adapters.targets import load_target
from edge.device.bundle import open_bundle
from edge.device.fit import this_machine
from edge.errors import BundleError
from edge.records.target import Target
from edge.workflows.emulation_audit import audit_findings

# A small one of C that uses numpy's own interface.
(LIBRARY,) = Path(np.__file__).parent.glob("linalg/_umath_linalg*.so")
NEEDS = elf_needs(LIBRARY.read_bytes())
NAME = LIBRARY.name


def target(**changes: Any) -> Target:
    """Return a target on which bundles of this machine run; `changes` are its system's."""
    machine = this_machine()
    known = load_target("cloud-cpu")
    system = replace(known.os, python=machine.python, glibc="2.99", libstdcxx="3.4.99")
    return replace(
        known,
        cpu=replace(known.cpu, architecture=machine.architecture),
        os=replace(system, **changes),
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a bundle with a real compiled module in its wheel."""
    wheel = tiny_wheel({f"tiny/{NAME}": LIBRARY.read_bytes()})
    return write_small(tmp_path_factory.mktemp("audit") / "small.pyz", wheel=wheel).path


def found(bundle: Path, on: Target) -> list[tuple[str, str | None, str | None, str]]:
    with open_bundle(str(bundle)) as opened:
        findings = audit_findings(bundle, opened.manifest, on)
    assert all(finding.step == "audit" and finding.remedy for finding in findings)
    return [(f.kind, f.library, f.missing, f.what) for f in findings]


def test_a_bundle_that_finds_what_it_needs(bundle: Path) -> None:
    assert found(bundle, target()) == []
    assert found(bundle, target(glibc="2.17", libstdcxx="3.4.1")) == []


def test_an_older_c_library(bundle: Path) -> None:
    version = f"GLIBC_{NEEDS.glibc}"
    what = f"{NAME} needs {version}, and cloud-cpu has GLIBC_2.1"
    assert found(bundle, target(glibc="2.1")) == [("missing-symbol-version", NAME, version, what)]


def test_an_older_cpp_library(bundle: Path, tmp_path: Path) -> None:
    needed = f"GLIBC_{NEEDS.glibc}"
    version = "GLIBCXX_".ljust(len(needed), "9")

    def of_cpp(data: bytes) -> bytes:
        return data.replace(needed.encode() + b"\0", version.encode() + b"\0")

    made = altered(bundle, tmp_path / "cpp.pyz", {WHEEL: in_wheel({NAME: of_cpp})})
    what = f"{NAME} needs {version}, and cloud-cpu has GLIBCXX_3.4.99"
    assert found(made.path, target()) == [("missing-symbol-version", NAME, version, what)]


def test_the_manifest_is_held_to_the_target_even_where_the_files_would_do(
    bundle: Path, tmp_path: Path
) -> None:
    made = altered(bundle, tmp_path / "manifest.pyz", glibc="2.98", python="3.2")
    here = this_machine().python
    assert found(made.path, target(glibc="2.90")) == [
        ("misfit", None, "Python 3.2", f"made for Python 3.2, this is {here}"),
        (
            "missing-symbol-version",
            None,
            "GLIBC_2.98",
            "the bundle needs GLIBC_2.98, and the system has GLIBC_2.90",
        ),
    ]


def test_a_compiled_file_for_another_processor(bundle: Path, tmp_path: Path) -> None:
    def for_riscv(data: bytes) -> bytes:
        # e_machine: EM_RISCV.
        return data[:18] + (243).to_bytes(2, "little") + data[20:]

    made = altered(bundle, tmp_path / "riscv.pyz", {WHEEL: in_wheel({NAME: for_riscv})})
    here = this_machine().architecture
    what = f"{NAME} is compiled for ELF machine 243, and cloud-cpu is {here}"
    assert found(made.path, target()) == [("misfit", NAME, "ELF machine 243", what)]


def test_a_bundle_for_another_processor_is_one_finding(bundle: Path) -> None:
    other = target()
    other = replace(other, cpu=replace(other.cpu, architecture="armv7l"))
    here = this_machine().architecture
    what = f"made for {here}, this machine is armv7l"
    assert found(bundle, other) == [("misfit", None, here, what)]


@pytest.mark.parametrize(("version", "fits"), [("1.26.4", True), ("2.1.0", False)])
def test_a_module_that_is_compiled_for_numpy_1(
    bundle: Path, tmp_path: Path, version: str, *, fits: bool
) -> None:
    def for_numpy_1(data: bytes) -> bytes:
        for_both = b"numpy._core._multiarray_umath"
        return data.replace(for_both, b"?" * len(for_both)) + b"numpy.core.multiarray\0"

    made = altered(bundle, tmp_path / "numpy.pyz", {WHEEL: in_wheel({NAME: for_numpy_1})})
    known = target()
    provided = replace(
        known.runtimes[0], distribution="onnxruntime", provided=(f"numpy=={version}",)
    )
    what = f"{NAME} is compiled for numpy 1, and numpy 2.1.0 comes with it"
    expected = [] if fits else [("import-failure", NAME, "numpy", what)]
    assert found(made.path, replace(known, runtimes=(provided,))) == expected


def test_a_release_that_is_known_to_fail_there(bundle: Path, tmp_path: Path) -> None:
    made = altered(bundle, tmp_path / "known.pyz", runtime_version="1.21.0", architecture="aarch64")
    arm = target()
    arm = replace(arm, cpu=replace(arm.cpu, architecture="aarch64", features=("fp", "asimd")))
    ((kind, library, missing, what),) = [
        each for each in found(made.path, arm) if each[0] == "illegal-instruction"
    ]
    assert (kind, library, missing) == ("illegal-instruction", None, "asimdhp")
    assert what.startswith("onnxruntime 1.21.0 stops with an illegal instruction on processors ")


def test_a_damaged_wheel_is_refused(bundle: Path, tmp_path: Path) -> None:
    made = altered(bundle, tmp_path / "bomb.pyz")
    with open_bundle(str(made.path)) as opened:
        manifest = opened.manifest
    wheels = tuple(replace(wheel, unpacked_bytes=9) for wheel in manifest.wheels)
    with pytest.raises(BundleError) as caught:
        audit_findings(made.path, replace(manifest, wheels=wheels), target())
    assert caught.value.what == (
        "a damaged wheel: tiny-1.0-py3-none-any.whl does not unpack to 9 bytes"
    )


def test_a_damaged_compiled_file_is_refused(bundle: Path, tmp_path: Path) -> None:
    made = altered(bundle, tmp_path / "cut.pyz", {WHEEL: in_wheel({NAME: lambda d: d[:100]})})
    with pytest.raises(BundleError, match="a damaged wheel: "):
        found(made.path, target())
