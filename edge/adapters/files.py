"""Files that appear whole or not at all, and JSON and TOML with clear errors."""

import errno
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge.errors import ConfigError, EdgekitError, HostError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LARGEST_TEXT_BYTES = 512 << 20


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` if the block ends well.

    Raises:
        HostError: the folder cannot be written, or the disk is full.
    """
    staged: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        staged = Path(name)
        yield staged
        with staged.open("rb") as file:
            os.fsync(file.fileno())
        staged.chmod(0o666 & ~_umask())
        staged.replace(path)
    except OSError as error:
        raise host_error(error, path) from error
    finally:
        if staged is not None:
            staged.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def host_error(error: OSError, path: object) -> HostError:
    """Say what an OSError means for `path` and what to do about it."""
    hints = {
        "EACCES": "choose a folder that you may write to",
        "EPERM": "choose a folder that you may write to",
        "EROFS": "the file system is read-only: choose another folder",
        "ENOSPC": "free some disk space, or choose another folder",
        "EDQUOT": "your disk quota is used up: free some space",
        "ENOENT": "create the folder first",
        "EISDIR": "name a file, not a folder",
    }
    code = errno.errorcode.get(error.errno or 0, "")
    return HostError((error.strerror or str(error)).lower(), where=path, hint=hints.get(code))


def write_text(path: Path, text: str) -> None:
    """Write a text file whole.

    Raises:
        HostError: it cannot be written.
    """
    with whole_file(path) as staged:
        staged.write_text(text, encoding="utf-8")


def write_json(path: Path, document: Any) -> None:
    """Write a JSON file whole.

    Raises:
        HostError: it cannot be written.
    """
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def read_text(path: Path, error: type[EdgekitError] = ConfigError) -> str:
    """Read a text file.

    Raises:
        EdgekitError: of the family `error`: there is no such file, or it is no text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_TEXT_BYTES + 1)
    except OSError as problem:
        raise error((problem.strerror or str(problem)).lower(), where=path) from problem
    if len(data) > _LARGEST_TEXT_BYTES:
        raise error(f"larger than {_LARGEST_TEXT_BYTES} bytes", where=path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise error("not a UTF-8 text file", where=path) from problem


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ConfigError: there is no such file, or it is no JSON.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not JSON: {error}", where=path) from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: there is no such file, or it is no TOML.
    """
    try:
        document: dict[str, Any] = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}", where=path) from error
    return document
