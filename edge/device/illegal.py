"""Says on stderr which instruction a process died of, and in which library. Device slice: Python 3.8.

A SIGILL comes in the thread that ran the instruction, while a runtime is being imported or runs.
The answer is in siginfo, which Python's own signal handling does not give, so the C library is
called. What is called back is Python: it waits for the interpreter's lock, which the same thread
may hold already (an import) or have given back (an inference). If another thread holds it and waits
for this one, neither goes on; so a few instructions of machine code set a timer first, and SIGALRM
ends the process. The instruction then runs again, without us, and the process dies of it as before.
"""

import ctypes
import json
import os
import signal
import struct
from typing import Any, Dict, List, Mapping, Optional

MARK = b"illegal instruction: "
# Of the machine's word: how long an instruction can be (Intel SDM 2A, 2.3.11: 15 bytes).
_CODE_BYTES = 16
# How long to look at it at most: long for reading two files of /proc, even in an emulator.
_LOOK_S = 5
_SA_SIGINFO, _SA_RESETHAND = 4, 0x80000000
_PROT_READ, _PROT_WRITE, _PROT_EXEC, _MAP_PRIVATE, _MAP_ANONYMOUS = 1, 2, 4, 2, 32
# setitimer(ITIMER_REAL, the 5 s of the data, NULL), then a jump to the address in the data, with all
# arguments as they were.
_CODE = {
    # push rdi; push rsi; push rdx; xor edi, edi; lea rsi, [rip + 0x3c]; xor edx, edx; mov eax, 38;
    # syscall; pop rdx; pop rsi; pop rdi; jmp [rip + 0x22]
    "x86_64": "57565231ff488d353c00000031d2b8260000000f055a5e5fff2522000000",
    # stp x0, x1, [sp, #-32]!; str x2, [sp, #16]; mov x0, #0; adr x1, .+60; mov x2, #0; mov x8, #103;
    # svc #0; ldr x2, [sp, #16]; ldp x0, x1, [sp], #32; ldr x16, .+28; br x16
    "aarch64": "e007bea9e20b00f9000080d2e1010010020080d2e80c80d2010000d4e20b40f9e007c2a8f0000058"
    "00021fd6",
    # push {r0-r3, r7, lr}; mov r0, #0; add r1, pc, #52; mov r2, #0; mov r7, #104; svc #0;
    # pop {r0-r3, r7, lr}; ldr pc, [pc, #28]
    "arm": "8f402de90000a0e334108fe20020a0e36870a0e3000000ef8f40bde81cf09fe5",
}
_DATA_AT, _PAGE_BYTES = 64, 4096
# Where struct sigcontext has the flags of a 32-bit Arm, and the one that says Thumb.
_ARM_CPSR_AT, _ARM_THUMB = 96, 1 << 5

_kept: List[Any] = []


class _Action(ctypes.Structure):
    """Struct sigaction, as the C library (not the kernel) has it."""

    _fields_ = (
        ("call", ctypes.c_void_p),
        ("mask", ctypes.c_ulong * (128 // ctypes.sizeof(ctypes.c_ulong))),
        ("flags", ctypes.c_uint),
        ("restorer", ctypes.c_void_p),
    )


def machine() -> str:
    """Return the architecture of this process, which may be another than that of the kernel."""
    name = os.uname().machine
    if ctypes.sizeof(ctypes.c_void_p) == 4 and name.startswith(("arm", "aarch64")):
        return "arm"
    return name


def watch() -> bool:
    """Tell about the instruction if this process is going to die of one; False: it cannot be."""
    code = _CODE.get(machine())
    if code is None or _kept:
        return bool(_kept)
    libc = ctypes.CDLL(None, use_errno=True)
    call = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(_look)
    address = ctypes.cast(call, ctypes.c_void_p).value or 0
    entry = _executable(libc, bytes.fromhex(code), struct.pack("@Pllll", address, 0, 0, _LOOK_S, 0))
    if entry is None:
        return False  # The system allows no code that was made at run time.
    action = _Action(call=entry, flags=_SA_SIGINFO | _SA_RESETHAND)
    _kept.append(call)
    return bool(libc.sigaction(int(signal.SIGILL), ctypes.byref(action), None) == 0)


def _executable(libc: ctypes.CDLL, code: bytes, data: bytes) -> Optional[int]:
    """Put code and its data on a page that can be run and no longer be changed."""
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    writable = _PROT_READ | _PROT_WRITE
    page = libc.mmap(None, _PAGE_BYTES, writable, _MAP_PRIVATE | _MAP_ANONYMOUS, -1, 0)
    if page in (None, ctypes.c_void_p(-1).value):
        return None
    ctypes.memmove(page, code, len(code))
    ctypes.memmove(page + _DATA_AT, data, len(data))
    # The kernel makes the caches of an Arm agree when a page becomes executable.
    if libc.mprotect(page, _PAGE_BYTES, _PROT_READ | _PROT_EXEC) != 0:
        return None
    return int(page)


def _look(_number: int, info: int, context: int) -> None:
    """Write what happened; errors have nobody to go to, and the process dies in any case."""
    try:
        if ctypes.c_int.from_address(info + 8).value <= 0:
            os.kill(os.getpid(), signal.SIGILL)  # Somebody sent it: the first one did nothing.
            return
        at = 16 if ctypes.sizeof(ctypes.c_void_p) == 8 else 12
        address = ctypes.c_void_p.from_address(info + at).value or 0
        found = {"machine": machine(), **_place(address)}
        if found["machine"] == "arm":
            flags = ctypes.c_uint32.from_address(context + _ARM_CPSR_AT).value
            found["machine"] = "thumb" if flags & _ARM_THUMB else "arm"
        os.write(2, b"\n" + MARK + json.dumps(found).encode() + b"\n")
    except (OSError, ValueError):
        pass


def _place(address: int) -> Dict[str, Any]:
    """Return what is mapped there by /proc/self/maps (proc(5)): the file, and the code in it."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            span, allowed, offset, _, _, *path = line.split(None, 5)
            first, last = (int(end, 16) for end in span.split("-"))
            if first <= address < last:
                # The next page may be nobody's.
                length = min(_CODE_BYTES, last - address) if "r" in allowed else 0
                return {
                    "library": path[0].strip() if path else None,
                    "offset": address - first + int(offset, 16),
                    "code": ctypes.string_at(address, length).hex(),
                }
    return {"library": None, "offset": None, "code": ""}


def told(last_words: bytes) -> Optional[Mapping[str, Any]]:
    """Return what `watch` made a process say in its last words, None where it said nothing."""
    for line in reversed(last_words.splitlines()):
        if line.startswith(MARK):
            try:
                found = json.loads(line[len(MARK) :])
                bytes.fromhex(found["code"])
            except (ValueError, KeyError, TypeError):
                return None
            return found if isinstance(found.get("machine"), str) else None
    return None
