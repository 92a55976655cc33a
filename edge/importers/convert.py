"""An estimator to ONNX, in a limited child: plain tensors out, a free batch, numbers as labels."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from edge.device.child import tell_progress
from edge.errors import EdgekitError, ModelError, printable
from edge.importers.boosters import require_convertible
from edge.importers.converters import register_boosters, register_histogram_trees
from edge.importers.facts import (
    class_names,
    feature_count,
    feature_names,
    kind_of_estimator,
    libraries_of,
    steps_of,
    walk,
)
from edge.importers.graph import number_labels, tidy, tree_size
from edge.importers.loading import load_estimator
from edge.importers.pipelines import number_columns, only_estimator

_ZIPMAP: Final = "zipmap"


def convert(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write the estimator's ONNX file.

    `request`: as of load_estimator, and opset, ml_opset, input (the name of the input), out. The
    answer: type, kind, steps, libraries, features, feature_names, classes, trees, tree_nodes,
    label_output, converter, opset, ml_opset, notes.

    Raises:
        ModelError: it cannot be loaded or converted.
    """
    loaded, notes = load_estimator(request)
    estimator = only_estimator(loaded)
    tell_progress(0.4)
    kind = kind_of_estimator(estimator)
    features, classes = feature_count(estimator), class_names(estimator)
    for step in walk(estimator):
        require_convertible(step)
    number_columns(estimator)
    model, converter = _converted(estimator, features, request, is_classifier=bool(classes))
    tell_progress(0.9)
    label = None
    if classes:
        label = number_labels(model, tuple(_plain(name) for name in estimator.classes_))
    names = feature_names(estimator)
    tidy(model, {"classes": json.dumps(classes), "features": json.dumps(names)})
    Path(request["out"]).write_bytes(model.SerializeToString())
    trees, nodes = tree_size(model)
    versions = {entry.domain: entry.version for entry in model.opset_import}
    return {
        "type": f"{type(loaded).__module__.split('.')[0]}.{type(loaded).__qualname__}",
        "kind": kind,
        "steps": list(steps_of(estimator)),
        "libraries": libraries_of(estimator),
        "features": features,
        "feature_names": list(names),
        "classes": list(classes),
        "trees": trees,
        "tree_nodes": nodes,
        "label_output": label,
        "converter": converter,
        "opset": versions.get("", 0),
        "ml_opset": versions.get("ai.onnx.ml", 0),
        "notes": notes,
    }


def load_again(request: Mapping[str, Any]) -> Any:
    """Return the estimator as it was converted, to compare with."""
    estimator = only_estimator(load_estimator(request)[0])
    number_columns(estimator)
    return estimator


def _converted(
    estimator: Any, features: int, request: Mapping[str, Any], *, is_classifier: bool
) -> tuple[Any, str]:
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    register_histogram_trees()
    converter = f"skl2onnx {skl2onnx.__version__}"
    made_with = register_boosters(estimator)
    wanted = {
        "initial_types": [(request["input"], FloatTensorType([None, features]))],
        "target_opset": {"": request["opset"], "ai.onnx.ml": request["ml_opset"]},
    }
    try:
        try:
            # A plain tensor of probabilities, not a list of dictionaries.
            options = {id(estimator): {_ZIPMAP: False}} if is_classifier else None
            model = skl2onnx.to_onnx(estimator, options=options, **wanted)
        except NameError as error:
            if _ZIPMAP not in str(error):
                raise
            # What has no probabilities does not know the option.
            model = skl2onnx.to_onnx(estimator, **wanted)
    except (EdgekitError, MemoryError):
        raise
    except Exception as error:
        # The converters fail in any way that Python can.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"skl2onnx {skl2onnx.__version__} cannot convert it: {printable(lines[0], 300)}",
            hint="its documentation lists the estimators that it can: docs/reference/import.md",
        ) from error
    return model, ", ".join((converter, *made_with))


def _plain(name: Any) -> Any:
    """Return a class as a plain Python value."""
    return name.item() if hasattr(name, "item") else name
