"""An estimator's file to an ONNX file: listed, loaded, converted and compared, each in a child."""

import dataclasses
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import edge
from edge.adapters.files import whole_file
from edge.adapters.targets import load_target
from edge.device.parent import run_child
from edge.errors import UsageError
from edge.formats.source import open_model
from edge.importers.kinds import FileKind, kind_of_file
from edge.reasoning.onnxruntime_operators import ceiling
from edge.reasoning.support import runtime_support
from edge.records.imported import Imported, ImportedEstimator, Library
from edge.records.measurement import ModelRef
from edge.records.model import ModelInfo
from edge.records.target import Target
from edge.units import format_bytes
from edge.workflows.import_check import LIMITS, ImportRequest, Progress, check_data, compared
from edge.workflows.import_names import refuse_foreign, refuse_untrusted, require_libraries
from edge.workflows.inspect import inspect_model

# What ONNX Runtime 1.12 and all later ones run, which no target's is older than.
_OPSET, _ML_OPSET = 17, 3
# Below this, estimators need operators that skl2onnx does not write any more.
_LEAST_OPSET: Final = 9
_LARGE_BYTES: Final = 20 << 20


def import_model(request: ImportRequest, progress: Progress) -> tuple[Path, Imported]:
    """Write the ONNX file and return where it is and what is known of it.

    Raises:
        UsageError: a pickle that was not said to be trusted, or options that do not go together.
        ModelError: it cannot be converted, or the file does not agree with it: nothing is written.
        HostError: a library is not installed, or the file cannot be written.
        RuntimeFailure: a child died or took too long.
    """
    path = request.model
    output = request.output or Path(f"{path.stem}.onnx")
    target = None if request.target is None else load_target(request.target)
    opset, ml_opset = _opsets(request.opset, target)
    kind = kind_of_file(path)
    with tempfile.TemporaryDirectory(prefix="edgekit-import-") as name:
        folder = Path(name)
        source = _source(request, kind, folder)
        made = folder / "model.onnx"
        asked = {
            **source,
            "opset": opset,
            "ml_opset": ml_opset,
            "input": request.input_name,
            "out": str(made),
        }
        facts = run_child(
            "edge.importers.convert:convert",
            asked,
            limits=LIMITS,
            what=str(path),
            progress=lambda part: progress(0.6 * part),
        )
        info = dataclasses.replace(inspect_model(made), name=output.stem)
        check, notes = compared(
            request,
            {**asked, **facts},
            check_data(request.check, info, folder),
            lambda part: progress(0.6 + 0.4 * part),
        )
        with whole_file(output) as staged:
            shutil.copyfile(made, staged)
    imported = Imported(
        model=_ref(info),
        estimator=_estimator(path, kind, facts, source["wrote"]),
        edgekit_version=edge.__version__,
        converter=facts["converter"],
        opset=facts["opset"],
        ml_opset=facts["ml_opset"],
        label_output=facts["label_output"],
        check=check,
        support=() if target is None else runtime_support(info, target),
        notes=(*facts["notes"], *notes, *_size_notes(info, facts)),
    )
    return output, imported


def _opsets(asked: int | None, target: Target | None) -> tuple[int, int]:
    """Return the opsets of ONNX and of ai.onnx.ml that every runtime of the target takes.

    Raises:
        UsageError: the asked one is not among them.
    """
    opset, ml_opset = _OPSET, _ML_OPSET
    most = None
    for runtime in () if target is None else target.runtimes:
        numbers = [int(part) for part in runtime.version.split(".")[:2] if part.isdigit()]
        has = ceiling((numbers[0], numbers[1])) if len(numbers) == 2 else None
        if runtime.backend == "onnxruntime" and has is not None:
            opset, ml_opset = min(opset, has.opset), min(ml_opset, has.ml_opset)
            most = has.opset if most is None else min(most, has.opset)
    if asked is None:
        return opset, ml_opset
    if asked < _LEAST_OPSET:
        raise UsageError(f"--opset {asked}: the oldest is {_LEAST_OPSET}")
    if target is not None and most is not None and asked > most:
        raise UsageError(f"--opset {asked}: the runtime of {target.name} has {most} at most")
    return asked, ml_opset


def _source(request: ImportRequest, kind: FileKind, folder: Path) -> dict[str, Any]:
    """Return what a child needs to load the file, once it may."""
    path = request.model
    source: dict[str, Any] = {"path": str(path), "format": kind, "names": [], "wrote": []}
    if kind == "pickle":
        listed = run_child(
            "edge.importers.listing:list_names",
            {"path": str(path), "folder": str(folder)},
            limits=LIMITS,
            what=str(path),
        )
        source.update(path=listed["plain"], names=listed["names"], wrote=listed["wrote"])
        names = [(module, name) for module, name in listed["names"]]
        if not request.trusted:
            refuse_untrusted(path, names)
        refuse_foreign(path, names)
    require_libraries(path, kind, source["names"])
    return source


def _size_notes(info: ModelInfo, facts: Mapping[str, Any]) -> list[str]:
    if info.file_bytes < _LARGE_BYTES or not facts["tree_nodes"]:
        return []
    told = (
        f"{facts['tree_nodes']} nodes in {facts['trees']} trees take"
        f" {format_bytes(info.file_bytes)}: fewer trees, max_depth or min_samples_leaf make it"
        " smaller, and boosted trees need far fewer nodes than a forest"
    )
    return [told]


def _ref(info: ModelInfo) -> ModelRef:
    return ModelRef(
        name=info.name, format=info.format, sha256=info.sha256, file_bytes=info.file_bytes
    )


def _estimator(
    path: Path, kind: FileKind, facts: Mapping[str, Any], wrote: Sequence[str]
) -> ImportedEstimator:
    with open_model(path) as file:
        ref = ModelRef(
            name=path.name, format=kind, sha256=file.sha256(), file_bytes=file.size_bytes
        )
    libraries = tuple(
        Library(
            name=name,
            version=version,
            wrote=", ".join(wrote) or None if name == "scikit-learn" else None,
        )
        for name, version in facts["libraries"]
    )
    return ImportedEstimator(
        file=ref,
        type=facts["type"],
        kind=facts["kind"],
        steps=tuple(facts["steps"]),
        libraries=libraries,
        features=facts["features"],
        feature_names=tuple(facts["feature_names"]),
        classes=tuple(facts["classes"]),
        trees=facts["trees"],
        tree_nodes=facts["tree_nodes"],
    )
