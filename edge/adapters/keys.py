"""Ed25519 keys in files: made, read, described. Signing with them is edge/adapters/signing.py's.

The only module that knows cryptography. The formats are PKCS8 and SubjectPublicKeyInfo in PEM, which
every other tool reads.
"""

import os
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from edge.adapters.files import host_error
from edge.device.signature import Unreadable, key_id, pem_of, public_key_of
from edge.errors import ConfigError, HostError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PASSWORD_VARIABLE: Final = "EDGEKIT_KEY_PASSWORD"  # noqa: S105 - its name
_GENERATE: Final = "edgekit keys generate makes one"
_LARGEST_FILE_BYTES: Final = 64 << 10
# What a mode lets the group and everybody else do.
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO

Ask = Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKey:
    """A key to sign with; `warning` says what is unsafe about its file."""

    key_id: str
    key: "Ed25519PrivateKey"
    warning: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDescription:
    """What a key file holds; `fingerprint` is the key's id in groups, to compare by eye.

    `encrypted` is None for a public key; `warning` says what is unsafe about the file.
    """

    path: str
    kind: Literal["private", "public"]
    key_id: str
    fingerprint: str
    encrypted: bool | None
    warning: str | None


def generate_key(path: Path, password: str | None = None) -> str:
    """Write a new private key to `path` and its public key to `path`.pub; return the key's id.

    Raises:
        HostError: one of the files is there already, or cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public_path = path.with_name(path.name + ".pub")
    for file in (path, public_path):
        if os.path.lexists(file):
            raise _taken(file)
    key = Ed25519PrivateKey.generate()
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password.encode("utf-8"))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    public = key.public_key().public_bytes_raw()
    _write_new(path, private, 0o600)
    try:
        _write_new(public_path, pem_of(public), 0o644)
    except HostError:
        path.unlink()
        raise
    return key_id(public)


def load_private_key(path: Path, ask: Ask | None = None) -> PrivateKey:
    """Read a private key. Its password is $EDGEKIT_KEY_PASSWORD, or what `ask` returns.

    Raises:
        ConfigError: there is no key, or one of another kind, or the password is wrong or missing.
    """
    data = _read(path)
    if b"PRIVATE KEY-----" not in data:
        if b"PUBLIC KEY-----" in data:
            hint = f"sign with the private key, which is probably {path.with_suffix('')}"
            raise ConfigError("a public key, which cannot sign", where=path, hint=hint)
        raise ConfigError("not a private key", where=path, hint=_GENERATE)
    key = _private_key(data, path, _password(data, path, ask))
    public = key.public_key().public_bytes_raw()
    return PrivateKey(key_id=key_id(public), key=key, warning=_warning(path))


def load_public_key(path: Path) -> bytes:
    """Return the 32 bytes of the Ed25519 public key in a file.

    Raises:
        ConfigError: there is no such key.
    """
    try:
        return public_key_of(_read(path))
    except Unreadable as error:
        raise ConfigError(str(error), where=path, hint=_GENERATE) from error


def describe_key(path: Path, ask: Ask | None = None) -> KeyDescription:
    """Say what a key file holds.

    Raises:
        ConfigError: it holds no Ed25519 key, or the password is wrong or missing.
    """
    data = _read(path)
    if b"PRIVATE KEY-----" not in data:
        named = key_id(load_public_key(path))
        return KeyDescription(
            path=str(path),
            kind="public",
            key_id=named,
            fingerprint=_grouped(named),
            encrypted=None,
            warning=None,
        )
    private = load_private_key(path, ask)
    return KeyDescription(
        path=str(path),
        kind="private",
        key_id=private.key_id,
        fingerprint=_grouped(private.key_id),
        encrypted=_is_encrypted(data),
        warning=private.warning,
    )


def _private_key(data: bytes, path: Path, password: str | None) -> "Ed25519PrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(data, None if password is None else password.encode("utf-8"))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if password is not None:
            raise ConfigError("the password is wrong, or the key is damaged", where=path) from error
        raise ConfigError("not a private key in PEM", where=path, hint=_GENERATE) from error
    if not isinstance(key, Ed25519PrivateKey):
        kind = type(key).__name__.lstrip("_").removesuffix("PrivateKey")
        what = f"another kind of key than Ed25519: {kind}"
        raise ConfigError(what, where=path, hint=_GENERATE)
    return key


def _password(data: bytes, path: Path, ask: Ask | None) -> str | None:
    if not _is_encrypted(data):
        return None
    given = os.environ.get(PASSWORD_VARIABLE)
    if given:
        return given
    if ask is None:
        hint = f"set {PASSWORD_VARIABLE}, or run this on a terminal"
        raise ConfigError("the key has a password", where=path, hint=hint)
    return ask()


def _is_encrypted(data: bytes) -> bool:
    # PKCS8 says so in its first line, the older formats in a header.
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in data or b"Proc-Type: 4,ENCRYPTED" in data


def _grouped(named: str) -> str:
    return " ".join(named[at : at + 4] for at in range(0, len(named), 4))


def _warning(path: Path) -> str | None:
    mode = path.stat().st_mode
    if mode & _OTHERS:
        return f"{path}: others may use this private key: chmod 600 {path}"
    return None


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigError("not a regular file", where=path)
            return file.read(_LARGEST_FILE_BYTES)
    except FileNotFoundError as error:
        raise ConfigError("no such file", where=path, hint=_GENERATE) from error
    except OSError as error:
        raise ConfigError((error.strerror or str(error)).lower(), where=path) from error


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file whole, and never in another's place: a link, unlike a rename, refuses that."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(handle, mode)
                file.write(data)
                file.flush()
                os.fsync(handle)
            os.link(name, path)
        finally:
            os.unlink(name)  # noqa: PTH108 - beside the calls that have no other spelling
    except FileExistsError as error:
        raise _taken(path) from error
    except OSError as error:
        raise host_error(error, path) from error


def _taken(path: Path) -> HostError:
    hint = "choose another name with -o; a key that is lost cannot be made again"
    return HostError("it is there already, and no key is written over", where=path, hint=hint)
