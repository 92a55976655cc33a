"""What of some wheels can be used: static names, and a closure that Python's importer confirms."""

import importlib.abc
import importlib.util
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.reasoning.imports import python_names
from edge.reasoning.slimming import is_package, kept_files, likely_files, module_name
from edge.records.wheel_files import Names, WheelFile


def file(path: str, wheel: str = "one.whl", **more: Any) -> WheelFile:
    return WheelFile(wheel=wheel, member=path, path=path, size_bytes=1, **more)


def library(path: str, wheel: str = "one.whl", soname: str | None = None) -> WheelFile:
    return file(path, wheel, compiled=True, sonames=frozenset([soname] if soname else []))


def extension(path: str, wheel: str = "one.whl") -> WheelFile:
    return file(path, wheel, compiled=True, importable=True)


def names(source: str, module: str = "pack.mod", *, package: bool = False) -> Names:
    return python_names(source.encode(), module, is_package=package)


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("import a, b.c as d", {"a", "b.c"}),
        ("from a import b, c as d", {"a", "a.b", "a.c"}),
        ("from . import b", {"pack", "pack.b"}),
        ("from .x import y", {"pack.x", "pack.x.y"}),
        ("from .. import b", set()),
        ("def f():\n  if 0:\n    import a", {"a"}),
        ("try:\n  import a\nexcept ImportError:\n  from b import c", {"a", "b", "b.c"}),
        ("import_module('a.b')", {"a.b"}),
        ("importlib.import_module('.b', __package__)", {"pack.b"}),
        ("for m in ('a', 'b'):\n  __import__(m)", {"a", "b"}),
        ("m = 'a'\nm = 'b'\n__import__(m)", {"a", "b"}),
        ("'import a'", set()),
        ("class A:\n  import a", {"a"}),
        ("async def f():\n  async with x: import a", {"a"}),
        ("match x:\n  case 1:\n    import a", {"a"}),
        ("lambda: __import__('a')", {"a"}),
    ],
)
def test_what_a_module_imports(source: str, modules: set[str]) -> None:
    found = names(source)
    assert found.modules == modules
    assert found.packages == set()


def test_what_a_package_imports_from_itself() -> None:
    found = names("from . import b\nfrom .c import d", "pack", package=True)
    assert found.modules == {"pack", "pack.b", "pack.c", "pack.c.d"}
    assert names("from ..c import d", "pack.sub", package=True).modules == {"pack.c", "pack.c.d"}


def test_a_star_is_all_that_lies_below() -> None:
    found = names("from a.b import *")
    assert (found.modules, found.children) == ({"a.b"}, {"a.b"})
    assert names("__import__('a', globals(), locals(), ['b'])").children == {"a"}


@pytest.mark.parametrize(
    "source",
    [
        "import importlib\nimportlib.import_module(name)",
        "importlib.import_module(f'{name}.a')",
        "def f(name): __import__(name)",
        "name = 'a'\nname += 'b'\n__import__(name)",
        "name = 'a'\ndef f(name): __import__(name)",
        "name = 'a'\nmatch x:\n  case {'k': name}: __import__(name)",
        "name = 'a'\nfor name in names: __import__(name)",
        "name = 'a'\nimport b as name\n__import__(name)",
        "__import__('a', level=1)",
        "load = importlib.import_module",
        "from importlib import import_module as load",
        "exec(source)",
        "pkgutil.walk_packages(path)",
        "importlib.util.spec_from_file_location('a', path)",
        "runpy.run_path(path)",
        "__import__(*names)",
    ],
)
def test_an_import_that_cannot_be_read_keeps_the_package(source: str) -> None:
    assert names(source).packages == {"pack"}
    assert names(source, "pack", package=True).packages == {"pack"}
    assert names(source, "top").packages == {"top"}


@pytest.mark.parametrize(
    "name",
    [
        "'a.b.' + name",
        "'a' + '.b' + '.' + name",
        "'a.b' + f'.{name}'",
        "f'a.b.{name}'",
        "'a.b.%s' % name",
        "'a.b.{}'.format(name)",
    ],
)
def test_the_beginning_of_a_name_is_a_package_that_is_kept(name: str) -> None:
    assert names(f"__import__({name})").packages == {"pack", "a.b"}


