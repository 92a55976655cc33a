"""Reading envelopes and keys: exactly what edgekit writes, within bounds."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from made_keys import public_bytes, public_pem, secret_key
from securesystemslib.dsse import Envelope as LibraryEnvelope

from edge.device.signature import (
    PAYLOAD_TYPE,
    Unreadable,
    decoded_base64,
    envelope_of,
    key_id,
    pem_of,
    public_key_of,
    statement_of,
)

SIGNATURE = {"keyid": "ab", "sig": base64.b64encode(bytes(64)).decode()}
ENVELOPE = {
    "payload": base64.b64encode(b"{}").decode(),
    "payloadType": PAYLOAD_TYPE,
    "signatures": [SIGNATURE],
}
STATEMENT: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [
        {"name": "a.pyz", "digest": {"sha256": "1"}},
        {"name": "manifest.json", "digest": {"sha256": "2"}},
    ],
    "predicateType": "https://slsa.dev/provenance/v1",
    "predicate": {
        "buildDefinition": {
            "buildType": "urn:edgekit:package:1",
            "externalParameters": {"target": "rpi4", "sequence": 7, "model": {}},
            "resolvedDependencies": [],
        },
        "runDetails": {},
    },
}


def test_an_envelope_is_read() -> None:
    envelope = envelope_of(json.dumps(ENVELOPE).encode())
    assert envelope.payload == b"{}"
    assert envelope.signatures == (("ab", bytes(64)),)


def test_what_is_signed_is_what_the_library_signs() -> None:
    payload = '{"é": 1}'.encode()
    document = {**ENVELOPE, "payload": base64.b64encode(payload).decode()}
    ours = envelope_of(json.dumps(document).encode())
    assert ours.signed_bytes() == LibraryEnvelope(payload, PAYLOAD_TYPE, {}).pae()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "it is not JSON: Expecting value"),
        (b"\xff", "it is not JSON: 'utf-8' codec"),
        (b"[" * 12_000, "it is not JSON: maximum recursion depth exceeded"),
        (b'{"a":' * 2_000, "it is not JSON: "),
        (b"9" * 12_000, "it is not JSON: an integer has 12000 digits"),
        (b'{"payload": "", "payload": ""}', "it is not JSON: a key is there twice"),
        (b"[]", "expected exactly the keys payload, payloadType, signatures"),
        (b"{}", "expected exactly the keys payload, payloadType, signatures"),
    ],
)
def test_what_is_no_json_of_ours_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(Unreadable) as caught:
        envelope_of(data)
    assert str(caught.value).startswith(what)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"more": 1}, "expected exactly the keys payload, payloadType, signatures"),
        ({"payloadType": "text/plain"}, "another payloadType than application/vnd.in-toto+json"),
        ({"payload": 1}, "expected a text"),
        ({"payload": "a"}, "expected base64"),
        ({"payload": "e 30="}, "expected base64"),
        ({"payload": "e31="}, "expected base64"),
        ({"payload": "é"}, "expected base64"),
        ({"signatures": []}, "it needs 1 to 8 signatures"),
        ({"signatures": [SIGNATURE] * 9}, "it needs 1 to 8 signatures"),
        ({"signatures": {"0": SIGNATURE}}, "it needs 1 to 8 signatures"),
        ({"signatures": ["x"]}, "expected exactly the keys keyid, sig"),
        ({"signatures": [{**SIGNATURE, "cert": ""}]}, "expected exactly the keys keyid, sig"),
        ({"signatures": [{**SIGNATURE, "sig": None}]}, "expected a text"),
        ({"signatures": [{**SIGNATURE, "keyid": 1}]}, "expected a text"),
        ({"signatures": [{**SIGNATURE, "keyid": "a" * 129}]}, "a key id is too long"),
    ],
)
def test_an_odd_envelope_is_refused(change: dict[str, Any], what: str) -> None:
    with pytest.raises(Unreadable) as caught:
        envelope_of(json.dumps({**ENVELOPE, **change}).encode())
    assert str(caught.value) == what


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_an_envelope_or_refused(data: bytes) -> None:
    for read in (envelope_of, statement_of):
        with pytest.raises(Unreadable):
            read(data)


json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.sampled_from(["_type", "subject", "predicateType", "predicate"]), json_data)
def test_any_data_in_a_statement_is_refused(key: str, data: object) -> None:
    with pytest.raises(Unreadable):
        statement_of(json.dumps({**STATEMENT, key: data}).encode())


def test_a_statement_is_read() -> None:
    told = statement_of(json.dumps(STATEMENT).encode())
    assert (told.name, told.archive_sha256, told.manifest_sha256) == ("a.pyz", "1", "2")
    assert (told.target, told.sequence) == ("rpi4", 7)


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        ("_type", "https://in-toto.io/Statement/v0.1", "it states something else"),
        ("predicateType", "https://slsa.dev/provenance/v0.2", "it states something else"),
        ("subject", [], "its subjects are not a bundle and its manifest"),
        ("subject.0.digest", {"sha1": "1"}, "expected exactly the keys sha256"),
        ("subject.0.digest.sha256", 1, "expected a text"),
        (
            "predicate.buildDefinition.buildType",
            "x",
            "another buildType than urn:edgekit:package:1",
        ),
        (
            "predicate.buildDefinition.externalParameters.sequence",
            True,
            "its sequence is no integer",
        ),
        (
            "predicate.buildDefinition.externalParameters.sequence",
            7.0,
            "its sequence is no integer",
        ),
        ("predicate.buildDefinition.externalParameters.target", None, "expected a text"),
    ],
)
def test_an_odd_statement_is_refused(path: str, value: object, what: str) -> None:
    document = json.loads(json.dumps(STATEMENT))
    inner = document
    *above, last = path.split(".")
    for key in above:
        inner = inner[int(key) if key.isdigit() else key]
    inner[last] = value
    with pytest.raises(Unreadable) as caught:
        statement_of(json.dumps(document).encode())
    assert str(caught.value) == what


@given(st.binary(max_size=40))
def test_base64_has_one_spelling(data: bytes) -> None:
    text = base64.b64encode(data)
    assert decoded_base64(text) == decoded_base64(text.decode()) == data
    assert decoded_base64(text + b"\n") is None


# Keys.


def test_a_key_is_written_and_read_as_the_library_does() -> None:
    pem = (
        secret_key(1)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    assert pem == public_pem(1)
    assert public_key_of(pem) == public_bytes(1)
    assert public_key_of(pem.replace(b"\n", b"\r\n")) == public_bytes(1)
    assert pem_of(public_key_of(pem)) == pem
    assert len(key_id(public_bytes(1))) == 64


def rsa_pem() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize(
    ("pem", "what"),
    [
        (b"", "not a PEM file with one public key"),
        (b"ssh-ed25519 AAAA", "not a PEM file with one public key"),
        (public_pem(1) * 2, "not a PEM file with one public key"),
        (public_pem(1)[:-30], "not a PEM file with one public key"),
        (public_pem(1).replace(b"MCow", b"MC*w"), "not a PEM file with one public key"),
        (public_pem(1).replace(b"MCow", b"MCox"), "a public key of another kind than Ed25519"),
        (rsa_pem(), "a public key of another kind than Ed25519"),
        (
            public_pem(1).replace(b"PUBLIC", b"PRIVATE"),
            "a private key, where a public one belongs",
        ),
    ],
)
def test_what_is_no_key_of_ours_is_refused(pem: bytes, what: str) -> None:
    with pytest.raises(Unreadable) as caught:
        public_key_of(pem)
    assert str(caught.value) == what
