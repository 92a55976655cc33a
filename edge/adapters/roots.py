"""Roots to start a target's programs in: Debian's packages, and what a board's kernel shows.

A root is made once, in the cache, and nothing of its packages is run: what their installation
would do beside (links, bytecode) is made up for here. What is looked for in a root and is not
there is looked for on this machine by qemu's `-L`, so files that must not be found are there and
are empty.
"""

import compileall
import hashlib
import json
import os
import posixpath
import py_compile
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.adapters.debian import (
    DebianPackage,
    Progress,
    debian_architecture,
    fetch_packages,
    python_root,
    unpack_packages,
)
from edge.adapters.debian_closure import fetch_closure
from edge.adapters.files import host_error, read_json, write_json
from edge.adapters.image_root import os_release
from edge.adapters.store import cache_folder
from edge.errors import ConfigError

# Another number when a root of the same packages is made in another way.
_LAYOUT: Final = 1
_FETCHED, _UNPACKED = 0.7, 0.9
# What the packages' scripts give by update-alternatives, in the folder above.
_ALTERNATIVES: Final = ("blas/libblas.so.3", "lapack/liblapack.so.3")
_KERNEL_FOLDERS: Final = ("proc", "sys")
_BYTECODE: Final = "__pycache__"
_OWN: Final[Mapping[str, bytes]] = {
    "etc/passwd": b"root:x:0:0:root:/root:/usr/sbin/nologin\n",
    "etc/group": b"root:x:0:\n",
    # This machine's would name its own libraries.
    "etc/ld.so.cache": b"",
    "etc/ld.so.preload": b"",
    # And a Jetson's power mode is no other board's.
    "var/lib/nvpmodel/status": b"",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Extent:
    """How many files a root has, and their bytes; bytecode comes and goes."""

    files: int
    bytes: int


def base_root(
    suite: str,
    python: str,
    architecture: str,
    *,
    apt_packages: Sequence[str] = (),
    progress: Progress = lambda _fraction: None,
) -> Path:
    """Return a root with a Debian release's Python ("3.11") and these packages, made once.

    It is shared: nobody writes to it but Python, its bytecode.

    Raises:
        BundleError: the release has no such package, or the archive is not the one that is signed.
        ConfigError: the release has another Python, or Debian no such architecture.
        HostError: there is no apt or no network here, or the cache cannot be written.
    """
    wanted = debian_architecture(architecture)
    own = python_root(suite, python, wanted)
    roots = cache_folder("emulation", "roots")
    asked = _key([_LAYOUT, suite, wanted, python, sorted(apt_packages)])
    record = roots / f"{suite}-{wanted}-{asked}.json"
    known = _known(record, roots)
    if known is None:
        packages = _fetched(own, suite, wanted, apt_packages, progress)
        digests = sorted((package.name, package.sha256) for package in packages)
        root = roots / f"{suite}-{wanted}-{_key([_LAYOUT, python, sys.version_info[:2], digests])}"
        extent = _made(root, packages, suite, python, progress)
        write_json(
            record,
            {
                "root": root.name,
                "files": extent.files,
                "bytes": extent.bytes,
                "packages": {package.name: package.version for package in packages},
            },
        )
        known = root
    progress(1.0)
    return known


def dressed_root(base: Path, folder: Path, files: Mapping[str, bytes]) -> Path:
    """Make `folder` a root with the files of `base` and these instead of its /proc and /sys.

    The names are relative; one that ends in "/" is an empty folder. Links to the base cost no
    space, and no target's files get into another's root.

    Raises:
        HostError: the folder cannot be written, or has something in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for entry in base.iterdir():
            if entry.name not in _KERNEL_FOLDERS:
                (folder / entry.name).symlink_to(entry.resolve())
        for name, content in files.items():
            if posixpath.normpath(name).partition("/")[0] not in _KERNEL_FOLDERS:
                raise ValueError(f"not of a kernel: {name}")
            place = folder / name
            if name.endswith("/"):
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    except OSError as error:
        raise host_error(error, folder) from error
    return folder


def _key(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _known(record: Path, roots: Path) -> Path | None:
    """Return the root that was made for this, if it is all there."""
    try:
        told = read_json(record)
        root = roots / Path(str(told["root"])).name
        expected = _Extent(files=int(told["files"]), bytes=int(told["bytes"]))
    except (ConfigError, TypeError, KeyError, ValueError):
        return None
    # All digests would take seconds; what cleans up caches removes files, or empties them.
    return root if _extent(root) == expected else None


def _extent(root: Path) -> _Extent:
    files = size = 0
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != _BYTECODE]
        for name in names:
            files += 1
            size += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118 - a thousand files
    return _Extent(files=files, bytes=size)


def _fetched(
    own: Sequence[str],
    suite: str,
    architecture: str,
    apt_packages: Sequence[str],
    progress: Progress,
) -> tuple[DebianPackage, ...]:
    share = _FETCHED / (2 if apt_packages else 1)
    packages = fetch_packages(
        own,
        suite=suite,
        architecture=architecture,
        progress=lambda fraction: progress(fraction * share),
    )
    if not apt_packages:
        return packages
    return packages + fetch_closure(
        apt_packages,
        suite=suite,
        architecture=architecture,
        progress=lambda fraction: progress(share + fraction * share),
        without=own,
    )


def _made(
    root: Path, packages: Sequence[DebianPackage], suite: str, python: str, progress: Progress
) -> _Extent:
    """Make a root beside its place and move it there; another process may have done so meanwhile."""
    try:
        with tempfile.TemporaryDirectory(prefix=".making-", dir=root.parent) as scratch:
            staged = Path(scratch) / "root"
            staged.mkdir()
            unpack_packages(packages, staged)
            progress(_UNPACKED)
            _complete(staged, suite, python)
            extent = _extent(staged)
            if root.exists() and _extent(root) != extent:
                root.replace(Path(scratch) / "damaged")
            _move(staged, root)
    except OSError as error:
        raise host_error(error, root.parent) from error
    return extent


def _move(staged: Path, root: Path) -> None:
    try:
        staged.replace(root)
    except OSError:
        # Another process was faster; its root has the same files.
        if not root.is_dir():
            raise


def _complete(root: Path, suite: str, python: str) -> None:
    """Do what the packages' scripts would, and hide what of this machine would be found."""
    files = {**_OWN, "etc/os-release": os_release(suite)}
    for name, content in files.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.write_bytes(content)
    _link(root / "usr" / "bin" / "python3", f"python{python}")
    for alternative in _ALTERNATIVES:
        for library in sorted(root.glob(f"usr/lib/*/{alternative}")):
            _link(library.parent.parent / library.name, alternative)
    for name in ("tmp", "run"):
        (root / name).mkdir(exist_ok=True)
    if sys.version_info[:2] == tuple(int(part) for part in python.split(".")):
        _compile(root, python)


def _link(place: Path, target: str) -> None:
    if not place.is_symlink() and not place.exists():
        place.symlink_to(target)


def _compile(root: Path, python: str) -> None:
    """Compile the standard library, which takes this Python a second and the emulated one a minute.

    A cache that is packed and unpacked loses the files' times, so they are not looked at.
    """
    for folder in (f"usr/lib/python{python}", "usr/lib/python3/dist-packages"):
        if (root / folder).is_dir():
            compileall.compile_dir(
                root / folder,
                quiet=2,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