def test_a_syntax_that_is_not_known_keeps_the_outermost_package() -> None:
    assert names("def (", "a.b.c") == Names(packages=frozenset({"a"}))
    assert names("\0", "a.b.c") == Names(packages=frozenset({"a"}))


@pytest.mark.parametrize(
    ("source", "libraries"),
    [
        ("CDLL('libx.so')", {"libx.so"}),
        ("path = '/a/b/libx.so.1'", {"libx.so.1"}),
        ("f'{folder}/lib{name}.so'", {"lib*.so", "lib"}),
        ("'lib%s.so' % name", {"lib*.so"}),
        ("'lib{}_{x}.so'.format(name)", {"lib*_*.so"}),
        ("glob('libx_*.so')", {"libx_*.so"}),
        ("'''A text with libx.so in it.'''", {"libx.so"}),
        ("'x.so'", {"x.so"}),
        ("a = 'nothing', b'libx.so', 1", set()),
    ],
)
def test_which_libraries_a_module_names(source: str, libraries: set[str]) -> None:
    assert names(source).libraries == libraries


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("a.py", "a"),
        ("a/b.py", "a.b"),
        ("a/__init__.py", "a"),
        ("a/b.pyi", None),
        ("a/b-c.py", None),
        ("a-b/c.py", None),
        ("a/b.txt", None),
        ("__init__.py", None),
    ],
)
def test_the_module_of_a_file(path: str, module: str | None) -> None:
    assert module_name(file(path)) == module


def test_the_module_of_a_compiled_file() -> None:
    assert module_name(extension("a/b.cpython-311-aarch64-linux-gnu.so")) == "a.b"
    assert module_name(extension("a/b.abi3.so")) == "a.b"
    assert module_name(library("a/libb.so")) is None


def keep(
    files: Sequence[WheelFile],
    named: Mapping[str, Names] | None = None,
    roots: Sequence[str] = ("a",),
    **more: Any,
) -> set[str]:
    known = named or {}
    found = kept_files(files, roots, lambda one: known.get(one.path, Names()), **more)
    return {one.path for one in found}


A = file("a/__init__.py")


def test_kept_are_the_roots_and_the_packages_around_them() -> None:
    files = [A, file("a/b/__init__.py"), file("a/b/c.py"), file("a/b/d.py"), file("e.py")]
    assert keep(files, roots=["a.b.c"]) == {"a/__init__.py", "a/b/__init__.py", "a/b/c.py"}
    assert keep(files, roots=["e", "nothing"]) == {"e.py"}
    # What is named may be something inside a module.
    assert keep(files, roots=["a.b.c.Name"]) == {"a/__init__.py", "a/b/__init__.py", "a/b/c.py"}


def test_a_whole_package_is_kept_without_its_tests() -> None:
    files = [A, file("a/b.py"), file("a/c/d.py"), file("a/tests/t.py"), file("a/c/test/t.py")]
    whole = {"a/__init__.py": Names(packages=frozenset({"a"}))}
    assert keep(files, whole) == {"a/__init__.py", "a/b.py", "a/c/d.py"}
    children = {"a/__init__.py": Names(children=frozenset({"a"}))}
    assert keep(files, children) == {"a/__init__.py", "a/b.py"}
    named = {"a/__init__.py": Names(modules=frozenset({"a.tests.t"}))}
    assert keep(files, named) == {"a/__init__.py", "a/tests/t.py"}


def test_libraries_are_kept_for_who_loads_them() -> None:
    module = extension("a/m.cpython-311-x86_64-linux-gnu.so")
    needed = library("a.libs/libblas-1f.so.3")
    below = library("a.libs/libgfortran-2e.so.5.0.0", soname="libgfortran-2e.so.5")
    second = library("a/libruntime.so.1.32.0", soname="libruntime.so.1")
    named = {
        "a/__init__.py": Names(modules=frozenset({"a.m"})),
        module.path: Names(libraries=frozenset({"libblas-1f.so.3", "libc.so.6"})),
        needed.path: Names(libraries=frozenset({"libgfortran-2e.so.5"})),
    }
    files = [A, module, needed, below, second]
    assert keep(files, named) == {A.path, module.path, needed.path, below.path}
    for name in ("libruntime.so", "libruntime.so.1", "libruntime.so.1.32.0", "libruntime"):
        by_name = {**named, A.path: Names(modules=frozenset({"a.m"}), libraries=frozenset({name}))}
        assert second.path in keep(files, by_name)
    other = {A.path: Names(libraries=frozenset({"libruntime_more.so", "runtime"}))}
    assert keep(files, other) == {A.path}


