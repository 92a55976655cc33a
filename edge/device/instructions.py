"""Which instruction set a piece of machine code is of, as /proc/cpuinfo spells it. Device slice: Python 3.8.

Pure functions. Arm's are masks and values of one 32-bit word, of the Arm Architecture Reference
Manual (DDI 0487), part C4 for A64 and F3 and F4 for A32 and T32; the first row that fits counts.
"""

import struct
from typing import Optional, Tuple

# What a compiler puts where a program must not get to: no instruction set is missing.
TRAP = "trap"

_Rows = Tuple[Tuple[int, int, str], ...]

_A64: _Rows = (
    (0xFFFF0000, 0x00000000, TRAP),  # UDF
    # Atomic memory operations, CAS, CASP; LDAPR stands among them.
    (0x3FFFFC00, 0x38BFC000, "lrcpc"),
    (0x3F200C00, 0x38200000, "atomics"),
    (0x3FA07C00, 0x08A07C00, "atomics"),
    (0xBFA07C00, 0x08207C00, "atomics"),
    (0x7FE0E000, 0x1AC04000, "crc32"),
    # Cryptography.
    (0xFFFFCC00, 0x4E284800, "aes"),
    (0xFFE0CC00, 0x5E000000, "sha1"),  # SHA1C, SHA1P, SHA1M, SHA1SU0
    (0xFFE08C00, 0x5E000000, "sha2"),
    (0xFFFFEC00, 0x5E280800, "sha1"),  # SHA1H, SHA1SU1
    (0xFFFFFC00, 0x5E282800, "sha2"),
    (0xBFE0FC00, 0x0EE0E000, "pmull"),
    (0xFFC08000, 0xCE000000, "sha3"),  # EOR3, BCAX
    (0xFFE0FC00, 0xCE608C00, "sha3"),  # RAX1
    (0xFFE00000, 0xCE800000, "sha3"),  # XAR
    (0xFFE0F000, 0xCE608000, "sha512"),
    (0xFFFFFC00, 0xCEC08000, "sha512"),
    # Advanced SIMD, three registers of the same kind, extra.
    (0xBFE0FC00, 0x2E40EC00, "bf16"),  # BFDOT
    (0xBFE0FC00, 0x2EC0FC00, "bf16"),  # BFMLALB, BFMLALT
    (0xBFE0FC00, 0x2E40FC00, "bf16"),  # BFDOT
    (0xFFE0FC00, 0x6E40EC00, "bf16"),  # BFMMLA
    (0x9F20FC00, 0x0E009400, "asimddp"),  # SDOT, UDOT
    (0xBF20FC00, 0x0E009C00, "i8mm"),  # USDOT
    (0xDFE0FC00, 0x4E80A400, "i8mm"),  # SMMLA, UMMLA
    (0xFFE0FC00, 0x4E80AC00, "i8mm"),  # USMMLA
    (0xBF20F400, 0x2E008400, "asimdrdm"),  # SQRDMLAH, SQRDMLSH
    (0xBF20E400, 0x2E00C400, "fcma"),  # FCMLA
    (0xBF20EC00, 0x2E00E400, "fcma"),  # FCADD
    (0xFF20F400, 0x7E008400, "asimdrdm"),
    # By element.
    (0x9FC0F400, 0x0F80E000, "asimddp"),
    (0xBFC0F400, 0x0F80F000, "i8mm"),  # USDOT
    (0xBFC0F400, 0x0F00F000, "i8mm"),  # SUDOT
    (0xBFC0F400, 0x0F40F000, "bf16"),  # BFDOT
    (0xBFC0F400, 0x0FC0F000, "bf16"),  # BFMLALB, BFMLALT
    (0xBF00D400, 0x2F00D000, "asimdrdm"),
    (0xFF00D400, 0x7F00D000, "asimdrdm"),
    (0xBFC0B400, 0x0F800000, "asimdfhm"),  # FMLAL, FMLSL
    (0xBFC0B400, 0x2F808000, "asimdfhm"),  # FMLAL2, FMLSL2
    (0xBF009400, 0x2F001000, "fcma"),
    (0xBFC0B400, 0x0F001000, "asimdhp"),  # FMLA, FMLS
    (0x9FC0F400, 0x0F009000, "asimdhp"),  # FMUL, FMULX
    (0xDFC0F400, 0x5F009000, "asimdhp"),
    (0xFFC0B400, 0x5F001000, "asimdhp"),
    # Half precision.
    (0xBF60FC00, 0x0E20EC00, "asimdfhm"),
    (0xBF60FC00, 0x2E20CC00, "asimdfhm"),
    (0x9F60C400, 0x0E400400, "asimdhp"),
    (0x9F7E0C00, 0x0E780800, "asimdhp"),
    (0xDF60C400, 0x5E400400, "asimdhp"),
    (0xDF7E0C00, 0x5E780800, "asimdhp"),
    (0xBF7FCC00, 0x0E30C800, "asimdhp"),  # FMAXV and its like
    (0xFFFFFC00, 0x1E634000, "bf16"),  # BFCVT
    (0xBFFFFC00, 0x0EA16800, "bf16"),  # BFCVTN
    (0xFF7FCC00, 0x5E30C800, "asimdhp"),  # FADDP and its like
    (0xBFF8FC00, 0x0F00FC00, "asimdhp"),  # FMOV, immediate
    (0x7FE00000, 0x1EC00000, "fphp"),
    (0xFFC00000, 0x1FC00000, "fphp"),
    (0x7FE0FC00, 0x1EE00000, "fphp"),
    (0x1E000000, 0x04000000, "sve"),
    (0x9E000000, 0x80000000, "sme"),
)
# A half is not widened or narrowed by fphp, but by the first ARMv8.0 already (FCVT).
_FCVT_FROM_HALF = (0xFFFF7C00, 0x1EE24000)
_HALF = (0x7FE00000, 0x1EE00000)

