"""What a device with a key refuses: everything but what its key has signed, for its target."""

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_keys import (
    envelope_in,
    public_bytes,
    secret_key,
    signer,
    trust_in,
    with_envelope,
    with_third_line,
)
from small_bundle import below_head, sealed, write_small

from edge.device.bundle import open_bundle
from edge.device.entry import HEAD_BYTES, SIGNATURE_MARK
from edge.device.signature import PAYLOAD_TYPE, Envelope, key_id
from edge.device.trust import named_keys, require_trusted, signature_words
from edge.device.trusted_keys import Trust
from edge.errors import BundleError

OURS, THEIRS = key_id(public_bytes(1)), key_id(public_bytes(2))


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("signed") / "digits-host.pyz"
    write_small(path, signer=signer(1), sequence=7)
    return path


@pytest.fixture(scope="session")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("newer") / "digits-host.pyz"
    write_small(path, signer=signer(1), sequence=8)
    return path


@pytest.fixture
def bent(tmp_path: Path) -> Path:
    return tmp_path / "bent.pyz"


def refusal(path: Path, trust: Trust) -> str:
    with pytest.raises(BundleError) as caught, open_bundle(str(path)) as bundle:
        require_trusted(bundle, trust)
    assert caught.value.where == str(path)
    return caught.value.what


def words(path: Path, trust: Trust) -> str:
    with open_bundle(str(path)) as bundle:
        return signature_words(bundle, trust)


def test_what_the_key_signed_is_accepted(signed: Path) -> None:
    for trust in (trust_in(1), trust_in(2, 1), trust_in(1, target="host"), trust_in()):
        with open_bundle(str(signed)) as bundle:
            require_trusted(bundle, trust)
            bundle.verify_members()
            assert named_keys(bundle) == (OURS,)
    assert words(signed, trust_in(1)) == f"signed by {OURS}, which this device trusts"
    assert words(signed, trust_in(2)) == f"signed by {OURS}, which this device does not trust"
    assert words(signed, trust_in()) == f"signed by {OURS}, which this device does not trust"


def test_unsigned_is_refused_by_a_device_with_a_key(small: Path) -> None:
    what = f"it is unsigned, and must be signed by {OURS}"
    assert refusal(small, trust_in(1)) == what
    with open_bundle(str(small)) as bundle:
        require_trusted(bundle, trust_in())
    assert words(small, trust_in(1)) == "unsigned"


def test_a_signature_that_was_taken_away_is_missed(signed: Path, bent: Path) -> None:
    bent.write_bytes(with_third_line(signed, SIGNATURE_MARK + b"none"))
    # The members of the archive say where they lie, so that they cannot follow another head.
    with pytest.raises(BundleError), open_bundle(str(bent)):
        pass


def test_another_key_is_refused(signed: Path) -> None:
    what = f"it is signed by {OURS}, and must be signed by {THEIRS}"
    assert refusal(signed, trust_in(2)) == what


def test_another_target_is_refused(signed: Path, small: Path) -> None:
    what = "it was made for host, and this device is rpi4"
    assert refusal(signed, trust_in(1, target="rpi4")) == what
    assert refusal(small, trust_in(target="rpi4")) == what


def test_every_altered_byte_is_refused_though_the_digest_fits(signed: Path, bent: Path) -> None:
    """Who alters a bundle can write a second line that fits; the signature is still not his."""
    below = below_head(signed.read_bytes())
    archive_at = below.index(b"\n") + 1
    shuffled = random.Random(2)
    places = [*range(30), *(shuffled.randrange(archive_at) for _ in range(200))]
    places += [*range(archive_at, archive_at + 30), *range(len(below) - 60, len(below))]
    places += [shuffled.randrange(archive_at, len(below)) for _ in range(300)]
    # The key id is a hint that nobody relies on: another test changes it, and is accepted.
    envelope = json.dumps(envelope_in(signed), sort_keys=True, separators=(",", ":"))
    hint_at = len(SIGNATURE_MARK) + envelope.index('"keyid"') * 4 // 3
    hint_end = hint_at + (len('"keyid":""') + 64) * 4 // 3 + 4
    trust = trust_in(1)
    for place in places:
        if hint_at <= place < hint_end:
            continue
        altered = bytearray(below)
        altered[place] ^= 1 << shuffled.randrange(8)
        bent.write_bytes(sealed(bytes(altered)))
        with pytest.raises(BundleError), open_bundle(str(bent)) as bundle:
            require_trusted(bundle, trust)


