"""Keys and signers that are the same in every run, and bundles that somebody tampered with."""

import base64
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from small_bundle import below_head, sealed

from edge.adapters.keys import PrivateKey
from edge.adapters.signing import Signer
from edge.device.entry import HEAD_BYTES, SIGNATURE_MARK
from edge.device.signature import key_id, pem_of
from edge.device.trusted_keys import Trust, TrustedKey


def secret_key(seed: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def public_bytes(seed: int) -> bytes:
    return secret_key(seed).public_key().public_bytes_raw()


def public_pem(seed: int) -> bytes:
    return pem_of(public_bytes(seed))


def signer(seed: int) -> Signer:
    key = secret_key(seed)
    named = key_id(key.public_key().public_bytes_raw())
    return Signer(private=PrivateKey(key_id=named, key=key, warning=None))


def trust_in(*seeds: int, target: str | None = None) -> Trust:
    keys = [TrustedKey(key_id(public_bytes(s)), public_bytes(s), f"{s}.pub") for s in seeds]
    return Trust(tuple(keys), target)


def envelope_in(path: Path) -> dict[str, Any]:
    """Return the envelope in a bundle's third line."""
    line = path.read_bytes()[HEAD_BYTES:].split(b"\n", 1)[0]
    document: dict[str, Any] = json.loads(base64.b64decode(line[len(SIGNATURE_MARK) :]))
    return document


def with_envelope(path: Path, envelope: object) -> bytes:
    """Return a bundle's bytes with another envelope, and a second line that fits."""
    data = envelope if isinstance(envelope, bytes) else json.dumps(envelope).encode()
    return with_third_line(path, SIGNATURE_MARK + base64.b64encode(data))


def with_third_line(path: Path, line: bytes) -> bytes:
    """Return a bundle's bytes with another third line, and a second line that fits."""
    archive = below_head(path.read_bytes()).split(b"\n", 1)[1]
    return sealed(line + b"\n" + archive)
