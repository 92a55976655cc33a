"""The kernel of an emulated machine and what it starts from, out of Debian's packages, made once."""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.adapters.debian import DebianPackage, fetch_packages, unpack_packages
from edge.adapters.debian_closure import fetch_closure
from edge.adapters.files import host_error, whole_file
from edge.adapters.machine_image import ArchiveFile, initramfs
from edge.adapters.store import cache_folder
from edge.errors import BundleError

Progress = Callable[[float], None]

# Whatever release the target's root is of: programs do not see it.
_SUITE: Final = "bookworm"
_ARCHITECTURE: Final = "arm64"
_KERNEL: Final = "linux-image-cloud-arm64"
# They install a kernel, or make what it starts from; nothing is installed here.
_NOT_NEEDED: Final = ("initramfs-tools", "kmod", "linux-base")
_BUSYBOX: Final = "busybox-static"
_MODULES: Final = ("virtio_ring", "virtio", "virtio_mmio", "virtio_blk")
_FETCHED: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernel that qemu can start, with its first files; `version` is the package's."""

    image: Path
    initramfs: Path
    version: str


def machine_kernel(progress: Progress = lambda _fraction: None) -> Kernel:
    """Return a 64-bit Arm kernel for a virtual machine, from the cache if it is there.

    Raises:
        BundleError: the archive has no such packages, or not the ones that are signed.
        HostError: there is no apt or no network here, or the cache cannot be written.
    """
    packages = fetch_closure(
        (_KERNEL,),
        suite=_SUITE,
        architecture=_ARCHITECTURE,
        progress=lambda fraction: progress(_FETCHED * fraction),
        without=_NOT_NEEDED,
    )
    busybox = fetch_packages((_BUSYBOX,), suite=_SUITE, architecture=_ARCHITECTURE)
    wanted = (*(package for package in packages if _is_kernel(package)), *busybox)
    init = Path(__file__).with_name("machine_init.sh").read_bytes()
    digests = "".join(package.sha256 for package in wanted).encode()
    key = hashlib.sha256(digests + init).hexdigest()[:16]
    folder = cache_folder("emulation", "kernels", key)
    image, first_files = folder / "vmlinuz", folder / "initramfs"
    # The second is written last, so with it both are there.
    if not first_files.is_file() or not image.is_file():
        _make(wanted, init, image, first_files)
    progress(1.0)
    return Kernel(image=image, initramfs=first_files, version=wanted[0].version)


def _is_kernel(package: DebianPackage) -> bool:
    return package.name.startswith("linux-image-") and package.name != _KERNEL


def _make(packages: tuple[DebianPackage, ...], init: bytes, image: Path, first_files: Path) -> None:
    try:
        with tempfile.TemporaryDirectory(prefix=".making-", dir=image.parent) as scratch:
            tree = Path(scratch)
            unpack_packages(packages, tree)
            content = _only(tree, "boot/vmlinuz-*").read_bytes()
            busybox = _only(tree, "usr/bin/busybox").read_bytes()
            modules = {
                name: _only(tree, f"usr/lib/modules/*/kernel/drivers/*/{name}.ko").read_bytes()
                for name in _MODULES
            }
    except OSError as error:
        raise host_error(error, image.parent) from error
    files = [
        *(ArchiveFile(name=name, content=None) for name in ("bin", "dev", "proc", "system")),
        ArchiveFile(name="bin/busybox", content=busybox, executable=True),
        ArchiveFile(name="init", content=init, executable=True),
        *(ArchiveFile(name=f"{name}.ko", content=data) for name, data in modules.items()),
    ]
    with whole_file(image) as staged:
        staged.write_bytes(content)
    with whole_file(first_files) as staged:
        staged.write_bytes(initramfs(files))


def _only(tree: Path, pattern: str) -> Path:
    found = sorted(tree.glob(pattern))
    if not found:
        what = "the kernel's packages lack what a machine starts from"
        raise BundleError(what, where=pattern)
    return found[0]
