"""Looks at a bundle as data: is every byte as it was written, and who signed it."""

from dataclasses import dataclass
from pathlib import Path

from edge.adapters.keys import load_public_key
from edge.device.bundle import open_bundle
from edge.device.signature import key_id
from edge.device.trust import Trust, named_keys, require_trusted
from edge.device.trusted_keys import TrustedKey


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBundle:
    """An undamaged bundle. `named_keys` are the key ids that it names itself.

    `signed_by` is the key that it was checked with; None: no key was given.
    """

    path: str
    name: str
    target: str
    sequence: int
    sha256: str
    size_bytes: int
    members: int
    named_keys: tuple[str, ...]
    signed_by: str | None


def verify_bundle(path: Path, key: Path | None = None) -> VerifiedBundle:
    """Check every byte of a bundle, and with the public key in the file `key` who signed it.

    None of its code is run. The signature is checked by the code that a device has.

    Raises:
        BundleError: it is no bundle, is damaged, or was not signed with that key.
        ConfigError: `key` is no public key.
    """
    trust = None if key is None else _trust_in(key)
    with open_bundle(str(path)) as bundle:
        bundle.verify_members()
        if trust is not None:
            require_trusted(bundle, trust)
        manifest = bundle.manifest
        return VerifiedBundle(
            path=str(path),
            name=manifest.name,
            target=manifest.target,
            sequence=manifest.sequence,
            sha256=bundle.digest,
            size_bytes=bundle.size_bytes,
            members=len(bundle.members),
            named_keys=named_keys(bundle),
            signed_by=None if trust is None else trust.keys[0].key_id,
        )


def _trust_in(path: Path) -> Trust:
    key = load_public_key(path)
    return Trust((TrustedKey(key_id(key), key, str(path)),), None)
