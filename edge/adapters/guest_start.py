"""Run as a script: becomes qemu, with statx(2) refused and an end when its parent ends.

qemu's user mode looks for a path below `-L` in most calls, but hands statx on as it is; only where
the kernel has no statx does it fall back to a call that it redirects (linux-user/syscall.c of
qemu 7.2 to 9). A 32-bit Python asks by statx whether a file exists, so without this it would see
this machine's files. A filter of system calls needs no rights (seccomp(2)).
"""

import ctypes
import json
import os
import resource
import signal
import struct
import sys

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER = 1, 22, 38, 2
_STATX = {"x86_64": 332, "aarch64": 291}
# Of linux/bpf_common.h and linux/seccomp.h: load a word, jump if equal, return.
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERROR_NO_SUCH_CALL = 0x7FFF0000, 0x00050000 | 38


class _Program(ctypes.Structure):
    """Struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def main() -> None:
    """Become the program of the arguments after the first, which is its environment as JSON."""
    environment, *command = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    library = ctypes.CDLL(None)
    library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    number = _STATX.get(os.uname().machine)
    if number is not None:
        # Where a sandbox forbids it, a 32-bit guest sees fewer files and all else works.
        _refuse(library, number)
    try:
        os.execve(command[0], command, json.loads(environment))  # noqa: S606 - ours chose it
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        # As a shell says that a program could not be started.
        sys.exit(126)


def _refuse(library: ctypes.CDLL, number: int) -> None:
    """Make the kernel say of a system call that it has none."""
    steps = (
        (_LOAD, 0, 0, 0),
        (_JUMP_EQUAL, 0, 1, number),
        (_RETURN, 0, 0, _ERROR_NO_SUCH_CALL),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = _Program(len(steps), ctypes.addressof(code))
    library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    library.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)


if __name__ == "__main__":
    main()
