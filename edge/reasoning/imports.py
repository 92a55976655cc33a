"""What a Python module imports, read from its syntax tree; in doubt it is taken to be more."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from edge.records.wheel_files import Names

_IMPORTERS: Final = ("import_module", "__import__")
# Whoever uses one of these may import what no syntax tree shows.
_OPAQUE: Final = frozenset(
    {
        *_IMPORTERS,
        "exec",
        "exec_module",
        "iter_modules",
        "load_module",
        "module_from_spec",
        "resolve_name",
        "run_module",
        "run_path",
        "spec_from_file_location",
        "walk_packages",
    }
)
_OPAQUE_WORD: Final = re.compile(rb"\b(?:" + "|".join(sorted(_OPAQUE)).encode() + rb")\b")
_LIBRARY: Final = re.compile(r"[\w*.+-]*lib[\w*.+-]*|[\w*.+-]+\.so\b[\w.*]*")
# The fields of a syntax tree that hold statements, or what holds them.
_BLOCKS: Final = ("body", "orelse", "finalbody", "handlers", "cases")
# What stands for a part that is known only when the code runs: "lib%s.so", "lib{}.so".
_PLACEHOLDER: Final = re.compile(r"%[sdr]|\{[^{}]*\}")


def python_names(source: bytes, module: str, *, is_package: bool) -> Names:
    """Return what the source of `module` names.

    All import statements count, wherever they stand. A module that imports in a way that cannot be
    read may use its whole package; one whose syntax is not known here, all of its outermost one.
    """
    package = module if is_package else module.rpartition(".")[0]
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return Names(packages=frozenset({module.partition(".")[0]}))
    reader = _Reader(package or module)
    is_opaque = _OPAQUE_WORD.search(source) is not None
    # Import statements alone are found without looking into any expression: six times as fast.
    may_name_a_library = b"lib" in source or b".so" in source
    nodes = _nodes(tree) if is_opaque or may_name_a_library else _statements(tree)
    reader.read(nodes)
    if is_opaque:
        reader.read_calls(nodes)
    return Names(
        modules=frozenset(reader.modules),
        children=frozenset(reader.children),
        packages=frozenset(reader.packages),
        libraries=frozenset(reader.libraries),
    )


def _nodes(tree: ast.Module) -> list[ast.AST]:
    """Return all nodes, as ast.walk does in three times the time."""
    found: list[ast.AST] = [tree]
    for node in found:
        for field in node._fields:
            value = getattr(node, field, None)
            if isinstance(value, list):
                found.extend(one for one in value if isinstance(one, ast.AST))
            elif isinstance(value, ast.AST) and field not in ("ctx", "op"):
                found.append(value)
    return found


def _statements(tree: ast.Module) -> list[ast.AST]:
    """Return all statements, with what stands around them."""
    found: list[ast.AST] = [tree]
    for node in found:
        for field in _BLOCKS:
            found.extend(getattr(node, field, ()))
    return found


class _Reader:
    """Collects what the nodes of one syntax tree name."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.modules: set[str] = set()
        self.children: set[str] = set()
        self.packages: set[str] = set()
        self.libraries: set[str] = set()

    def read(self, nodes: list[ast.AST]) -> None:
        """Take import statements and the names of libraries."""
        for node in nodes:
            kind = type(node)
            if kind is ast.Constant or kind is ast.JoinedStr:
                self.libraries.update(_libraries(_text(node)))
            elif isinstance(node, ast.Import):
                self.modules.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node)

    def read_calls(self, nodes: list[ast.AST]) -> None:
        """Take calls that import, and find out whether all that imports was understood."""
        bound = _bound_texts(nodes)
        understood = {
            id(node.func)
            for node in nodes
            if isinstance(node, ast.Call)
            and _name(node.func) in _IMPORTERS
            and self._import_call(node, bound)
        }
        if any(_name(node) in _OPAQUE and id(node) not in understood for node in nodes):
            self.packages.add(self.package)

    def _import_from(self, node: ast.ImportFrom) -> None:
        start = _relative(self.package, node.level, node.module)
        if start is None:
            return
        self.modules.add(start)
        for alias in node.names:
            if alias.name == "*":
                self.children.add(start)
            else:
                self.modules.add(f"{start}.{alias.name}")
                # Under another name a function that imports is not found where it is called.
                if alias.name in _OPAQUE and alias.asname is not None:
                    self.packages.add(self.package)

    def _import_call(self, node: ast.Call, bound: dict[str, set[str] | None]) -> bool:
        """Take a call that imports; return whether it could be read."""
        texts = _argument_texts(node, bound)
        if texts is None:
            # "package.%s" % name: at least what its beginning says is known.
            start = _leading_text(node.args[0]).rpartition(".")[0] if node.args else ""
            if start.strip("."):
                self.packages.add(_absolute(self.package, start) or self.package)
            return False
        levels = [k for k in node.keywords if k.arg == "level"]
        if levels or len(node.args) > 4:
            return False
        for text in texts:
            name = _absolute(self.package, text)
            if name is None:
                return False
            # With a list of names `__import__` imports modules below the one that it names.
            self.modules.add(name)
            if len(node.args) > 1 or node.keywords:
                self.children.add(name)
        return True


