"""Reads a bundle's signature: a DSSE envelope about an in-toto statement. Device slice: Python 3.8.

https://github.com/secure-systems-lab/dsse/blob/v1.0.0/envelope.md and
https://github.com/in-toto/attestation/blob/v1.0/spec/v1/statement.md. Only the fields that edgekit
writes are allowed. Whether the signature is right is edge/device/trust.py's to say.
"""

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple, Union

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:edgekit:package:1"
BUILDER = "urn:edgekit:host"
MOST_SIGNATURES = 8
_LONGEST_KEY_ID = 128
_LONGEST_INTEGER = 20
_PEM = re.compile(
    rb"\s*-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*"
)
# SubjectPublicKeyInfo of Ed25519, RFC 8410 section 4: all of it but the key itself.
_ED25519_INFO = bytes.fromhex("302a300506032b6570032100")


class Unreadable(Exception):
    """It is not what edgekit writes; the text says what it is instead."""


@dataclass(frozen=True)
class Envelope:
    """A signed payload; `signatures` are key ids, which nobody vouches for, with the bytes."""

    payload: bytes
    signatures: Tuple[Tuple[str, bytes], ...]

    def signed_bytes(self) -> bytes:
        """Return what is signed: type and payload with their lengths (PAE, DSSE's protocol.md)."""
        kind = PAYLOAD_TYPE.encode()
        return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(self.payload), self.payload)


@dataclass(frozen=True)
class Statement:
    """What is signed: the bundle NAME.pyz has these digests, and was made for `target`."""

    name: str
    archive_sha256: str
    manifest_sha256: str
    target: str
    sequence: int


def envelope_of(data: bytes) -> Envelope:
    """Read an envelope.

    Raises:
        Unreadable: it is none of ours.
    """
    document = _object(_json(data), "payload", "payloadType", "signatures")
    if document["payloadType"] != PAYLOAD_TYPE:
        raise Unreadable("another payloadType than {}".format(PAYLOAD_TYPE))
    listed = document["signatures"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_SIGNATURES:
        raise Unreadable("it needs 1 to {} signatures".format(MOST_SIGNATURES))
    signatures = []
    for one in listed:
        content = _object(one, "keyid", "sig")
        if len(_text(content["keyid"])) > _LONGEST_KEY_ID:
            raise Unreadable("a key id is too long")
        signatures.append((content["keyid"], _bytes(content["sig"])))
    return Envelope(_bytes(document["payload"]), tuple(signatures))


def statement_of(payload: bytes) -> Statement:
    """Read the statement in an envelope whose signature was found right.

    Raises:
        Unreadable: it is not a statement about a bundle.
    """
    document = _object(_json(payload), "_type", "subject", "predicateType", "predicate")
    if (document["_type"], document["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise Unreadable("it states something else")
    subjects = document["subject"]
    if not isinstance(subjects, list) or len(subjects) != 2:
        raise Unreadable("its subjects are not a bundle and its manifest")
    digests = []
    for subject in subjects:
        digest = _object(_object(subject, "name", "digest")["digest"], "sha256")
        digests.append(_text(digest["sha256"]))
    predicate = _object(document["predicate"], "buildDefinition", "runDetails")
    keys = ("buildType", "externalParameters", "resolvedDependencies")
    definition = _object(predicate["buildDefinition"], *keys)
    if definition["buildType"] != BUILD_TYPE:
        raise Unreadable("another buildType than {}".format(BUILD_TYPE))
    told = _object(definition["externalParameters"], "model", "sequence", "target")
    sequence = told["sequence"]
    if type(sequence) is not int:
        raise Unreadable("its sequence is no integer")
    name = _text(subjects[0]["name"])
    return Statement(name, digests[0], digests[1], _text(told["target"]), sequence)


def public_key_of(pem: bytes) -> bytes:
    """Return the 32 bytes of the Ed25519 key in a PEM file of one public key.

    Raises:
        Unreadable: it holds something else.
    """
    if b"PRIVATE KEY-----" in pem:
        raise Unreadable("a private key, where a public one belongs")
    found = _PEM.fullmatch(pem)
    info = None if found is None else decoded_base64(b"".join(found.group(1).split()))
    if info is None:
        raise Unreadable("not a PEM file with one public key")
    if len(info) != len(_ED25519_INFO) + 32 or not info.startswith(_ED25519_INFO):
        raise Unreadable("a public key of another kind than Ed25519")
    return info[len(_ED25519_INFO) :]


def pem_of(key: bytes) -> bytes:
    """Return the PEM file of a public key."""
    text = base64.b64encode(_ED25519_INFO + key)
    return b"-----BEGIN PUBLIC KEY-----\n" + text + b"\n-----END PUBLIC KEY-----\n"


def key_id(key: bytes) -> str:
    """Return a public key's id: the SHA-256 of its 32 bytes, which needs no encoding to agree on."""
    return hashlib.sha256(key).hexdigest()


def decoded_base64(text: Union[bytes, str]) -> Optional[bytes]:
    """Return what base64 stands for, or None if it is not written in the one right way."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    wanted = text.encode("ascii") if isinstance(text, str) else text
    return data if base64.b64encode(data) == wanted else None


def short_integer(digits: str) -> int:
    """Read a JSON integer, but none of millions of digits, which takes older Pythons hours.

    Raises:
        ValueError: it has more digits than any that edgekit writes.
    """
    if len(digits) > _LONGEST_INTEGER:
        raise ValueError("an integer has {} digits".format(len(digits)))
    return int(digits)


def _json(data: bytes) -> Any:
    try:
        return json.loads(
            data.decode("utf-8"), parse_int=short_integer, object_pairs_hook=_without_repetition
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable("it is not JSON: {}".format(error)) from error


def _without_repetition(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key is there twice")
    return content


def _object(value: Any, *keys: str) -> Dict[str, Any]:
    if not isinstance(value, dict) or set(value) != set(keys):
        raise Unreadable("expected exactly the keys {}".format(", ".join(keys)))
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unreadable("expected a text")
    return value


def _bytes(value: Any) -> bytes:
    data = decoded_base64(_text(value))
    if data is None:
        raise Unreadable("expected base64")
    return data
