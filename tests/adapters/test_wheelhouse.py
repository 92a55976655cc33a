"""Wheels for a platform: which tags it takes, what its cache trusts, what an audit finds."""

import hashlib
import importlib.metadata
import struct
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from small_bundle import tiny_wheel

from edge.adapters import resolution, wheelhouse
from edge.adapters.elf import SystemNeeds, elf_needs
from edge.adapters.platform_tags import pip_options, platform_names
from edge.adapters.registry import PackagePin
from edge.adapters.targets import load_target
from edge.adapters.wheel_audit import WheelAudit, wheel_audit
from edge.adapters.wheel_set import open_wheels
from edge.adapters.wheelhouse import audit_wheels, cached_wheels, wheels_for
from edge.errors import BundleError, HostError
from edge.records.platform import Platform, platform_of
from edge.records.target import TargetRuntime, WheelPin
from edge.workflows.this_host import installed_runtimes, this_platform

PI = platform_of(load_target("rpi4"))
TINY = tiny_wheel()
PIN = WheelPin(
    name="tiny",
    version="1.0",
    filename="tiny-1.0-py3-none-any.whl",
    sha256=hashlib.sha256(TINY).hexdigest(),
    size_bytes=len(TINY),
)
RUNTIME = TargetRuntime(
    backend="onnxruntime", distribution="onnxruntime", version="1.0", wheels=(PIN,)
)


class Registry:
    """Stands in for pip: serves one wheel, and counts."""

    def __init__(self, content: bytes | None) -> None:
        self.content = content
        self.downloads = 0
        self.resolutions = 0

    def download(self, pins: Sequence[PackagePin], folder: Path, options: Sequence[str]) -> None:
        if self.content is None:
            raise HostError("the package registry does not answer")
        assert "--platform=manylinux2014_aarch64" in options
        self.downloads += 1
        for pin in pins:
            (folder / f"{pin.name}-{pin.version}-py3-none-any.whl").write_bytes(self.content)

    def resolve(
        self, requirements: Sequence[str], _options: Sequence[str]
    ) -> list[dict[str, object]]:
        if self.content is None:
            raise HostError("the package registry does not answer")
        assert list(requirements) == ["tiny==1.0", "numpy==1.26.4"]
        self.resolutions += 1
        info = {"hashes": {"sha256": hashlib.sha256(self.content).hexdigest()}}
        url = "https://registry.invalid/a%20b/tiny-1.0-py3-none-any.whl#fragment"
        metadata = {"name": "tiny", "version": "1.0"}
        return [{"metadata": metadata, "download_info": {"url": url, "archive_info": info}}]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    serving = Registry(TINY)
    monkeypatch.setattr(wheelhouse, "pip_download", serving.download)
    monkeypatch.setattr(resolution, "pip_resolve", serving.resolve)
    return serving


# Tags.


@pytest.mark.parametrize(
    ("architecture", "glibc", "first", "last", "count"),
    [
        ("aarch64", "2.36", "manylinux_2_36_aarch64", "manylinux2014_aarch64", 21),
        ("aarch64", "2.27", "manylinux_2_27_aarch64", "manylinux2014_aarch64", 12),
        ("armv7l", "2.36", "manylinux_2_36_armv7l", "manylinux2014_armv7l", 21),
        ("x86_64", "2.36", "manylinux_2_36_x86_64", "manylinux1_x86_64", 35),
    ],
)
def test_platform_names(architecture: str, glibc: str, first: str, last: str, count: int) -> None:
    names = platform_names(replace(PI, architecture=architecture, glibc=glibc))
    assert (names[0], names[-1], len(names)) == (first, last, count)


def test_a_system_without_glibc_has_no_wheels() -> None:
    with pytest.raises(BundleError, match="no wheels are made for its C library: none"):
        platform_names(replace(PI, glibc=""))


def test_pip_is_told_everything_about_the_target() -> None:
    assert pip_options(PI)[:5] == [
        "--python-version=3.11",
        "--implementation=cp",
        "--abi=cp311",
        "--abi=abi3",
        "--abi=none",
    ]


@pytest.mark.parametrize(
    ("filename", "fits"),
    [
        ("x-1-cp311-cp311-manylinux_2_28_aarch64.whl", True),
        ("x-1-cp38-abi3-manylinux2014_aarch64.whl", True),
        ("x-1-py3-none-any.whl", True),
        ("x-1-cp311-cp311-manylinux_2_37_aarch64.whl", False),
        ("x-1-cp312-cp312-manylinux_2_28_aarch64.whl", False),
        ("x-1-cp311-cp311-manylinux_2_28_x86_64.whl", False),
        ("x-1-cp311-cp311-musllinux_1_2_aarch64.whl", False),
    ],
)
def test_a_pin_has_to_fit_the_platform(registry: Registry, filename: str, *, fits: bool) -> None:
    registry.content = None
    runtime = replace(RUNTIME, wheels=(replace(PIN, filename=filename),))
    with pytest.raises(HostError if fits else BundleError) as caught:
        wheels_for(PI, runtime)
    if not fits:
        assert caught.value.what == (f"{filename} is not for aarch64, Python 3.11, glibc 2.36")