def test_a_pattern_means_libraries_of_the_same_wheel() -> None:
    near, far = library("a/libx_one.so"), library("b/libx_two.so", "two.whl")
    named = {A.path: Names(libraries=frozenset({"libx_*.so"}))}
    assert keep([A, near, far], named) == {A.path, near.path}


def test_what_nobody_asks_for_is_left_out_though_it_is_named() -> None:
    accelerator = library("a/libgpu.so")
    named = {A.path: Names(libraries=frozenset({"libgpu.so"}))}
    assert keep([A, accelerator], named) == {A.path, accelerator.path}
    assert keep([A, accelerator], named, unasked=["libgpu.so"]) == {A.path}


def test_what_drives_compilers_is_left_out_though_it_is_imported() -> None:
    paths = ["numpy/__init__.py", "numpy/f2py/__init__.py", "numpy/f2py/rules.py", "numpy/f2pyx.py"]
    named = {
        "numpy/__init__.py": Names(
            modules=frozenset({"numpy.f2py.rules", "numpy.f2pyx"}), children=frozenset({"numpy"})
        )
    }
    assert keep([file(path) for path in paths], named, roots=["numpy"]) == {
        "numpy/__init__.py",
        "numpy/f2pyx.py",
    }


def test_likely_are_metadata_large_modules_and_their_libraries() -> None:
    large, small = 2 << 20, 1000
    files = [
        replace(extension("a/m.abi3.so"), size_bytes=large),
        replace(extension("a/n.abi3.so"), size_bytes=small),
        replace(library("a.libs/libblas.so.3"), size_bytes=large),
        replace(library("a/libother.so"), size_bytes=large),
        replace(file("a/data.bin"), size_bytes=large),
        file("a-1.0.dist-info/RECORD"),
    ]
    assert {one.path for one in likely_files(files)} == {
        "a/m.abi3.so",
        "a.libs/libblas.so.3",
        "a-1.0.dist-info/RECORD",
    }


def test_data_stays_with_the_code_around_it() -> None:
    kept = ["a/data/table.json", "a/README.md", "top.txt", "data/only.bin"]
    gone = [
        "a/include/a.h",
        "a/lib/liba.a",
        "a/m.pyi",
        "a/m.pxd",
        "a/py.typed",
        "a/tests/expected.json",
        "unused/data.json",
        "unused/deep/data.json",
    ]
    files = [A, file("unused/__init__.py"), *map(file, kept), *map(file, gone)]
    assert keep(files) == {A.path, *kept}


def test_metadata_and_licences_always_stay() -> None:
    kept = [
        "a-1.0.dist-info/RECORD",
        "a-1.0.dist-info/licenses/x.h",
        "unused/LICENSE",
        "unused/ThirdPartyNotices.txt",
        "unused/tests/COPYING.txt",
    ]
    assert keep([A, file("unused/__init__.py"), *map(file, kept)]) == {A.path, *kept}


# -- Against Python's own importer --------------------------------------------------------------

_SERIAL = itertools.count()
MODULES = [
    "__init__",
    "a",
    "b",
    "sub.__init__",
    "sub.c",
    "sub.d",
    "sub.deep.__init__",
    "sub.deep.e",
]