def test_the_envelope_of_another_bundle_is_refused(signed: Path, newer: Path, bent: Path) -> None:
    assert len(envelope_in(newer)["payload"]) == len(envelope_in(signed)["payload"])
    line = newer.read_bytes()[HEAD_BYTES:].split(b"\n", 1)[0]
    bent.write_bytes(with_third_line(signed, line))
    assert refusal(bent, trust_in(1)) == "its signature is of another bundle: sequence 8, here 7"
    assert words(bent, trust_in(1)) == (
        "not signed as it must be: its signature is of another bundle: sequence 8, here 7"
    )


def resigned(path: Path, change: dict[str, Any], seed: int = 1) -> dict[str, Any]:
    """Return the envelope with another statement in it, rightly signed."""
    document = envelope_in(path)
    statement = json.loads(base64.b64decode(document["payload"]))
    for where, value in change.items():
        inner = statement
        *above, last = where.split(".")
        for key in above:
            inner = inner[int(key) if key.isdigit() else key]
        inner[last] = value
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    return enveloped(payload, seed)


def enveloped(payload: bytes, *seeds: int) -> dict[str, Any]:
    signed_bytes = Envelope(payload, ()).signed_bytes()
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {
                "keyid": key_id(public_bytes(seed)),
                "sig": base64.b64encode(secret_key(seed).sign(signed_bytes)).decode(),
            }
            for seed in seeds
        ],
    }


def compact(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


PARAMETERS = "predicate.buildDefinition.externalParameters"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"subject.0.name": "digits-hose.pyz"}, "name digits-hose.pyz, here digits-host.pyz"),
        ({"subject.0.digest.sha256": "0" * 64}, f"archive {'0' * 64}, here "),
        ({"subject.1.digest.sha256": "0" * 64}, f"manifest {'0' * 64}, here "),
        ({f"{PARAMETERS}.target": "rpi4"}, "target rpi4, here host"),
        ({f"{PARAMETERS}.sequence": 6}, "sequence 6, here 7"),
    ],
)
def test_a_right_signature_on_another_statement_is_refused(
    signed: Path, bent: Path, change: dict[str, Any], what: str
) -> None:
    bent.write_bytes(with_envelope(signed, compact(resigned(signed, change))))
    assert refusal(bent, trust_in(1)).startswith("its signature is of another bundle: " + what)


def test_a_right_signature_on_something_else_is_refused(signed: Path, bent: Path) -> None:
    length = len(base64.b64decode(envelope_in(signed)["payload"]))
    bent.write_bytes(with_envelope(signed, compact(enveloped(b"x" * length, 1))))
    what = refusal(bent, trust_in(1))
    assert what == "its signature cannot be read: it is not JSON: " + what.rpartition("JSON: ")[2]


def test_somebody_elses_signature_under_our_key_id_is_refused(signed: Path, bent: Path) -> None:
    document = resigned(signed, {}, seed=2)
    document["signatures"][0]["keyid"] = OURS
    bent.write_bytes(with_envelope(signed, compact(document)))
    assert refusal(bent, trust_in(1)) == f"its signature is not that of key {OURS}"
    assert words(bent, trust_in(1)).startswith("not signed as it must be: ")
    with open_bundle(str(bent)) as bundle:
        require_trusted(bundle, trust_in(2))


def test_our_signature_under_any_key_id_is_accepted(signed: Path, bent: Path) -> None:
    document = resigned(signed, {})
    document["signatures"][0]["keyid"] = THEIRS
    bent.write_bytes(with_envelope(signed, compact(document)))
    with open_bundle(str(bent)) as bundle:
        require_trusted(bundle, trust_in(1))


