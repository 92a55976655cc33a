"""What a device refuses of a bundle because of who signed it, or did not. Device slice: Python 3.8.

How the chain is closed: docs/adr/0010-trust.md.
"""

from typing import Optional, Tuple

from edge.device.bundle import Bundle
from edge.device.signature import Envelope, Unreadable, envelope_of, statement_of
from edge.device.trusted_keys import Trust, TrustedKey, add_key, read_trust, remove_key
from edge.errors import BundleError, printable
from edge.reasoning import ed25519

__all__ = [
    "Trust",
    "TrustedKey",
    "add_key",
    "named_keys",
    "read_trust",
    "remove_key",
    "require_trusted",
    "signature_words",
    "signer_of",
]


def require_trusted(bundle: Bundle, trust: Trust) -> None:
    """Refuse a bundle that no trusted key has signed, or that was made for another target.

    What is read of `bundle` later, its manifest and the members that it lists, is what was signed.

    Raises:
        BundleError: it is unsigned, signed by another key, altered after it was signed, or made
            for another target.
    """
    if trust.keys:
        _require_signature(bundle, trust.keys)
    target = bundle.manifest.target
    if trust.target is not None and target != trust.target:
        what = "it was made for {}, and this device is {}".format(printable(target), trust.target)
        hint = "package the model again, with --target {}".format(trust.target)
        raise BundleError(what, where=bundle.path, hint=hint)


def signer_of(bundle: Bundle, keys: Tuple[TrustedKey, ...]) -> Optional[str]:
    """Return the id of the key among `keys` whose owner signed this very bundle, else None.

    Raises:
        BundleError: the signature cannot be read, or is of something else than this bundle.
    """
    envelope = _envelope(bundle)
    if envelope is None:
        return None
    signed = envelope.signed_bytes()
    for trusted in keys:
        # The key id in an envelope is only a hint, which anybody can change: every pair is tried.
        if any(ed25519.verify(trusted.key, signed, one) for _, one in envelope.signatures):
            _require_same(bundle, envelope)
            return trusted.key_id
    for named, _ in envelope.signatures:
        if named in {trusted.key_id for trusted in keys}:
            what = "its signature is not that of key {}".format(named)
            raise BundleError(what, where=bundle.path, hint="package it again, with --sign")
    return None


def signature_words(bundle: Bundle, trust: Trust) -> str:
    """Return who signed a bundle and what this device thinks of it, for a person to read."""
    try:
        envelope = _envelope(bundle)
        if envelope is None:
            return "unsigned"
        signer = signer_of(bundle, trust.keys)
    except BundleError as error:
        return "not signed as it must be: {}".format(error.what)
    if signer is not None:
        return "signed by {}, which this device trusts".format(signer)
    return "signed by {}, which this device does not trust".format(_named(envelope))


def named_keys(bundle: Bundle) -> Tuple[str, ...]:
    """Return the key ids that a bundle names itself: nothing vouches for them.

    Raises:
        BundleError: the signature cannot be read.
    """
    envelope = _envelope(bundle)
    return () if envelope is None else tuple(named for named, _ in envelope.signatures)


def _require_signature(bundle: Bundle, keys: Tuple[TrustedKey, ...]) -> None:
    ours = ", ".join(trusted.key_id for trusted in keys)
    hint = "package it again, with --sign and that key"
    envelope = _envelope(bundle)
    if envelope is None:
        what = "it is unsigned, and must be signed by {}".format(ours)
        raise BundleError(what, where=bundle.path, hint=hint)
    if signer_of(bundle, keys) is None:
        what = "it is signed by {}, and must be signed by {}"
        raise BundleError(what.format(_named(envelope), ours), where=bundle.path, hint=hint)


def _require_same(bundle: Bundle, envelope: Envelope) -> None:
    """Refuse an envelope that is rightly signed but speaks of another bundle."""
    try:
        told = statement_of(envelope.payload)
    except Unreadable as error:
        raise _unreadable(bundle, error) from error
    manifest = bundle.manifest
    pairs = (
        ("name", told.name, manifest.name + ".pyz"),
        ("target", told.target, manifest.target),
        ("sequence", told.sequence, manifest.sequence),
        ("manifest", told.manifest_sha256, bundle.manifest_sha256),
        ("archive", told.archive_sha256, bundle.archive_sha256()),
    )
    for what, signed, here in pairs:
        if signed != here:
            text = "its signature is of another bundle: {} {}, here {}"
            text = text.format(what, printable(signed), printable(here))
            raise BundleError(text, where=bundle.path, hint="copy it again, or package it again")


def _envelope(bundle: Bundle) -> Optional[Envelope]:
    try:
        return None if bundle.envelope is None else envelope_of(bundle.envelope)
    except Unreadable as error:
        raise _unreadable(bundle, error) from error


def _unreadable(bundle: Bundle, error: Unreadable) -> BundleError:
    what = "its signature cannot be read: {}".format(error)
    return BundleError(what, where=bundle.path, hint="package it again, with --sign")


def _named(envelope: Envelope) -> str:
    return ", ".join(printable(named) for named, _ in envelope.signatures)
