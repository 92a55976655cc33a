"""The keys that a device trusts, as files. Device slice: Python 3.8.

They lie in ROOT/trust, which the command `trust` writes, and in /etc/edgekit/trust, which belongs
to whoever sets up the system. What cannot be read is an error: never is it no key at all.
"""

import os
import re
import stat
from dataclasses import dataclass
from typing import List, Optional, Tuple

from edge.device.durable import flush_folder, write_whole
from edge.device.signature import Unreadable, key_id, pem_of, public_key_of
from edge.errors import ConfigError, HostError, printable
from edge.reasoning import ed25519

SYSTEM_TRUST = "/etc/edgekit/trust"
_FOLDER = "trust"
_TARGET = "target"
_LARGEST_FILE_BYTES = 64 << 10
_MOST_KEYS = 64
_TARGET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class TrustedKey:
    """A public key that may sign, and the file that says so."""

    key_id: str
    key: bytes
    path: str


@dataclass(frozen=True)
class Trust:
    """Whom this device trusts, and which target it is; without both it refuses no bundle."""

    keys: Tuple[TrustedKey, ...]
    target: Optional[str]


def read_trust(root: str) -> Trust:
    """Read the trusted keys and the target's name from ROOT/trust and from the system's folder.

    Raises:
        HostError: a folder or a file cannot be read, or anybody may write it.
        ConfigError: a file is not a key, or the two folders name two targets.
    """
    keys: List[TrustedKey] = []
    targets = []
    for folder in (os.path.join(root, _FOLDER), SYSTEM_TRUST):
        for name in _names(folder):
            path = os.path.join(folder, name)
            if name == _TARGET:
                targets.append((path, _target(_read(path), path)))
            elif name.endswith(".pub"):
                key = public_key(_read(path), path)
                if key_id(key) not in {known.key_id for known in keys}:
                    keys.append(TrustedKey(key_id(key), key, path))
    if len(keys) > _MOST_KEYS:
        raise ConfigError("{} trusted keys, and {} are allowed".format(len(keys), _MOST_KEYS))
    if len({target for _, target in targets}) > 1:
        (path, target), (other_path, other) = targets
        what = "this device is {} here, and {} in {}".format(target, other, other_path)
        raise ConfigError(what, where=path, hint="make them the same, or remove one")
    return Trust(tuple(keys), targets[0][1] if targets else None)


def add_key(root: str, pem: bytes, target: Optional[str]) -> str:
    """Trust the key of a PEM file from now on, as the target of that name; return the key's id.

    Raises:
        ConfigError: it is no Ed25519 key, or the name is no target's.
        HostError: ROOT/trust cannot be written.
    """
    key = public_key(pem)
    name = None if target is None else _target(target.encode("utf-8"), None)
    folder = os.path.join(root, _FOLDER)
    try:
        _make_folder(folder)
        if name is not None:
            write_whole(os.path.join(folder, _TARGET), name.encode() + b"\n")
        write_whole(os.path.join(folder, key_id(key) + ".pub"), pem_of(key))
    except OSError as error:
        raise _host_error(error, folder) from error
    return key_id(key)


def remove_key(root: str, key_id: str) -> None:
    """Trust a key no longer.

    Raises:
        ConfigError: it is not among the keys of ROOT/trust.
        HostError: ROOT/trust cannot be written.
    """
    folder = os.path.join(root, _FOLDER)
    files = [k.path for k in read_trust(root).keys if k.key_id == key_id]
    if not files:
        raise ConfigError("no such trusted key", where=key_id, hint="edgekit trust lists the keys")
    if os.path.dirname(files[0]) != folder:
        hint = "whoever sets up this system has put it there: sudo rm " + files[0]
        raise ConfigError("this key is not in {}".format(folder), where=key_id, hint=hint)
    try:
        os.unlink(files[0])
        flush_folder(folder)
    except OSError as error:
        raise _host_error(error, folder) from error


def public_key(pem: bytes, path: Optional[str] = None) -> bytes:
    """Return the Ed25519 key in a PEM file.

    Raises:
        ConfigError: it holds something else.
    """
    hint = "edgekit keys generate writes NAME.pub for this"
    try:
        key = public_key_of(pem)
    except Unreadable as error:
        raise ConfigError(str(error), where=path, hint=hint) from error
    if not ed25519.is_public_key(key):
        raise ConfigError("no key that anything can be signed with", where=path, hint=hint)
    return key


def _target(data: bytes, path: Optional[str]) -> str:
    name = data.decode("utf-8", "replace").strip()
    if _TARGET_NAME.fullmatch(name) is None:
        hint = "edgekit targets list shows the names"
        raise ConfigError("not a target's name: {}".format(printable(name)), where=path, hint=hint)
    return name


def _names(folder: str) -> List[str]:
    """Return what a folder holds; only a folder that is not there holds nothing."""
    try:
        names = sorted(os.listdir(folder))
        mode = os.stat(folder).st_mode
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _host_error(error, folder) from error
    if mode & stat.S_IWOTH:
        raise HostError("anybody may write to it", where=folder, hint="chmod 755 " + folder)
    return names


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise HostError("not a regular file", where=path)
            if mode & stat.S_IWOTH:
                raise HostError("anybody may write to it", where=path, hint="chmod 644 " + path)
            data = file.read(_LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise _host_error(error, path) from error
    if len(data) > _LARGEST_FILE_BYTES:
        raise ConfigError("too large to be a key", where=path)
    return data


def _make_folder(folder: str) -> None:
    """Make a folder and those above it, each written through to the disk before the next."""
    above = os.path.dirname(os.path.abspath(folder))
    if not os.path.isdir(folder):
        _make_folder(above)
        os.mkdir(folder)
        os.chmod(folder, 0o755)  # noqa: S103 - every user of the device may see whom it trusts
        flush_folder(above)


def _host_error(error: OSError, path: str) -> HostError:
    return HostError((error.strerror or str(error)).lower(), where=path)