def _bound_texts(nodes: list[ast.AST]) -> dict[str, set[str] | None]:
    """Return the strings that each name can stand for; None where it can be anything else."""
    found: dict[str, set[str] | None] = {}

    def bind(name: str, texts: set[str] | None) -> None:
        known = found.get(name, set())
        found[name] = None if texts is None or known is None else known | texts

    simple: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name):
            simple.add(id(node.target))
            bind(node.target.id, _element_texts(node.iter))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    simple.add(id(target))
                    bind(target.id, _constant_texts(node.value))
    for node in nodes:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            if id(node) not in simple:
                bind(node.id, None)
        elif isinstance(node, ast.arg):
            bind(node.arg, None)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            for name in node.names:
                bind(name, None)
        elif isinstance(node, ast.alias):
            bind(node.asname or node.name, None)
        elif isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name is not None:
            bind(node.name, None)
    return found


def _element_texts(node: ast.expr) -> set[str] | None:
    if not isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return None
    texts: set[str] = set()
    for element in node.elts:
        of_one = _constant_texts(element)
        if of_one is None:
            return None
        texts |= of_one
    return texts


def _constant_texts(node: ast.expr) -> set[str] | None:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return {_text(node)} if is_text else None


def _argument_texts(node: ast.Call, bound: dict[str, set[str] | None]) -> set[str] | None:
    """Return the strings that the first argument can be; None if it can be anything."""
    if not node.args:
        return None
    first = node.args[0]
    return bound.get(first.id) if isinstance(first, ast.Name) else _constant_texts(first)


def _relative(package: str, level: int, rest: str | None) -> str | None:
    """Return the absolute name of what is imported `level` dots up; None if that is nowhere."""
    if level == 0:
        return rest
    parts = package.split(".")
    if level > len(parts):
        return None
    start = ".".join(parts[: len(parts) - level + 1])
    return f"{start}.{rest}" if rest else start


def _absolute(package: str, name: str) -> str | None:
    dots = len(name) - len(name.lstrip("."))
    return _relative(package, dots, name[dots:])


def _leading_text(node: ast.expr) -> str:
    """Return the part of a string that is known before the code runs, from its beginning."""
    return _with_gaps(node).partition("*")[0]


def _with_gaps(node: ast.expr) -> str:
    """Return the text that an expression puts together, with `*` for what is not known."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _with_gaps(node.left) + _with_gaps(node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return _PLACEHOLDER.sub("*", _with_gaps(node.left))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _PLACEHOLDER.sub("*", _with_gaps(node.func.value)) + "*"
    return _text(node) if isinstance(node, (ast.Constant, ast.JoinedStr)) else "*"


def _name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


def _text(node: ast.AST) -> str:
    """Return a string's text, with `*` for what is put in when the code runs."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    values = node.values if isinstance(node, ast.JoinedStr) else []
    return "".join(_text(value) if isinstance(value, ast.Constant) else "*" for value in values)


def _libraries(text: str) -> Iterator[str]:
    if "lib" in text or ".so" in text:
        yield from _LIBRARY.findall(_PLACEHOLDER.sub("*", text))