def dotted(stem: str, top: str) -> str:
    parts = [top, *stem.split(".")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def spelt(draw: st.DrawFn, target: str, level_from: str) -> str:
    """Return a statement that imports `target`, in one of the ways that there are."""
    parent, _, last = target.rpartition(".")
    forms = [
        f"import {target}",
        f"import {target} as x",
        f"def f():\n    import {target}\nf()",
        f"importlib.import_module({target!r})",
        f"for name in ('os', {target!r}):\n    __import__(name)",
        f"which = {target!r}\nimportlib.import_module(which)",
        f"from {target} import *",
    ]
    if parent:
        forms += [
            f"last = str({last!r})\nimportlib.import_module({parent!r} + '.' + last)",
            f"last = str({last!r})\nimportlib.import_module(f'{parent}.{{last}}')",
        ]
        forms += [f"from {parent} import {last}", f"__import__({parent!r}, fromlist=[{last!r}])"]
    if parent == level_from:
        forms += [f"from . import {last}", f"importlib.import_module('.{last}', __package__)"]
    return draw(st.sampled_from(forms))


@st.composite
def package_trees(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """Return the name of a package that nothing else has, and the sources of its modules."""
    top = f"made_{next(_SERIAL)}"
    sources = {}
    for stem in MODULES:
        own = dotted(stem, top)
        package = own if stem.endswith("__init__") else own.rpartition(".")[0]
        others = [dotted(other, top) for other in MODULES if dotted(other, top) != own]
        targets = draw(st.lists(st.sampled_from(others), max_size=2))
        lines = [spelt(draw, target, package) for target in targets]
        # A circle of imports may fail half-way; what was imported until then counts.
        body = "\n".join(
            "try:\n"
            + "\n".join("    " + line for line in one.split("\n"))
            + "\nexcept Exception: pass"
            for one in lines
        )
        sources[stem] = f"import importlib\n{body}\n"
    return top, sources


class Memory(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports modules from a dictionary, and notes which."""

    def __init__(self, top: str, sources: Mapping[str, str]) -> None:
        self._sources = {dotted(stem, top): (stem, text) for stem, text in sources.items()}
        self.loaded: set[str] = set()

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        if name not in self._sources:
            return None
        stem = self._sources[name][0]
        return importlib.util.spec_from_loader(name, self, is_package=stem.endswith("__init__"))

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        stem, text = self._sources[module.__name__]
        self.loaded.add(stem)
        exec(text, module.__dict__)


@contextmanager
def importing(finder: Memory, top: str) -> Iterator[None]:
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] == top]:
            del sys.modules[name]


@settings(max_examples=60)
@given(package_trees(), st.sampled_from(MODULES))
def test_whatever_python_imports_is_kept(tree: tuple[str, dict[str, str]], root: str) -> None:
    top, sources = tree
    files = {stem: file(f"{top}/{stem.replace('.', '/')}.py") for stem in MODULES}
    of_file = {one: stem for stem, one in files.items()}

    def names_of(one: WheelFile) -> Names:
        source = sources[of_file[one]].encode()
        return python_names(source, module_name(one) or "", is_package=is_package(one))

    kept = kept_files(list(files.values()), [dotted(root, top)], names_of)
    finder = Memory(top, sources)
    with importing(finder, top):
        try:
            importlib.import_module(dotted(root, top))
        except (ImportError, AttributeError):
            pass
    assert root in finder.loaded
    assert finder.loaded <= {of_file[one] for one in kept}


@given(st.data())
def test_more_roots_and_more_names_never_keep_less(data: st.DataObject) -> None:
    paths = ["a/__init__.py", "a/b.py", "c/__init__.py", "c/d/__init__.py", "c/d/e.py", "f.py"]
    files = [*map(file, paths), library("c/libx.so"), file("c/data.json"), file("a/x.txt")]
    modules = sorted(filter(None, map(module_name, files)))
    some = st.frozensets(st.sampled_from(modules), max_size=3)
    graph = {
        path: Names(
            modules=data.draw(some),
            packages=data.draw(some) if data.draw(st.booleans()) else frozenset(),
            libraries=data.draw(st.sampled_from([frozenset(), frozenset({"libx.so"})])),
        )
        for path in paths
    }
    roots = sorted(data.draw(some))
    kept = keep(files, graph, roots)
    assert kept <= keep(files, graph, [*roots, data.draw(st.sampled_from(modules))])
    more = dict(graph)
    changed = data.draw(st.sampled_from(paths))
    more[changed] = replace(graph[changed], modules=graph[changed].modules | data.draw(some))
    assert kept <= keep(files, more, roots)
    # The order of the files is nobody's reason.
    assert keep(data.draw(st.permutations(files)), graph, roots) == kept
    # What is kept is closed: what a kept module names is kept.
    by_module = {module_name(one): one.path for one in files}
    for path in kept & set(paths):
        for module in graph[path].modules | graph[path].packages:
            assert by_module[module] in kept
        if graph[path].libraries:
            assert "c/libx.so" in kept
