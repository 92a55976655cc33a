"""Checks Ed25519 signatures, RFC 8032 section 5.1.7. Part of the device slice: Python 3.8.

A device has to check a signature before it loads native code, and its Python has no Ed25519.
Only public values are handled here, so nothing has to take constant time.
"""

import hashlib
from typing import Optional, Tuple

KEY_BYTES = 32
SIGNATURE_BYTES = 64
# Section 5.1: the field, the order of the base point, and the constant d of the curve.
_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)
# A point as (X, Y, Z, T): x = X/Z, y = Y/Z, xy = T/Z (section 5.1.4).
_Point = Tuple[int, int, int, int]
_ZERO: _Point = (0, 1, 1, 0)


def is_public_key(key: bytes) -> bool:
    """Return whether these are the bytes of a key that a signature can be checked with."""
    point = _decoded(key)
    return point is not None and not _is_small(point)


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether `signature` is that of `message` by the owner of the public `key`.

    The equation is the one without the cofactor, compared as bytes, as OpenSSL has it: what is
    accepted here is accepted there. Keys of small order, for which one signature fits many
    messages, and keys and points that are not encoded in the one right way are refused.
    """
    if len(signature) != SIGNATURE_BYTES or not is_public_key(key):
        return False
    point = _decoded(key)
    s = int.from_bytes(signature[32:], "little")
    if s >= _L or point is None:
        return False
    digest = hashlib.sha512(signature[:32] + key + message).digest()
    h = int.from_bytes(digest, "little") % _L
    # R = [S]B - [h]A. Its encoding is the right one, so another encoding of R does not compare.
    x, y, z, t = point
    return _encoded(_sum_of_multiples(s, _BASE, h, (_P - x, y, z, _P - t))) == signature[:32]


def _decoded(encoded: bytes) -> Optional[_Point]:
    """Return the point, or None if there is none or it has a shorter way to be written: 5.1.3."""
    if len(encoded) != KEY_BYTES:
        return None
    both = int.from_bytes(encoded, "little")
    y, sign = both & ((1 << 255) - 1), both >> 255
    if y >= _P:
        return None
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if v * x * x % _P != u:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if v * x * x % _P != u or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return (x, y, 1, x * y % _P)


def _encoded(point: _Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _added(a: _Point, b: _Point) -> _Point:
    """Return a + b; complete, so that any two points may be equal: section 5.1.4."""
    p, q = (a[1] - a[0]) * (b[1] - b[0]) % _P, (a[1] + a[0]) * (b[1] + b[0]) % _P
    r, s = 2 * a[3] * b[3] * _D % _P, 2 * a[2] * b[2] % _P
    e, f, g, h = q - p, s - r, s + r, q + p
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _doubled(a: _Point) -> _Point:
    xx, yy = a[0] * a[0] % _P, a[1] * a[1] % _P
    h = xx + yy
    e, g = h - (a[0] + a[1]) ** 2, xx - yy
    f = 2 * a[2] * a[2] + g
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _sum_of_multiples(m: int, a: _Point, n: int, b: _Point) -> _Point:
    """Return [m]a + [n]b, two bits of both at a time: half the work of one after the other."""
    table = [_ZERO]
    for i in range(1, 16):
        table.append(_added(table[i - 1], a) if i & 3 else _added(table[i - 4], b))
    total = _ZERO
    for shift in range(252, -2, -2):
        total = _doubled(_doubled(total))
        index = (m >> shift & 3) | (n >> shift & 3) << 2
        if index:
            total = _added(total, table[index])
    return total


def _is_small(point: _Point) -> bool:
    """Return whether the point's order divides the cofactor, 8."""
    # Eight times any point lies in the group of prime order, where only zero has x = 0.
    return _doubled(_doubled(_doubled(point)))[0] == 0


_BASE = _decoded(b"\x58" + b"\x66" * 31) or _ZERO
