"""The files of a set of wheels, what each names, and what is kept of each wheel."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelFile:
    """A file of the wheel file `wheel`; `path` is where it lies once installed.

    `member` is its name inside the wheel. A `compiled` file is an ELF file; with `importable` it
    is a module of Python, else a shared library. `sonames` are the names that others load it by.
    """

    wheel: str
    member: str
    path: str
    size_bytes: int
    compiled: bool = False
    importable: bool = False
    sonames: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a file names, and so may use when it runs. Modules are dotted and absolute.

    `modules`: imported, where the last part may be something inside a module. `children`: packages
    any module of which, directly below, may be imported. `packages`: the same at any depth.
    `libraries`: file names of shared libraries, with `*` for what is known only when it runs.
    """

    modules: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()
    packages: frozenset[str] = frozenset()
    libraries: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slimmed:
    """What is left of the wheel `filename`: `sha256` and `size_bytes` are of its compressed file.

    `unpacked_bytes` is what that decompresses to. `left_out_files` of the files that the wheel
    lists are not in it, `left_out_bytes` together; `kept` are the names of those that are.
    """

    filename: str
    sha256: str
    size_bytes: int
    unpacked_bytes: int
    left_out_files: int
    left_out_bytes: int
    kept: tuple[str, ...]