_A32: _Rows = (
    (0xFFF000F0, 0xE7F000F0, TRAP),  # UDF
    (0x0FD0F0F0, 0x0710F010, "idiva"),
    (0x0F900DF0, 0x01000040, "crc32"),
)
# The same words in both; a T32 word of SIMD or floating point is first turned into A32's.
_A32_VECTOR: _Rows = (
    (0xFFB00F00, 0xFC200D00, "asimddp"),  # VSDOT, VUDOT
    (0xFFB00F00, 0xFE200D00, "asimddp"),
    (0xFFBF0F10, 0xF3B00300, "aes"),
    (0xFF900F10, 0xF2000C10, "vfpv4"),  # VFMA, VFMS
    (0xFE000000, 0xF2000000, "neon"),
    (0xFF100000, 0xF4000000, "neon"),
    (0x0FB00E10, 0x0EA00A00, "vfpv4"),  # VFMA, VFMS
    (0x0FB00E10, 0x0E900A00, "vfpv4"),  # VFNMA, VFNMS
    (0x0F000E00, 0x0E000A00, "vfp"),
    (0x0E000E00, 0x0C000A00, "vfp"),
)
_T32: _Rows = (
    (0xFFF0F000, 0xF7F0A000, TRAP),  # UDF.W
    (0xFFD0F0F0, 0xFB90F0F0, "idivt"),
    (0xFFE0F0C0, 0xFAC0F080, "crc32"),
)


def instruction_set(machine: str, code: bytes) -> Optional[str]:
    """Return the set that the first instruction of `code` belongs to, by its name in /proc/cpuinfo.

    `machine` is x86_64, aarch64, arm or thumb. None: a basic one, or it is not known; TRAP: one
    that no processor has.
    """
    if machine == "x86_64":
        from edge.device.instructions_x86 import x86_instruction_set

        return x86_instruction_set(code)
    if machine == "thumb" and code[1:2] == b"\xde":
        return TRAP  # UDF, the 16-bit one
    if len(code) < 4:
        return None
    if machine == "aarch64":
        return _a64(struct.unpack("<I", code[:4])[0])
    if machine == "arm":
        word = struct.unpack("<I", code[:4])[0]
        return _first(_A32 + _A32_VECTOR, word)
    if machine == "thumb":
        high, low = struct.unpack("<HH", code[:4])
        word = high << 16 | low
        return _first(_T32, word) or _first(_A32_VECTOR, _as_a32(word))
    return None


def _a64(word: int) -> Optional[str]:
    mask, value = _FCVT_FROM_HALF
    if word & mask == value:
        return None
    found = _first(_A64, word)
    # All other scalar instructions with the type "half" (C4.1.97).
    return found or ("fphp" if word & _HALF[0] == _HALF[1] else None)


def _as_a32(word: int) -> int:
    """Turn a T32 word of SIMD or floating point into A32's (F3.1.10, F4.1.21)."""
    if word & 0xEF000000 == 0xEF000000:
        return 0xF2000000 | word & 0x00FFFFFF | (word >> 28 & 1) << 24
    if word & 0xFF100000 == 0xF9000000:
        return 0xF4000000 | word & 0x00FFFFFF
    # Others can only be a coprocessor's: 0xEC, 0xED and 0xEE, or 0xFC and 0xFE.
    return word if word >> 24 in (0xEC, 0xED, 0xEE, 0xFC, 0xFE) else 0


def _first(rows: _Rows, word: int) -> Optional[str]:
    return next((name for mask, value, name in rows if word & mask == value), None)
