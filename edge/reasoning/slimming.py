"""What of a set of wheels can be used at run time, from where its users start; in doubt, all of it.

The rules, and what they rest on: docs/adr/0008-slim-wheels.md.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from posixpath import basename, dirname
from typing import Final

from edge.records.wheel_files import Names, WheelFile

# A change of any rule is a new number, so that no cache gives what older rules decided.
RULES: Final = 3
# For compilers, linkers, debuggers and type checkers.
_NEVER_RUN: Final = (
    ".a",
    ".debug",
    ".h",
    ".hh",
    ".hpp",
    ".lib",
    ".pdb",
    ".pxd",
    ".pyi",
    "/py.typed",
)
# They drive compilers, which no device of a bundle is asked to have. numpy imports them when somebody
# takes them as its attributes, and its tests do.
_FOR_COMPILERS: Final = ("numpy.distutils", "numpy.f2py")
_LARGE_BYTES: Final = 1 << 20
_TESTS: Final = frozenset({"test", "tests"})
_LICENCE: Final = re.compile(
    r"(licen[cs]e|notice|copying|copyright|authors|third.?party)", re.IGNORECASE
)


def kept_files(
    files: Sequence[WheelFile],
    roots: Iterable[str],
    names_of: Callable[[WheelFile], Names],
    *,
    unasked: Iterable[str] = (),
) -> frozenset[WheelFile]:
    """Return the files that code which imports the modules `roots` can use.

    `names_of` is asked only for modules and compiled files that are kept. `unasked` are file names
    of shared libraries that are loaded only for somebody who asks for what they do, which nobody
    does: to be named is no reason to keep them.
    """
    closure = _Closure(files, names_of, frozenset(unasked))
    for root in roots:
        closure.reach(root)
    closure.follow()
    return frozenset(closure.kept | set(_others(files, closure)))


def likely_files(files: Sequence[WheelFile]) -> frozenset[WheelFile]:
    """Return files that are nearly always kept, known without looking into any.

    A wheel's metadata always is; its largest modules are what it is installed for, and auditwheel
    puts into NAME.libs what such modules are linked with.
    """
    return frozenset(
        file
        for file in files
        if _is_metadata(file.path)
        or (
            file.size_bytes >= _LARGE_BYTES
            and (file.importable or dirname(file.path).endswith(".libs"))
        )
    )


def module_name(file: WheelFile) -> str | None:
    """Return the dotted name by which Python imports a file; None if it cannot."""
    folder, name = dirname(file.path), basename(file.path)
    stem, _, ending = name.partition(".")
    if ending != "py" and not file.importable:
        return None
    parts = [*folder.split("/"), stem] if folder else [stem]
    if stem == "__init__":
        parts.pop()
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else None


def is_package(file: WheelFile) -> bool:
    """Return whether a module has modules below it."""
    return basename(file.path).partition(".")[0] == "__init__"


class _Closure:
    """Everything that was reached so far."""

    def __init__(
        self,
        files: Sequence[WheelFile],
        names_of: Callable[[WheelFile], Names],
        unasked: frozenset[str],
    ) -> None:
        self.kept: set[WheelFile] = set()
        self.folders: set[str] = set()
        self.module_folders: set[str] = set()
        self._waiting: list[WheelFile] = []
        self._names_of = names_of
        self._modules: dict[str, list[WheelFile]] = defaultdict(list)
        self._libraries: list[tuple[WheelFile, frozenset[str]]] = []
        for file in files:
            module = module_name(file)
            if module is not None:
                self._modules[module].append(file)
                self.module_folders.add(dirname(file.path))
            elif file.compiled and basename(file.path) not in unasked:
                self._libraries.append((file, file.sonames | _spellings(file.path)))
        self._below: dict[str, set[str]] = defaultdict(set)
        for module in self._modules:
            for parent in _parents(module):
                self._below[parent].add(module)

    def reach(self, name: str) -> None:
        """Keep the module of that name, if there is one, and the packages that it lies in."""
        if any(name == top or name.startswith(top + ".") for top in _FOR_COMPILERS):
            return
        for module in (*_parents(name), name):
            for file in self._modules.get(module, ()):
                self._keep(file)

    def follow(self) -> None:
        """Keep what is named by what is kept, until nothing new is."""
        while self._waiting:
            file = self._waiting.pop()
            names = self._names_of(file)
            for module in names.modules:
                self.reach(module)
            for package in names.children:
                self.reach(package)
                for module in self._untested(package):
                    if module.count(".") == package.count(".") + 1:
                        self.reach(module)
            for package in names.packages:
                self.reach(package)
                for module in self._untested(package):
                    self.reach(module)
            self._load(file, names.libraries)

    def _keep(self, file: WheelFile) -> None:
        if file not in self.kept:
            self.kept.add(file)
            self.folders.add(dirname(file.path))
            self._waiting.append(file)

    def _untested(self, package: str) -> Iterator[str]:
        for module in self._below.get(package, ()):
            if _TESTS.isdisjoint(module[len(package) + 1 :].split(".")):
                yield module

    def _load(self, user: WheelFile, names: frozenset[str]) -> None:
        """Keep the libraries that a file names; with a pattern it means those of its own wheel."""
        patterns = [name for name in names if "*" in name and user.wheel]
        for library, spellings in self._libraries:
            if not spellings.isdisjoint(names) or (
                library.wheel == user.wheel
                and any(fnmatchcase(s, pattern) for pattern in patterns for s in spellings)
            ):
                self._keep(library)


def _parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    for length in range(1, len(parts)):
        yield ".".join(parts[:length])


def _spellings(path: str) -> frozenset[str]:
    """Return what a library can be called: libx.so.1.2, libx.so and libx."""
    name = basename(path)
    stem, mark, _ = name.partition(".so")
    return frozenset({name, stem + mark, stem})


def _others(files: Sequence[WheelFile], closure: _Closure) -> Iterator[WheelFile]:
    """Yield what is kept without being named: metadata, licences, data of kept packages."""
    for file in files:
        if _is_metadata(file.path) or _LICENCE.match(basename(file.path)):
            yield file
        elif file.compiled or module_name(file) is not None or file.path.endswith(_NEVER_RUN):
            continue
        elif _has_kept_code(dirname(file.path), closure):
            yield file


def _is_metadata(path: str) -> bool:
    return path.partition("/")[0].endswith(".dist-info")


def _has_kept_code(folder: str, closure: _Closure) -> bool:
    """Return whether the innermost folder around a data file that has modules has kept ones."""
    while True:
        if folder in closure.module_folders:
            return folder in closure.folders
        if not folder:
            # No module lies around it, so nothing says that it is not used.
            return True
        if folder.rpartition("/")[2] in _TESTS:
            return False
        folder = dirname(folder)