def test_one_of_two_signatures_is_enough(tmp_path: Path) -> None:
    """Who changes keys signs with both for a while; devices with either one take the bundle."""

    class Both:
        key_id = OURS

        def envelope(self, manifest: Any, archive: str, document: str) -> bytes:
            data = json.loads(signer(1).envelope(manifest, archive, document))
            return compact(enveloped(base64.b64decode(data["payload"]), 2, 1))

    path = tmp_path / "both.pyz"
    write_small(path, signer=Both())  # type: ignore[arg-type]
    for seed in (1, 2):
        with open_bundle(str(path)) as bundle:
            require_trusted(bundle, trust_in(seed))
            assert named_keys(bundle) == (THEIRS, OURS)
    what = f"it is signed by {THEIRS}, {OURS}, and must be signed by {key_id(public_bytes(3))}"
    assert refusal(path, trust_in(3)) == what


@pytest.mark.parametrize(
    ("envelope", "what"),
    [
        (b"[" * 12_000, "its signature cannot be read: it is not JSON: maximum recursion"),
        (b"{}", "its signature cannot be read: expected exactly the keys"),
        (b"9" * 12_000, "its signature cannot be read: it is not JSON: an integer has"),
    ],
)
def test_a_hostile_envelope_is_refused(tmp_path: Path, envelope: bytes, what: str) -> None:
    class Hostile:
        key_id = OURS

        def envelope(self, *_about: object) -> bytes:
            return envelope

    path = tmp_path / "hostile.pyz"
    write_small(path, signer=Hostile())  # type: ignore[arg-type]
    assert refusal(path, trust_in(1)).startswith(what)
    assert words(path, trust_in(1)).startswith("not signed as it must be: " + what)


def test_too_long_a_third_line_is_refused_before_it_is_read(signed: Path, bent: Path) -> None:
    for length in (16 << 10, 16 << 20):
        bent.write_bytes(with_third_line(signed, SIGNATURE_MARK + b"A" * length))
        with pytest.raises(BundleError) as caught, open_bundle(str(bent)):
            pass
        assert caught.value.what == "not a bundle: its third line is no signature line"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"", "its third line is no signature line"),
        (b"none ", "its third line is no signature line"),
        (b"e30", "its signature is not base64"),
        (b"e31=", "its signature is not base64"),
        (b"e30=\r", "its third line is no signature line"),
    ],
)
def test_an_odd_third_line_is_refused(signed: Path, bent: Path, text: bytes, what: str) -> None:
    bent.write_bytes(with_third_line(signed, SIGNATURE_MARK + text))
    with pytest.raises(BundleError) as caught, open_bundle(str(bent)):
        pass
    assert caught.value.what == f"not a bundle: {what}"


@given(head=st.binary(max_size=300), resealed=st.booleans())
def test_any_head_is_a_bundle_or_refused(
    tmp_path_factory: pytest.TempPathFactory, *, head: bytes, resealed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-head.pyz"
    path.write_bytes(sealed(head) if resealed else head)
    with pytest.raises(BundleError), open_bundle(str(path)):
        pass


LINES = st.lists(
    st.sampled_from([b"#!/usr/bin/env python3", b"# edgekit-sha256: " + b"0" * 64])
    | st.binary(max_size=90).map(lambda text: SIGNATURE_MARK + base64.b64encode(text))
    | st.binary(max_size=90).map(lambda text: SIGNATURE_MARK + text)
    | st.sampled_from([SIGNATURE_MARK, SIGNATURE_MARK + b"none", b"", b"PK\x05\x06" + bytes(18)]),
    max_size=5,
)


@given(lines=LINES, resealed=st.booleans())
def test_any_lines_are_a_bundle_or_refused(
    tmp_path_factory: pytest.TempPathFactory, *, lines: list[bytes], resealed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-lines.pyz"
    data = b"\n".join(lines) + b"\n"
    path.write_bytes(sealed(data) if resealed else data)
    with pytest.raises(BundleError), open_bundle(str(path)):
        pass


def test_a_bundle_that_changes_while_it_is_checked_is_refused(signed: Path, bent: Path) -> None:
    """Somebody lets us read his manifest, and then puts the signed bundle in its place."""
    write_small(bent, signer=signer(2), sequence=7, edgekit_version="0.1.1")
    line = signed.read_bytes()[HEAD_BYTES:].split(b"\n", 1)[0]
    bent.write_bytes(with_third_line(bent, line))
    with open_bundle(str(bent)) as bundle:
        assert bundle.manifest.edgekit_version == "0.1.1"
        bent.write_bytes(signed.read_bytes())
        with pytest.raises(BundleError, match="of another bundle: manifest"):
            require_trusted(bundle, trust_in(1))
