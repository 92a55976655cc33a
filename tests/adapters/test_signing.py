"""Signed statements: what they say, the same bytes every time, and that the library agrees."""

import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from made_keys import public_bytes, secret_key, signer
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
from small_bundle import write_small

from edge.adapters.keys import generate_key
from edge.adapters.signing import choose_sequence, load_signer
from edge.device.bundle import open_bundle
from edge.device.signature import envelope_of, key_id, statement_of
from edge.errors import BundleError, ConfigError, UsageError
from edge.records.manifest import Manifest


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    path = tmp_path_factory.mktemp("signing") / "digits-host.pyz"
    return replace(write_small(path).manifest, sequence=7)


def test_the_statement_says_what_was_built_of_what(manifest: Manifest) -> None:
    envelope = envelope_of(signer(1).envelope(manifest, "a" * 64, "b" * 64))
    wheel = manifest.wheels[0]
    assert json.loads(envelope.payload) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": "digits-host.pyz", "digest": {"sha256": "a" * 64}},
            {"name": "manifest.json", "digest": {"sha256": "b" * 64}},
        ],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:edgekit:package:1",
                "externalParameters": {
                    "target": "host",
                    "sequence": 7,
                    "model": {
                        "name": "digits.onnx",
                        "digest": {"sha256": manifest.model.sha256},
                    },
                },
                "resolvedDependencies": [
                    {
                        "uri": "pkg:pypi/tiny@1.0",
                        "name": "tiny-1.0-py3-none-any.whl",
                        "digest": {"sha256": wheel.sha256},
                    }
                ],
            },
            "runDetails": {"builder": {"id": "urn:edgekit:host", "version": {"edgekit": "0.1.0"}}},
        },
    }
    told = statement_of(envelope.payload)
    assert (told.name, told.target, told.sequence) == ("digits-host.pyz", "host", 7)


def test_names_and_versions_are_spelled_as_purl_has_them(manifest: Manifest) -> None:
    wheel = replace(manifest.wheels[0], name="Some_Thing.x", version="1.0+cpu")
    data = signer(1).envelope(replace(manifest, wheels=(wheel,)), "", "")
    definition = json.loads(envelope_of(data).payload)["predicate"]["buildDefinition"]
    assert definition["resolvedDependencies"][0]["uri"] == "pkg:pypi/some-thing-x@1.0%2Bcpu"


def test_the_library_verifies_what_was_signed(manifest: Manifest) -> None:
    data = signer(1).envelope(manifest, "a" * 64, "b" * 64)
    named = key_id(public_bytes(1))
    key = SSlibKey.from_crypto(secret_key(1).public_key(), keyid=named)
    assert set(Envelope.from_dict(json.loads(data)).verify([key], 1)) == {named}


def test_the_same_statement_gives_the_same_bytes(manifest: Manifest) -> None:
    one = signer(1).envelope(manifest, "a" * 64, "b" * 64)
    assert one == signer(1).envelope(manifest, "a" * 64, "b" * 64)
    assert len(one) == len(signer(1).envelope(manifest, "0" * 64, "1" * 64))


def test_a_signed_bundle_is_the_same_every_time(tmp_path: Path) -> None:
    one, two = tmp_path / "one.pyz", tmp_path / "two.pyz"
    written = write_small(one, signer=signer(1))
    write_small(two, signer=signer(1))
    assert one.read_bytes() == two.read_bytes()
    assert written.key_id == key_id(public_bytes(1))
    assert write_small(two).key_id is None
    with open_bundle(str(one)) as bundle:
        bundle.verify_members()
        assert bundle.digest == written.digest
        assert bundle.envelope is not None
        told = statement_of(envelope_of(bundle.envelope).payload)
        assert told.archive_sha256 == bundle.archive_sha256()
        assert told.manifest_sha256 == bundle.manifest_sha256


def test_too_long_a_statement_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.pyz"
    wheels = small_wheels(tmp_path) * 80
    with pytest.raises(BundleError) as caught:
        write_small(path, signer=signer(1), wheels=wheels)
    assert caught.value.what == (
        "the signature would be longer than 16 KiB: the runtime has too many wheels"
    )
    assert not path.exists()
    write_small(path, wheels=wheels)


def small_wheels(folder: Path) -> tuple[object, ...]:
    return write_small(folder / "small.pyz").manifest.wheels


def test_a_signer_is_loaded_from_a_file(tmp_path: Path) -> None:
    named = generate_key(tmp_path / "release")
    loaded = load_signer(tmp_path / "release")
    assert loaded.key_id == named
    assert loaded.warning is None
    (tmp_path / "release").chmod(0o640)
    assert "chmod 600" in str(load_signer(tmp_path / "release").warning)
    with pytest.raises(ConfigError, match="a public key, which cannot sign"):
        load_signer(tmp_path / "release.pub")


NOW = datetime(2026, 11, 25, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("given", "signed", "epoch", "chosen"),
    [
        (3, True, "5", 3),
        (0, True, None, 0),
        (None, True, "5", 5),
        (None, False, "5", 5),
        (None, True, "", 1795564800),
        (None, True, None, 1795564800),
        (None, False, None, 0),
    ],
)
def test_the_sequence_is_given_or_the_time(
    given: int | None, epoch: str | None, chosen: int, *, signed: bool
) -> None:
    environment = {} if epoch is None else {"SOURCE_DATE_EPOCH": epoch}
    assert choose_sequence(given, signed=signed, environment=environment, now=NOW) == chosen


@pytest.mark.parametrize("epoch", ["-1", "1.5", "now", "٣", "1" * 5000])
def test_an_odd_epoch_is_refused(epoch: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choose_sequence(None, signed=False, environment={"SOURCE_DATE_EPOCH": epoch})
    assert str(caught.value).startswith("SOURCE_DATE_EPOCH: not a time: ")


@pytest.mark.parametrize("given", [-1, 1 << 53])
def test_an_odd_sequence_is_refused(given: int) -> None:
    with pytest.raises(UsageError) as caught:
        choose_sequence(given, signed=True, environment={})
    assert str(caught.value) == f"not a sequence: {given}"


def test_without_a_time_it_is_now() -> None:
    assert choose_sequence(None, signed=True, environment={}) > NOW.timestamp() - 10 * 365 * 86400
