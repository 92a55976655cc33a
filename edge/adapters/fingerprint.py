"""What decides over the bytes of a bundle besides the options: our own code and data, this machine.

Read quickly, because it is read before it is known whether there is anything to do: files are
hashed as they are, and no distribution, target or card is looked into.
"""

import hashlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import edge
from edge.adapters.data import data_folder
from edge.device.facts import default_threads, read_host_facts
from edge.errors import EdgekitError
from edge.formats.source import digest, open_regular

_DISTRIBUTIONS: Final = (".dist-info", ".egg-info")
# Whatever edgekit reads of its own while it packages; a checkout has no other version number.
_DATA: Final = ("targets", "models")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a regular file.

    Raises:
        ModelError: there is no such file, or it is a link or no regular file.
    """
    descriptor = open_regular(path)
    try:
        return digest(descriptor)
    finally:
        os.close(descriptor)


def unchanged_file(path: Path, sha256: str, size_bytes: int | None = None) -> bool:
    """Whether the file is there with that digest; one of another size is not read."""
    try:
        if size_bytes is not None and path.stat().st_size != size_bytes:
            return False
        return file_digest(path) == sha256
    except (OSError, EdgekitError):
        return False


def own_digest() -> str:
    """Return the digest of edgekit: its version, every module, the targets and the cards."""
    package = Path(edge.__file__).parent
    files = [*package.rglob("*.py"), package.parent / "LICENSE"]
    for name in _DATA:
        files += data_folder(name).glob("*.toml")
    return _digest_of(file for file in files if file.is_file())


def _digest_of(files: Iterable[Path]) -> str:
    total = hashlib.sha256(edge.__version__.encode())
    for path in sorted(files):
        content = path.read_bytes()
        total.update(f"{path}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        total.update(content)
    return total.hexdigest()


def installed_distributions() -> list[str]:
    """Return name and version of everything installed beside edgekit, as its folders say it.

    The runtimes among it make the expected outputs of the samples. Which others decide over
    some byte need not be known: one that does not costs a build that was not needed.
    """
    found: set[str] = set()
    for folder in sys.path:
        try:
            found.update(p.name for p in Path(folder).iterdir() if p.suffix in _DISTRIBUTIONS)
        except OSError:
            continue
    return sorted(found)


def machine_facts(*, as_target: bool) -> dict[str, object]:
    """Return what of this machine the expected outputs depend on, and with `as_target` its limits.

    The runtimes choose their kernels by the processor's features, and these differ in rounding.
    """
    facts = read_host_facts()
    found: dict[str, object] = {
        "machine": facts.machine,
        "python": sys.version,
        "libc": facts.libc,
        "cpu": [facts.cpu_model, *facts.cpu_features],
    }
    if as_target:
        limits = [facts.memory_bytes, facts.memory_limit_bytes]
        found |= {"threads": default_threads(facts), "memory": limits}
    return found
