"""Looks at a bundle's compiled files before anything of it runs: what they need, a target must have.

A stand-in may be newer than the target, so that what fails on the board would start in it.
"""

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from posixpath import basename
from typing import Final

from edge.adapters.elf import elf_needs, version_key
from edge.adapters.numpy_abi import numpy_misfit, numpy_needs
from edge.adapters.wheel_set import WheelSet
from edge.device.fit import Machine, misfits
from edge.errors import BundleError, printable
from edge.reasoning.finding_remedies import remedy_for
from edge.reasoning.finding_words import Decoded
from edge.reasoning.misfit_words import decoded_misfit
from edge.reasoning.runtime_faults import fault_of
from edge.records.emulation import Finding
from edge.records.manifest import BundleWheel, Manifest
from edge.records.target import Target, TargetRuntime

_NUMPY: Final = "numpy"
# No bundle of edgekit needs more: wheels of a runtime unpack to 200 MB at most.
_LARGEST_BYTES: Final = 1 << 30
_DECODER_BYTES: Final = 64 << 20
# More libraries than these with the same fault say no more than these do.
_MOST_TOLD: Final = 8
_DAMAGE: Final = (OSError, ValueError, LookupError, zipfile.BadZipFile, lzma.LZMAError, zlib.error)


def audit_findings(bundle: Path, manifest: Manifest, target: Target) -> tuple[Finding, ...]:
    """Return what of a bundle cannot work on a target, from its manifest and its compiled files.

    The target's own libraries count, not those of what stands in for it. Nothing is run.

    Raises:
        BundleError: a wheel in it is damaged.
    """
    machine = Machine(
        architecture=target.cpu.architecture,
        python=target.os.python,
        glibc=target.os.glibc,
        libstdcxx=target.os.libstdcxx,
        cpu_features=target.cpu.features,
    )
    found = [decoded_misfit(reason) for reason in misfits(manifest, machine)]
    files: tuple[Decoded, ...] = ()
    if manifest.architecture == target.cpu.architecture:
        # Else every file differs, and would only distract.
        files = tuple(_found_in_files(bundle, manifest, target))
    if files:
        # Which file it is says more than what the manifest sums up.
        kinds = {each.kind for each in files}
        found = [each for each in found if each.kind not in kinds]
    found += [*files[:_MOST_TOLD], *_known_fault(manifest, target)]
    return tuple(
        Finding(
            kind=each.kind,
            step="audit",
            what=each.what,
            remedy=remedy_for(each, manifest),
            library=each.library,
            missing=each.missing,
        )
        for each in dict.fromkeys(found)
    )


def _known_fault(manifest: Manifest, target: Target) -> Iterator[Decoded]:
    runtime = TargetRuntime(
        backend=manifest.session.backend,
        distribution=manifest.runtime,
        version=manifest.runtime_version,
    )
    fault = fault_of(runtime, target.cpu.architecture, target.cpu.features)
    if fault is not None:
        what = f"{fault.distribution} {manifest.runtime_version} {fault.what} ({fault.source})"
        yield Decoded(kind="illegal-instruction", what=what, missing=fault.lacking)


def _found_in_files(bundle: Path, manifest: Manifest, target: Target) -> Iterator[Decoded]:
    numpy = _numpy_version(manifest, target)
    with ExitStack() as opened:
        wheels = _wheels(bundle, manifest, opened)
        owners = {wheel.filename: wheel.name for wheel in manifest.wheels}
        for file in wheels.files:
            if not file.compiled:
                continue
            data = wheels.read(file.wheel, file.member)
            try:
                yield from _system(basename(file.path), data, target)
                if numpy is not None and owners[file.wheel] != _NUMPY:
                    yield from _numpy(basename(file.path), data, numpy)
            except (struct.error, ValueError, IndexError) as error:
                what = f"a damaged compiled file: {printable(file.path)}: {error}"
                raise BundleError(what, where=file.wheel) from error


def _system(name: str, data: bytes, target: Target) -> Iterator[Decoded]:
    """Yield what a compiled file needs of a system beyond what the target has."""
    needs = elf_needs(data)
    library = printable(name)
    wrong = [found for found in needs.architectures if found != target.cpu.architecture]
    if wrong:
        what = (
            f"{library} is compiled for {wrong[0]}, and {target.name} is {target.cpu.architecture}"
        )
        yield Decoded(kind="misfit", what=what, library=library, missing=wrong[0])
        return
    for symbol, needed, there in (
        ("GLIBC", needs.glibc, target.os.glibc),
        ("GLIBCXX", needs.libstdcxx, target.os.libstdcxx),
    ):
        if needed is not None and version_key(needed) > version_key(there):
            version = f"{symbol}_{needed}"
            what = f"{library} needs {version}, and {target.name} has {symbol}_{there}"
            yield Decoded(
                kind="missing-symbol-version", what=what, library=library, missing=version
            )


def _numpy(name: str, data: bytes, version: str) -> Iterator[Decoded]:
    """Yield why a compiled file cannot work with a version of numpy."""
    misfit = numpy_misfit(numpy_needs(data), version)
    if misfit is not None:
        what = f"{printable(name)} {misfit}, and numpy {printable(version)} comes with it"
        yield Decoded(kind="import-failure", what=what, library=printable(name), missing=_NUMPY)


def _numpy_version(manifest: Manifest, target: Target) -> str | None:
    """Return the version of numpy in the bundle, else the one that the target's system provides."""
    for wheel in manifest.wheels:
        if wheel.name == _NUMPY:
            return wheel.version
    for runtime in target.runtimes:
        if runtime.distribution == manifest.runtime:
            for requirement in runtime.provided:
                name, _, version = requirement.partition("==")
                if name == _NUMPY:
                    return version
    return None


def _wheels(bundle: Path, manifest: Manifest, opened: ExitStack) -> WheelSet:
    """Return the bundle's wheels, unpacked in memory, as many at once as there are cores."""
    try:
        with zipfile.ZipFile(bundle) as archive:
            packed = [archive.read(wheel.path) for wheel in manifest.wheels]
        with ThreadPoolExecutor() as pool:
            plain = list(pool.map(_unpacked, packed, manifest.wheels))
        archives = {
            wheel.filename: opened.enter_context(zipfile.ZipFile(io.BytesIO(data)))
            for wheel, data in zip(manifest.wheels, plain, strict=True)
        }
    except _DAMAGE as error:
        what = f"a damaged wheel: {printable(error)}"
        raise BundleError(what, where=bundle, hint="package it again") from error
    return WheelSet(archives)


def _unpacked(packed: bytes, wheel: BundleWheel) -> bytes:
    if wheel.unpacked_bytes > _LARGEST_BYTES:
        raise ValueError(f"{wheel.filename} would unpack to {wheel.unpacked_bytes} bytes")
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DECODER_BYTES)
    plain = decoder.decompress(packed, wheel.unpacked_bytes + 1)
    if len(plain) != wheel.unpacked_bytes:
        raise ValueError(f"{wheel.filename} does not unpack to {wheel.unpacked_bytes} bytes")
    return plain
