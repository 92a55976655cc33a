"""Which instruction set an x86-64 instruction is of, as /proc/cpuinfo spells it. Device slice: Python 3.8.

Pure. Prefixes, maps and opcodes: Intel SDM, volume 2, 2.1 to 2.7 and appendix A; feature flags:
each instruction's own page there, and arch/x86/include/asm/cpufeatures.h of Linux for the names.
"""

from typing import Dict, FrozenSet, Iterable, Mapping, Optional, Tuple

_LEGACY_PREFIXES = frozenset(b"\x66\xf2\xf3\x2e\x36\x3e\x26\x64\x65\x67\xf0")
_NONE, _66, _F3, _F2 = range(4)
_VEX2, _VEX3, _EVEX = 0xC5, 0xC4, 0x62
_TRAPS = (0x0B, 0xB9, 0xFF)  # UD2, UD1, UD0

_Key = Tuple[int, int]


def _set(text: str) -> FrozenSet[int]:
    """Read opcodes such as "50-53 c4"."""
    spans = [[int(end, 16) for end in word.split("-")] for word in text.split()]
    return frozenset(n for span in spans for n in range(span[0], span[-1] + 1))


def _table(rows: Iterable[Tuple[int, str, str]]) -> Dict[_Key, str]:
    return {(number, opcode): name for number, text, name in rows for opcode in _set(text)}


# Map 2 is 0F 38, map 3 is 0F 3A.
_LEGACY = _table(
    (
        (2, "0-b 1c-1e", "ssse3"),
        (2, "10 14 15 17 20-25 28-2b 30-35 38-41", "sse4_1"),
        (2, "37 f0 f1", "sse4_2"),
        (2, "db-df", "aes"),
        (2, "c8-cd", "sha_ni"),
        (2, "f6", "adx"),
        (2, "cf", "gfni"),
        (3, "f", "ssse3"),
        (3, "8-e 14-17 20-22 40-42", "sse4_1"),
        (3, "44", "pclmulqdq"),
        (3, "60-63", "sse4_2"),
        (3, "df", "aes"),
        (3, "cc", "sha_ni"),
        (3, "ce cf", "gfni"),
    )
)
_VEX = _table(
    (
        (2, "f2 f3", "bmi1"),
        (2, "f5 f6", "bmi2"),
        (3, "f0", "bmi2"),
        (2, "96-9f a6-af b6-bf", "fma"),
        (2, "13", "f16c"),
        (3, "1d", "f16c"),
        (2, "50-53", "avx_vnni"),
        (2, "b4 b5", "avx_ifma"),
        (2, "49 4b", "amx_tile"),
        (2, "5e", "amx_int8"),
        (2, "cf", "gfni"),
        (3, "ce cf", "gfni"),
        (2, "16 36 45-47 58-5a 78 79 8c 8e 90-93", "avx2"),
        (3, "0-2 38 39 46", "avx2"),
    )
)
# Integers in 256 bits; those of map 1 stood in SSE2 and were widened by AVX2.
_VEX_256 = _table(
    (
        (1, "60-6d 70-76 d1-d5 d7-e5 e8-ef f1-f6 f8-fe", "avx2"),
        (2, "0-b 1c-1e 20-25 28-2b 30-35 37-41", "avx2"),
        (3, "f 42 4c", "avx2"),
        (2, "dc-df", "vaes"),
        (3, "44", "vpclmulqdq"),
    )
)
_EVEX_SETS = _table(
    (
        (2, "50-53", "avx512_vnni"),
        (2, "62 63 70-73", "avx512_vbmi2"),
        (3, "70-73", "avx512_vbmi2"),
        (2, "b4 b5", "avx512ifma"),
        (2, "54 8f", "avx512_bitalg"),
        (2, "55", "avx512_vpopcntdq"),
        (2, "44 c4", "avx512cd"),
        (2, "68", "avx512_vp2intersect"),
        (2, "83", "avx512vbmi"),
        (2, "dc-df", "vaes"),
        (3, "44", "vpclmulqdq"),
        (2, "cf", "gfni"),
        (3, "ce cf", "gfni"),
        (1, "54-57", "avx512dq"),
        (2, "40", "avx512dq"),
        (3, "50 51 56 57 66 67", "avx512dq"),
        (1, "60 61 63-65 67-69 6b 71 74 75 c4 c5 d1 d5 d8-da dc-de", "avx512bw"),
        (1, "e0 e1 e3-e5 e8-ea ec-ee f1 f5 f6 f8 f9 fc fd", "avx512bw"),
        (2, "0 4 b 1c 1d 66 78-7b", "avx512bw"),
        (3, "f 14 15 3e 3f 42", "avx512bw"),
    )
)
# Masks to and from vectors, with the prefix F3.
_MASKS = {
    0x28: "avx512bw",
    0x29: "avx512bw",
    0x38: "avx512dq",
    0x39: "avx512dq",
    0x2A: "avx512cd",
    0x3A: "avx512cd",
}
_LEGACY_BY_PREFIX: Mapping[Tuple[int, int], str] = {
    (_F3, 0xB8): "popcnt",
    (_F3, 0x12): "pni",
    (_F2, 0x12): "pni",
    (_F3, 0x16): "pni",
    (_66, 0x7C): "pni",
    (_F2, 0x7C): "pni",
    (_66, 0x7D): "pni",
    (_F2, 0x7D): "pni",
    (_F2, 0xF0): "pni",
}


