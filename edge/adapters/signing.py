"""Signs bundles: an in-toto statement with SLSA provenance in a DSSE envelope, by securesystemslib.

https://slsa.dev/spec/v1.0/provenance. What a device reads of it: edge/device/signature.py.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

# Not the module `time`, which is the timing loop's: this is a date, and nothing is measured with it.
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from packaging.utils import canonicalize_name

from edge.adapters.keys import Ask, PrivateKey, load_private_key
from edge.device.signature import (
    BUILD_TYPE,
    BUILDER,
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
)
from edge.errors import ConfigError, UsageError
from edge.records.manifest import MANIFEST_PATH, Manifest

_EPOCH_VARIABLE: Final = "SOURCE_DATE_EPOCH"
_MOST_SEQUENCE: Final = 1 << 53


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Signs bundles with one key; `warning` says what is unsafe about the key's file."""

    private: PrivateKey

    @property
    def key_id(self) -> str:
        """The id of the key, as a device computes it."""
        return self.private.key_id

    @property
    def warning(self) -> str | None:
        """What to tell the user about the key's file."""
        return self.private.warning

    def envelope(self, manifest: Manifest, archive_sha256: str, manifest_sha256: str) -> bytes:
        """Return the signed statement about a bundle, as JSON; the same one gives the same bytes.

        Its length does not depend on the digests.
        """
        from securesystemslib.dsse import Envelope
        from securesystemslib.signer import CryptoSigner, SSlibKey

        statement = _statement(manifest, archive_sha256, manifest_sha256)
        envelope = Envelope(_json(statement), PAYLOAD_TYPE, {})
        key = self.private.key
        # Our own key id: a device has the 32 bytes and no library to find another one with.
        public = SSlibKey.from_crypto(key.public_key(), keyid=self.key_id)
        envelope.sign(CryptoSigner(key, public))
        return _json(envelope.to_dict())


def load_signer(path: Path, ask: Ask | None = None) -> Signer:
    """Return a signer with the private key of a file. `ask` is called for its password, if needed.

    Raises:
        ConfigError: there is no such key, or its password is wrong or missing.
    """
    return Signer(private=load_private_key(path, ask))


def choose_sequence(
    given: int | None,
    *,
    signed: bool,
    environment: Mapping[str, str] = os.environ,
    now: datetime | None = None,
) -> int:
    """Return a bundle's sequence: the given one, else $SOURCE_DATE_EPOCH, else now in seconds.

    An unsigned bundle without either has 0, so that the same inputs give the same bytes.

    Raises:
        UsageError: it is given, and is negative or larger than every JSON reader can hold.
        ConfigError: $SOURCE_DATE_EPOCH is no number of seconds.
    """
    if given is not None:
        if not 0 <= given < _MOST_SEQUENCE:
            raise UsageError(f"not a sequence: {given}", hint="a number from 0 to 2^53 - 1")
        return given
    epoch = environment.get(_EPOCH_VARIABLE)
    if epoch:
        if not (epoch.isascii() and epoch.isdigit() and int(epoch[:20]) < _MOST_SEQUENCE):
            hint = "the seconds since 1 January 1970, as reproducible builds have it"
            raise ConfigError(f"not a time: {epoch}", where=_EPOCH_VARIABLE, hint=hint)
        return int(epoch)
    return int((now or datetime.now(timezone.utc)).timestamp()) if signed else 0


def _statement(manifest: Manifest, archive_sha256: str, manifest_sha256: str) -> dict[str, Any]:
    """State what a bundle is made of, and how."""
    model = manifest.model
    wheels = [
        {
            "uri": f"pkg:pypi/{canonicalize_name(wheel.name)}@{quote(wheel.version, safe='')}",
            "name": wheel.filename,
            "digest": {"sha256": wheel.sha256},
        }
        for wheel in manifest.wheels
    ]
    parameters = {
        "target": manifest.target,
        "sequence": manifest.sequence,
        "model": {"name": model.name, "digest": {"sha256": model.sha256}},
    }
    builder = {"id": BUILDER, "version": {"edgekit": manifest.edgekit_version}}
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": f"{manifest.name}.pyz", "digest": {"sha256": archive_sha256}},
            {"name": MANIFEST_PATH, "digest": {"sha256": manifest_sha256}},
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": parameters,
                "resolvedDependencies": wheels,
            },
            "runDetails": {"builder": builder},
        },
    }


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")
