"""Checking signatures: the RFC's vectors, hostile encodings, and the same answers as OpenSSL."""

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.reasoning import ed25519
from edge.reasoning.ed25519 import is_public_key, verify

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493

# RFC 8032, section 7.1: public key, message, signature.
VECTORS = {
    "test 1": (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
            "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    "test 2": (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e"
            "458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    "test 3": (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290"
            "ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
    "test sha(abc)": (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ec"
            "fdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"
        ),
    ),
}
SMALL = {
    "order 1": 1,
    "order 2": P - 1,
    "order 4": 0,
    "order 4, the other": 1 << 255,
    "order 8": 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    "order 8, the second": 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    "order 8, the third": 0x85FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    "order 8, the fourth": 0xFA03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
}
# What a lax reader takes for another number or point: y not below p, and a negative zero.
ODD = {
    "y = p": P,
    "y = p + 1": P + 1,
    "y = 2^255 - 1": 2**255 - 1,
    "y = p + 1, negative": P + 1 + (1 << 255),
    "x = -0": 1 + (1 << 255),
    "x = -0, order 2": P - 1 + (1 << 255),
}
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
SIGNATURE = KEY.sign(b"message")


def encoded(number: int) -> bytes:
    return number.to_bytes(32, "little")


def openssl(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@pytest.mark.parametrize("name", VECTORS)
def test_the_vectors_of_the_rfc(name: str) -> None:
    key, message, signature = (bytes.fromhex(part) for part in VECTORS[name])
    assert verify(key, message, signature)
    assert openssl(key, message, signature)
    assert not verify(key, message + b"\0", signature)


@pytest.mark.parametrize("name", SMALL)
def test_a_key_of_small_order_is_refused(name: str) -> None:
    key = encoded(SMALL[name])
    assert not is_public_key(key)
    # R = 0 and S = 0 fit every message whose hash is a multiple of the key's order.
    forged = encoded(1) + encoded(0)
    taken = [n for n in range(100) if openssl(key, b"%d" % n, forged)]
    assert taken, "a forgery that OpenSSL takes"
    assert not any(verify(key, b"%d" % n, forged) for n in taken)


@pytest.mark.parametrize("name", ODD)
def test_a_key_in_another_encoding_is_refused(name: str) -> None:
    assert not is_public_key(encoded(ODD[name]))
    assert not verify(encoded(ODD[name]), b"", encoded(1) + encoded(0))


@pytest.mark.parametrize("key", [b"", bytes(31), PUBLIC[:31], PUBLIC + b"\0", encoded(2)])
def test_what_is_no_key_is_refused(key: bytes) -> None:
    assert not is_public_key(key)
    assert not verify(key, b"message", SIGNATURE)


R, S = SIGNATURE[:32], int.from_bytes(SIGNATURE[32:], "little")


@pytest.mark.parametrize(
    "signature",
    {
        "empty": b"",
        "one byte short": SIGNATURE[:-1],
        "one byte long": SIGNATURE + b"\0",
        "twice": SIGNATURE + SIGNATURE,
        "zeros": bytes(64),
        "ones": b"\xff" * 64,
        "S + L": R + encoded(S + L),
        "S + 2 L": R + encoded(S + 2 * L),
        "S = L": R + encoded(L),
        "S with the top bit": R + encoded(S | 1 << 255),
        "S = 0": R + encoded(0),
        "-S": R + encoded(L - S),
        "-R": encoded(int.from_bytes(R, "little") ^ 1 << 255) + SIGNATURE[32:],
        "R and S the other way": SIGNATURE[32:] + R,
        "R = 0": encoded(1) + SIGNATURE[32:],
        "big-endian S": R + SIGNATURE[:31:-1],
    }.values(),
    ids=str,
)
def test_a_bent_signature_is_refused(signature: bytes) -> None:
    assert verify(PUBLIC, b"message", SIGNATURE)
    assert not verify(PUBLIC, b"message", signature)
    assert not openssl(PUBLIC, b"message", signature)


@pytest.mark.parametrize("name", ODD)
def test_r_in_another_encoding_is_refused(name: str) -> None:
    """S is made so that the equation holds for the point that a lax reader sees: R = 0."""
    secret = int.from_bytes(hashlib.sha512(bytes(range(32))).digest()[:32], "little")
    secret = secret & ~7 & (1 << 254) - 1 | 1 << 254
    for r in (encoded(1), encoded(ODD[name])):
        h = int.from_bytes(hashlib.sha512(r + PUBLIC + b"message").digest(), "little")
        signature = r + encoded(h * secret % L)
        assert verify(PUBLIC, b"message", signature) == (r == encoded(1))
        assert openssl(PUBLIC, b"message", signature) == (r == encoded(1))


def test_a_key_with_a_small_part_is_judged_without_the_cofactor() -> None:
    """A + T, with T of order 8: the equation with the cofactor would hold for every message."""
    secret = 12345
    torsion = ed25519._decoded(encoded(SMALL["order 8"]))
    assert torsion is not None
    key = ed25519._encoded(
        ed25519._added(ed25519._sum_of_multiples(secret, ed25519._BASE, 0, torsion), torsion)
    )
    r = ed25519._encoded(ed25519._sum_of_multiples(777, ed25519._BASE, 0, torsion))
    answers = set()
    for n in range(40):
        message = b"%d" % n
        h = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L
        signature = r + encoded((777 + h * secret) % L)
        answer = verify(key, message, signature)
        assert answer == (h % 8 == 0) == openssl(key, message, signature)
        answers.add(answer)
    assert answers == {True, False}


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
@settings(max_examples=60)
def test_whatever_is_signed_is_accepted(seed: bytes, message: bytes) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    assert verify(key.public_key().public_bytes_raw(), message, key.sign(message))


@given(st.binary(min_size=1, max_size=80), st.integers(min_value=0))
@settings(max_examples=150)
def test_a_flipped_bit_anywhere_is_refused(message: bytes, place: int) -> None:
    whole = bytearray(PUBLIC + KEY.sign(message) + message)
    bit = place % (8 * len(whole))
    whole[bit // 8] ^= 1 << bit % 8
    key, signature, rest = bytes(whole[:32]), bytes(whole[32:96]), bytes(whole[96:])
    assert not verify(key, rest, signature)
    assert not openssl(key, rest, signature)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
@settings(max_examples=100)
def test_nothing_is_accepted_that_openssl_refuses(key: bytes, signature: bytes) -> None:
    assert verify(key, b"", signature) <= openssl(key, b"", signature)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_key_or_none(key: bytes) -> None:
    assert is_public_key(key) in {True, False}
    assert len(key) == 32 or not is_public_key(key)