@pytest.mark.parametrize("target", ["rpi3", "rpi4", "rpi5", "jetson-orin-nano", "cloud-cpu"])
def test_every_pin_of_a_target_fits_it(registry: Registry, target: str) -> None:
    registry.content = None
    platform = platform_of(load_target(target))
    assert platform.runtimes
    for runtime in platform.runtimes:
        with pytest.raises(HostError):
            wheels_for(platform, runtime)


# The cache.


def test_a_wheel_is_downloaded_once(registry: Registry, own_cache: Path) -> None:
    ((pin, path),) = wheels_for(PI, RUNTIME)
    assert pin == PIN
    assert path == own_cache / "wheels" / PIN.sha256 / PIN.filename
    assert path.read_bytes() == TINY
    registry.content = None
    assert wheels_for(PI, RUNTIME) == ((pin, path),)
    assert registry.downloads == 1
    assert [p.name for p in (own_cache / "wheels").iterdir()] == [PIN.sha256]


def test_what_is_cached_needs_no_registry(registry: Registry) -> None:
    platform = replace(PI, held=("numpy==1.26.4",))
    unpinned = replace(RUNTIME, distribution="tiny", wheels=())
    assert cached_wheels(platform, RUNTIME) is None
    assert cached_wheels(platform, unpinned) is None
    assert (registry.resolutions, registry.downloads) == (0, 0)
    for runtime in (RUNTIME, unpinned):
        wheels = wheels_for(platform, runtime)
        before = (registry.resolutions, registry.downloads)
        assert cached_wheels(platform, runtime) == wheels
        assert (registry.resolutions, registry.downloads) == before
    wheels[0][1].write_bytes(b"damaged")
    assert cached_wheels(platform, RUNTIME) is None


def test_a_damaged_wheel_in_the_cache_is_downloaded_again(registry: Registry) -> None:
    ((_, path),) = wheels_for(PI, RUNTIME)
    path.write_bytes(b"damaged")
    ((_, path),) = wheels_for(PI, RUNTIME)
    assert path.read_bytes() == TINY
    assert registry.downloads == 2


def test_another_file_than_the_pinned_one_is_not_kept(registry: Registry, own_cache: Path) -> None:
    registry.content = b"another"
    with pytest.raises(BundleError) as caught:
        wheels_for(PI, RUNTIME)
    assert str(caught.value) == (
        "tiny 1.0: the registry gave another file for tiny-1.0-py3-none-any.whl"
    )
    assert list((own_cache / "wheels").iterdir()) == []


def test_what_is_not_pinned_is_resolved_once(registry: Registry, own_cache: Path) -> None:
    platform = replace(PI, held=("numpy==1.26.4",))
    runtime = replace(RUNTIME, distribution="tiny", wheels=())
    wheels = wheels_for(platform, runtime)
    assert [pin for pin, _ in wheels] == [PIN]
    registry.content = None
    assert wheels_for(platform, runtime) == wheels
    assert (registry.resolutions, registry.downloads) == (1, 1)
    (lock,) = (own_cache / "locks").iterdir()
    assert "registry" not in lock.read_text()
    registry.content = TINY
    lock.write_text('[{"name": "tiny"}]')
    assert wheels_for(platform, runtime) == wheels
    assert registry.resolutions == 2


@pytest.mark.network
def test_the_real_registry_refuses_another_digest(own_cache: Path) -> None:
    pins = next(r.wheels for r in PI.runtimes if r.wheels)
    small = min(pins, key=lambda pin: pin.size_bytes)
    wrong = replace(small, sha256="0" * 64)
    with pytest.raises(BundleError, match="its digest is not the pinned one"):
        wheels_for(PI, replace(RUNTIME, wheels=(wrong,)))
    assert list((own_cache / "wheels").iterdir()) == []
    ((pin, path),) = wheels_for(PI, replace(RUNTIME, wheels=(small,)))
    assert path.stat().st_size == pin.size_bytes


# What compiled files really need.


def installed_file(distribution: str, ending: str) -> Path:
    files = importlib.metadata.files(distribution) or []
    return next(Path(str(f.locate())) for f in files if str(f).endswith(ending))


def test_what_a_shared_object_needs() -> None:
    python = installed_file("numpy", ".so")
    needs = elf_needs(python.read_bytes())
    assert needs.architectures == (this_platform().architecture,)
    assert needs.glibc is not None
    assert needs.glibc.startswith("2.")


