"""Tasks that run given machine code, in the ways that a runtime's code is run."""

import ctypes
import mmap
import threading
from pathlib import Path
from typing import Any

_pages: list[mmap.mmap] = []


def _mapped(code: str, way: str) -> int:
    """Return the address of the first instruction."""
    if way == "file":
        size = Path(code).stat().st_size
        with Path(code).open("r+b") as file:
            page = mmap.mmap(file.fileno(), size, mmap.MAP_PRIVATE, mmap.PROT_EXEC | 3)
        start = page[:].rfind(b"\0" * 16) + 16
    else:
        page, start = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_EXEC | 3), 0
        page.write(bytes.fromhex(code))
    _pages.append(page)
    return ctypes.addressof(ctypes.c_char.from_buffer(page)) + start


def run(request: dict[str, Any]) -> Any:
    address, way = _mapped(request["code"], request["way"]), request["way"]
    if way == "with the lock":
        ctypes.PYFUNCTYPE(None)(address)()
    elif way == "thread":
        thread = threading.Thread(target=ctypes.CFUNCTYPE(None)(address))
        thread.start()
        thread.join()
    elif way.startswith("native thread"):
        # PyDLL keeps the interpreter's lock: we wait for the thread, and the thread for the lock.
        library = ctypes.PyDLL(None) if way.endswith("kept") else ctypes.CDLL(None)
        number = ctypes.c_ulong()
        library.pthread_create.argtypes = [ctypes.c_void_p] * 4
        library.pthread_create(ctypes.byref(number), None, address, None)
        library.pthread_join.argtypes = [ctypes.c_ulong, ctypes.c_void_p]
        library.pthread_join(number, None)
    else:
        ctypes.CFUNCTYPE(None)(address)()
    return "it went on"