def x86_instruction_set(code: bytes) -> Optional[str]:
    """Return the set of the instruction that `code` begins with; "trap" for UD0, UD1 and UD2."""
    at, prefix = 0, _NONE
    while code[at : at + 1] and code[at] in _LEGACY_PREFIXES:
        prefix = {0x66: prefix or _66, 0xF3: _F3, 0xF2: _F2}.get(code[at], prefix)
        at += 1
    rest = code[at:]
    if rest and 0x40 <= rest[0] <= 0x4F:
        rest = rest[1:]  # REX
    # Whatever the bytes are, there are enough of them: a missing one reads as 0.
    rest = rest + bytes(8) if rest else b""
    if not rest:
        return None
    if rest[0] == _VEX2:
        return _vex(1, rest[1] & 3, rest[1] >> 2 & 1, rest[2])
    if rest[0] == _VEX3:
        return _vex(rest[1] & 0x1F, rest[2] & 3, rest[2] >> 2 & 1, rest[3])
    if rest[0] == _EVEX:
        return _evex(rest[1] & 7, rest[2] & 3, rest[2] >> 7, rest[4])
    return _legacy(prefix, rest) if rest[0] == 0x0F else None


def _legacy(prefix: int, rest: bytes) -> Optional[str]:
    opcode = rest[1]
    if opcode in _TRAPS:
        return "trap"
    if opcode in (0x38, 0x3A):
        number = 2 if opcode == 0x38 else 3
        if number == 2 and rest[2] in (0xF0, 0xF1) and prefix in (_NONE, _66):
            return "movbe"
        return _LEGACY.get((number, rest[2]))
    if opcode == 0xC7 and rest[2] >> 6 == 3:
        return {6: "rdrand", 7: "rdseed"}.get(rest[2] >> 3 & 7)
    return _LEGACY_BY_PREFIX.get((prefix, opcode))


def _vex(number: int, prefix: int, is_256: int, opcode: int) -> str:
    if (number, opcode) == (2, 0x5C):
        return "amx_fp16" if prefix == _F2 else "amx_bf16"
    if (number, opcode) == (2, 0xF7):
        return "bmi1" if prefix == _NONE else "bmi2"
    if (number, opcode) in ((2, 0x50), (2, 0x51)) and prefix != _66:
        return "avx_vnni_int8"
    found = _VEX.get((number, opcode))
    if found is None and is_256:
        found = _VEX_256.get((number, opcode))
    return found or "avx"


def _evex(number: int, prefix: int, wide: int, opcode: int) -> str:
    if number in (5, 6) or (
        number == 3 and (prefix == _NONE or (opcode == 0xC2 and prefix == _F3))
    ):
        return "avx512_fp16"
    if number == 2 and ((opcode == 0x52 and prefix == _F3) or (opcode == 0x72 and prefix != _66)):
        return "avx512_bf16"
    if number == 2 and opcode in (0x75, 0x7D, 0x8D):
        return "avx512bw" if wide else "avx512vbmi"
    if number == 2 and prefix == _F3 and opcode in _MASKS:
        return _MASKS[opcode]
    if number == 2 and opcode in (0x10, 0x11, 0x12) and wide and prefix == _66:
        return "avx512bw"
    if number == 2 and opcode in (0x20, 0x30, 0x38, 0x3A, 0x3C, 0x3E) and prefix == _66:
        return "avx512bw"
    if number == 1 and opcode in (0x6F, 0x7F) and prefix == _F2:
        return "avx512bw"
    return _EVEX_SETS.get((number, opcode), "avx512f")
