"""The programs that emulation starts on this machine: installed ones that do, or fetched ones.

A fetched one is unpacked into the cache and run with the loader and the libraries that came with
it, so it neither needs this machine's libraries nor leaves anything in the environment that what
it starts would inherit.
"""

import fcntl
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from edge.adapters.debian import archive_lack, unpack_packages
from edge.adapters.debian_closure import fetch_closure
from edge.adapters.elf import elf_links
from edge.adapters.files import host_error, read_json, write_json
from edge.adapters.programs_tried import PACKAGES, HostProgram, Package, answer, checked
from edge.adapters.store import cache_folder
from edge.errors import ConfigError, HostError, printable

__all__ = ["LOADERS", "HostProgram", "host_program", "known_program", "package_of"]

Progress = Callable[[float], None]

_RECORD: Final = "program.json"
# The loader of each architecture (its psABI), and Debian's word for it in a library's folder.
LOADERS: Final[Mapping[str, tuple[str, str]]] = {
    "x86_64": ("lib64/ld-linux-x86-64.so.2", "x86_64-linux-gnu"),
    "aarch64": ("lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu"),
    "armv7l": ("lib/ld-linux-armhf.so.3", "arm-linux-gnueabihf"),
}
_STAGED: Final = ".new-"
# What is not on everybody's PATH.
_ADMINISTRATION: Final = "/usr/sbin:/sbin"


def host_program(name: str, progress: Progress = lambda _fraction: None) -> HostProgram:
    """Return a program ("qemu-aarch64"): the installed one if it does, else a fetched one.

    Raises:
        BundleError: the archive is not the one that is signed.
        HostError: it can neither be found nor be fetched, or does not start; says what to do.
    """
    known, reason = known_program(name)
    if known is None:
        known = _fetch(name, reason, progress)
    progress(1.0)
    return known


def known_program(name: str) -> tuple[HostProgram | None, str]:
    """Return a program if it is here already, else why what is installed does not do."""
    package = PACKAGES[name]
    path = os.environ.get("PATH", os.defpath)
    if name == "mke2fs":
        path = f"{path}:{_ADMINISTRATION}"
    found = shutil.which(name, path=path)
    reason = "it is not installed"
    if found is not None:
        installed = HostProgram(name=name, command=(found,), version="", origin="installed")
        version, reason = checked(installed, package)
        if version is not None:
            return replace(installed, version=version), ""
    return _cached(name, package), reason


def package_of(name: str) -> str:
    """Return Debian's package that has a program."""
    return PACKAGES[name].name


def _fetch(name: str, reason: str, progress: Progress) -> HostProgram:
    package = PACKAGES[name]
    machine = platform.machine()
    remedy = f"install {package.name} (Debian, Ubuntu: apt-get install {package.name}), "
    if sys.platform != "linux" or machine not in LOADERS:
        what = f"{reason}, and there is none to fetch for this machine ({sys.platform}, {machine})"
        raise HostError(what, where=name, hint="work on Linux on x86-64 or Arm, or in a container")
    suite = _suite(package)
    try:
        packages = fetch_closure(
            (package.name,),
            suite=suite,
            architecture=machine,
            without=package.without,
            progress=lambda fraction: progress(fraction * 0.8),
        )
    except HostError as error:
        lack = archive_lack()
        if lack is None:
            error.hint = f"{error.hint or 'try again'}; or {remedy[:-2]}"
            raise
        hint = f"{remedy}or work in a container of Debian 12"
        raise HostError(f"{reason}, and {lack}", where=name, hint=hint) from error
    folder = _folder(package)
    with _staging(folder) as staged:
        # Who waited for somebody else's finds it there.
        if _cached(name, package) is None:
            unpack_packages(packages, staged)
            _slim(staged, package)
            linked = bool(elf_links((staged / package.programs[0]).read_bytes()).needed)
            versions = {
                Path(path).name: _started(Path(path).name, package, staged, linked=linked)
                for path in package.programs
            }
            write_json(staged / _RECORD, {"versions": versions, "linked": linked})
            shutil.rmtree(folder, ignore_errors=True)
            staged.replace(folder)
    fetched = _cached(name, package)
    if fetched is None:
        raise HostError("the cache did not keep it", where=folder)
    return fetched


def _started(name: str, package: Package, root: Path, *, linked: bool) -> str:
    """Return the version of a fetched program, which shows that it starts here."""
    program = _relocated(name, package, root, linked=linked)
    version, reason = checked(program, package)
    if version is None:
        hint = f"install {package.name}; this machine does not start the one of Debian"
        said = printable(answer(program, package.asked).strip(), 200)
        raise HostError(f"the fetched one does not do: {reason}: {said}", where=name, hint=hint)
    return version


def _relocated(name: str, package: Package, root: Path, *, linked: bool) -> HostProgram:
    program = next(root / path for path in package.programs if Path(path).name == name)
    command = [str(program)]
    environment = {}
    loader, triplet = LOADERS[platform.machine()]
    if linked:
        places = f"{root}/usr/lib/{triplet}:{root}/usr/lib"
        command = [str(root / loader), "--inhibit-cache", "--library-path", places, *command]
    if package.data is not None:
        # It looks beside the running file, which is the loader.
        command += ["-L", str(root / package.data)]
        environment["QEMU_MODULE_DIR"] = f"{root}/usr/lib/{triplet}/qemu"
    return HostProgram(
        name=name,
        command=tuple(command),
        version="",
        origin="fetched",
        environment=environment,
    )


def _cached(name: str, package: Package) -> HostProgram | None:
    """Return the program that was fetched before; one that is not as we left it is none."""
    folder = _folder(package)
    try:
        record = read_json(folder / _RECORD)
        version, linked = str(record["versions"][name]), bool(record["linked"])
        program = _relocated(name, package, folder, linked=linked)
    except (ConfigError, KeyError, TypeError):
        return None
    needed = (program.command[0], *(str(folder / path) for path in package.programs))
    whole = all(Path(path).exists() for path in needed)
    return replace(program, version=version) if whole else None


def _folder(package: Package) -> Path:
    key = f"{package.name}-{_suite(package)}-{platform.machine()}"
    return cache_folder("emulation", "programs") / key


def _suite(package: Package) -> str:
    """Return the release to fetch from: this machine's own, where that one's package does."""
    try:
        own = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:
        own = ""
    return own if own in package.suites else package.suites[0]


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Give a folder beside `folder` while nobody else has one; what a killed run left is cleared.

    Raises:
        HostError: the cache cannot be written.
    """
    programs = folder.parent
    try:
        descriptor = os.open(programs / f".{folder.name}.lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise host_error(error, programs) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _clear(folder)
        yield Path(tempfile.mkdtemp(prefix=f"{_STAGED}{folder.name}-", dir=programs))
    except OSError as error:
        raise host_error(error, folder) from error
    finally:
        _clear(folder)
        os.close(descriptor)


def _clear(folder: Path) -> None:
    for left in folder.parent.glob(f"{_STAGED}{folder.name}-*"):
        shutil.rmtree(left, ignore_errors=True)


def _slim(root: Path, package: Package) -> None:
    """Delete what none of the package's programs uses: other programs, texts, configuration."""
    kept = {root / path for path in package.programs}
    for place in ("usr/bin", "usr/sbin"):
        for path in (root / place).glob("*"):
            if path not in kept:
                _delete(path)
    for path in (root / "usr/share").glob("*"):
        if package.data is None or path != root / package.data:
            _delete(path)
    for place in ("etc", "var", "usr/libexec"):
        _delete(root / place)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
