"""Imports run downwards only, and each outside thing has one owner."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.cli import _COMMANDS, _MODULES

PACKAGE = Path(__file__).parent.parent / "edge"

LAYERS = {
    "edge": 0,
    "edge.errors": 0,
    "edge.units": 0,
    "edge.records": 1,
    "edge.reasoning": 2,
    "edge.adapters": 3,
    "edge.formats": 3,
    "edge.backends": 3,
    "edge.device": 3,
    "edge.recipes": 3,
    "edge.passes": 3,
    "edge.datasets": 3,
    "edge.distillation": 3,
    "edge.importers": 3,
    "edge.workflows": 4,
    "edge.cli": 5,
    "edge.report": 5,
    "edge.__main__": 5,
}
# The device's own workflow and face: they stand in the slice, above its adapters.
DEVICE_FACES = {
    "edge.device.probe": 4,
    "edge.device.sweep": 4,
    "edge.device.flaws": 4,
    "edge.device.searching": 4,
    "edge.device.summary": 5,
    "edge.device.main": 5,
    "edge.device.trusted_keys": 4,
    "edge.device.trust": 4,
    "edge.device.accept": 4,
    "edge.device.install": 4,
    "edge.device.running": 5,
    "edge.device.probing": 5,
    "edge.device.search_summary": 5,
    "edge.device.filed": 5,
    "edge.device.installed": 5,
    "edge.device.launched": 5,
    "edge.device.resident": 5,
}
DEVICE_SLICE = (
    "edge",
    "edge.errors",
    "edge.units",
    "edge.records",
    "edge.records.codec",
    "edge.records.tensor",
    "edge.records.host",
    "edge.records.measurement",
    "edge.records.scenario",
    "edge.records.search",
    "edge.records.manifest",
    "edge.reasoning",
    "edge.reasoning.ed25519",
    "edge.reasoning.stats",
    "edge.reasoning.pareto",
    "edge.records.sweep",
    "edge.reasoning.load_search",
    "edge.backends",
    "edge.device",
)
OWNERS = {
    "click": ("edge.cli", "edge.__main__"),
    "time": (
        "edge.device.timing",
        "edge.device.stages",
        "edge.device.telemetry",
        "edge.device.energy",
    ),
    "subprocess": (
        "edge.device.executed",
        "edge.adapters.registry",
        "edge.adapters.apt",
        "edge.adapters.programs",
        "edge.adapters.ssh",
        "edge.adapters.counter",
        "edge.adapters.qemu_user",
        "edge.adapters.machine",
    ),
    "onnx": ("edge.formats.onnx", "edge.passes", "edge.importers"),
    "onnxruntime": ("edge.backends.onnxruntime", "edge.passes"),
    "tflite_runtime": ("edge.backends.tflite",),
    "ai_edge_litert": ("edge.backends.tflite",),
    "tflite": ("edge.formats.tflite",),
    "jinja2": ("edge.report",),
    "rich": ("edge.cli",),
    "cv2": ("edge.device.pictures",),
    "cyclonedx": ("edge.adapters.sbom",),
    "packageurl": ("edge.adapters.sbom",),
    "tomli_w": ("edge.adapters.pylock",),
    "cryptography": ("edge.adapters.keys",),
    "securesystemslib": ("edge.adapters.signing",),
    "torch": ("edge.recipes", "edge.distillation"),
    "sklearn": ("edge.recipes", "edge.importers"),
    "transformers": ("edge.recipes",),
    "ai_edge_quantizer": ("edge.passes",),
    "skl2onnx": ("edge.recipes", "edge.importers"),
    "onnxmltools": ("edge.importers",),
    "xgboost": ("edge.importers",),
    "lightgbm": ("edge.importers",),
    "joblib": ("edge.importers",),
    "skops": ("edge.importers",),
    "tokenizers": ("edge.datasets",),
    "pickle": ("edge.importers",),
}
# Heavy or native: they must not load before they are used.
LAZY = {
    "onnx",
    "onnxruntime",
    "tflite_runtime",
    "ai_edge_litert",
    "rich",
    "jinja2",
    "cv2",
    "cryptography",
    "securesystemslib",
    "torch",
    "numpy",
}


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


MODULES = modules()


def imports(tree: ast.AST, *, top_level_only: bool = False) -> Iterator[str]:
    nodes = tree.body if top_level_only and isinstance(tree, ast.Module) else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


def layer(module: str) -> int:
    if module in DEVICE_FACES:
        return DEVICE_FACES[module]
    for length in range(module.count(".") + 1, 0, -1):
        prefix = ".".join(module.split(".")[:length])
        if prefix in LAYERS and (prefix != "edge" or module == "edge"):
            return LAYERS[prefix]
    raise AssertionError(f"{module} stands in no layer; add it to LAYERS")


def upward(module: str, imported: str) -> bool:
    """Whether an import runs upwards, or from an adapter sideways into the reasoning."""
    here, there = layer(module), layer(imported)
    return there > here or (here == 3 and there == 2)


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downwards(module: str) -> None:
    ours = [name for name in imports(MODULES[module]) if name.split(".")[0] == "edge"]
    assert [name for name in ours if upward(module, name)] == []


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("edge.errors", "edge.records.tensor"),
        ("edge.records.model", "edge.reasoning.stats"),
        ("edge.reasoning.stats", "edge.adapters.files"),
        ("edge.adapters.files", "edge.reasoning.stats"),
        ("edge.adapters.files", "edge.workflows.inspect"),
        ("edge.workflows.inspect", "edge.cli.output"),
    ],
)
def test_an_upward_import_is_found(module: str, imported: str) -> None:
    assert upward(module, imported)


@pytest.mark.parametrize("module", MODULES)
def test_outside_things_have_one_owner(module: str) -> None:
    for name in imports(MODULES[module]):
        owners = OWNERS.get(name.split(".")[0])
        if owners is not None:
            assert module.startswith(owners), f"{module} imports {name}, which is {owners}'s"


def loaded_with(module: str) -> set[str]:
    """All modules that the import of one loads before anything is called."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(imports(MODULES[name], top_level_only=True) if name in MODULES else ())
    return seen


FACES = [f"edge.cli.{_MODULES.get(name, name)}" for name in _COMMANDS]


@pytest.mark.parametrize("module", ["edge.__main__", "edge.cli", *FACES])
def test_heavy_things_are_imported_when_used(module: str) -> None:
    assert {name.split(".")[0] for name in loaded_with(module)} & LAZY == set()


def in_slice(module: str) -> bool:
    return module in DEVICE_SLICE or module.startswith(("edge.backends.", "edge.device."))


SLICE = [module for module in MODULES if in_slice(module)]


@pytest.mark.parametrize("module", SLICE)
def test_the_device_slice_stands_alone(module: str) -> None:
    allowed = set(sys.stdlib_module_names) | {
        "numpy",
        "onnxruntime",
        "tflite_runtime",
        "ai_edge_litert",
    }
    if module == "edge.device.pictures":
        # A device has it or not; the import stands in a function that says so.
        assert "cv2" not in imports(MODULES[module], top_level_only=True)
        allowed.add("cv2")
    for name in imports(MODULES[module]):
        if name.split(".")[0] == "edge":
            assert in_slice(name), f"{module} imports {name}, which no bundle carries"
        else:
            assert name.split(".")[0] in allowed


@pytest.mark.parametrize("module", SLICE)
def test_the_device_slice_is_python_3_8(module: str) -> None:
    path = PACKAGE.parent.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 8))