def test_what_is_no_elf_file_needs_nothing() -> None:
    assert elf_needs(b"/* GNU ld script */") == SystemNeeds()


def test_a_cut_elf_file_is_a_damaged_wheel(tmp_path: Path) -> None:
    data = installed_file("numpy", ".so").read_bytes()
    for length in (5, 20, 60, len(data) // 2):
        path = tmp_path / "tiny.whl"
        path.write_bytes(tiny_wheel({"tiny/x.so": data[:length]}))
        with pytest.raises(BundleError, match=r"^tiny\.whl: a damaged wheel: "):
            audit_of(path)
    (tmp_path / "tiny.whl").write_bytes(b"no wheel")
    with pytest.raises(BundleError, match="a damaged wheel: File is not a zip file"):
        audit_of(tmp_path / "tiny.whl")


def audit_of(path: Path) -> WheelAudit:
    with open_wheels([path]) as wheels:
        return wheel_audit(wheels, path.name)


def small_elf(machine: int, names: Sequence[str]) -> bytes:
    """Return an ELF file that holds nothing but the versions that it needs."""
    strings = b"\0" + b"\0".join(name.encode() for name in names) + b"\0"
    needs, at = b"", 1
    for index, name in enumerate(names):
        after = 16 if index < len(names) - 1 else 0
        needs += struct.pack("<IHHII", 0, 0, 0, at, after)
        at += len(name) + 1
    needs = struct.pack("<HHIII", 1, len(names), 0, 16, 0) + needs
    body_at, headers_at = 64, 64 + len(strings) + len(needs)
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 3, machine, 1)
    header += struct.pack("<QQQIHHHHHH", 0, 0, headers_at, 0, 64, 0, 0, 64, 2, 0)
    section = "<IIQQQQIIQQ"
    text = struct.pack(section, 0, 3, 0, 0, body_at, len(strings), 0, 0, 1, 0)
    start = body_at + len(strings)
    told = struct.pack(section, 0, 0x6FFFFFFE, 0, 0, start, len(needs), 0, 1, 4, 0)
    return header + strings + needs + text + told


@pytest.mark.parametrize(
    ("machine", "names", "what"),
    [
        (183, ("GLIBC_2.17", "GLIBC_2.36", "GLIBCXX_3.4.30", "CXXABI_1.3.99"), None),
        (183, ("GLIBC_2.4", "GLIBC_2.38"), "needs GLIBC_2.38, and rpi4 has 2.36"),
        (183, ("GLIBCXX_3.4.9", "GLIBCXX_3.4.31"), "needs GLIBCXX_3.4.31, and rpi4 has 3.4.30"),
        (62, ("GLIBC_2.17",), "holds code for x86_64"),
        (8, ("GLIBC_2.17",), "holds code for ELF machine 8"),
    ],
)
def test_the_audit(tmp_path: Path, machine: int, names: tuple[str, ...], what: str | None) -> None:
    path = tmp_path / PIN.filename
    path.write_bytes(tiny_wheel({"tiny/native.so.1": small_elf(machine, names)}))
    # Twice: the second time it is remembered.
    for _ in range(2):
        if what is not None:
            with pytest.raises(BundleError) as caught:
                audit_wheels([(PIN, path)], PI)
            assert caught.value.what == f"{PIN.filename} {what}"
            continue
        assert audit_wheels([(PIN, path)], PI) == SystemNeeds(
            architectures=("aarch64",), glibc="2.36", libstdcxx="3.4.30"
        )


# Platforms.


def test_this_machine_as_a_platform() -> None:
    platform = this_platform()
    assert platform.name == "host"
    assert platform.python == "{}.{}".format(*sys.version_info[:2])
    assert platform.glibc.startswith("2.")
    assert platform.held == (f"numpy=={importlib.metadata.version('numpy')}",)
    assert platform.lacking_features == ()
    assert [(r.backend, r.wheels) for r in installed_runtimes()] == [
        ("onnxruntime", ()),
        ("tflite", ()),
    ]


@pytest.mark.parametrize("name", ["rpi-zero2w", "rpi4", "rpi4-32bit", "jetson-nano", "cloud-cpu"])
def test_targets_have_what_their_wheels_take_for_granted(name: str) -> None:
    platform = platform_of(load_target(name))
    assert platform.required_features
    assert platform.lacking_features == ()
    assert platform.refused is None


def test_no_bundle_for_a_gpu_target() -> None:
    platform = platform_of(load_target("cloud-gpu-t4"))
    assert platform.refused is not None


def test_a_pin_is_lossless_in_a_lock() -> None:
    assert WheelPin(**asdict(PIN)) == PIN
    assert isinstance(PI, Platform)
