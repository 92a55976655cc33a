"""Another size of the inputs: pictures of fewer pixels, shorter sequences; the size becomes fixed.

Options: shape ({"x": [1, 3, 48, 256]}: the new shape of each input that changes). Inputs that share
a named free dimension follow. What the sizes decide is computed ahead: a graph of fixed shapes has
no operators on shapes left, and ONNX Runtime plans its memory once. Names of inputs and outputs
stay; whoever feeds the model prepares the data for the new size.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.errors import ModelError, printable
from edge.passes._activations import open_session, run
from edge.passes._sizes import (
    Sizes,
    declare_outputs,
    fix_inputs,
    shape_of,
    written_sizes,
)

if TYPE_CHECKING:
    import onnx

REQUIRES: Final = ()
EXTRA: Final = None
_SAME: Final = 1e-3


def apply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Fix the sizes of the inputs.

    Raises:
        ModelError: the graph holds constants of the old size, an input is not there, or what is
            made computes something else.
    """
    from edge.passes._graph import drop_unused, read_graph, write_graph
    from edge.passes._optimized import keep_domains, optimized

    path, folder = Path(request["model"]), Path(request["folder"])
    threads = int(request["threads"])
    wanted = _wanted(request["options"].get("shape"))
    before = read_graph(path)
    fixed = read_graph(path)
    old = {value.name: shape_of(value) for value in before.graph.input}
    new = fix_inputs(fixed, wanted, request["shapes"])
    was_fixed = any(isinstance(s, int) and s != n for k in new for s, n in _pairs(old[k], new[k]))
    notes = [_told(old, new, wanted)]
    if was_fixed:
        notes += written_sizes(fixed, old, new)
    feeds = _feeds(fixed, new)
    results = run(open_session(fixed, threads), feeds)
    names = [value.name for value in fixed.graph.output]
    shapes = dict(zip(names, (np.shape(result) for result in results), strict=True))
    if was_fixed:
        notes += _output_changes(before, shapes)
    declare_outputs(fixed, shapes)

    staged = write_graph(fixed, folder, "fixed.onnx")
    less = optimized(folder / staged, "basic", folder, without=("MatMulAddFusion",))
    for part in folder.glob("fixed.onnx*"):
        part.unlink()
    drop_unused(less)
    keep_domains(less, before)
    # Against the original itself where it takes this size, else against what was fixed in it.
    reference = run(open_session(before, threads), feeds) if not was_fixed else results
    _check(reference, run(open_session(less, threads), feeds))
    return {"file": write_graph(less, folder, "model.onnx"), "notes": notes}


def _wanted(given: Any) -> Sizes:
    shapes = json.loads(given) if isinstance(given, str) else given
    if not shapes:
        raise ModelError("no shape was given to make the inputs smaller to")
    return {name: tuple(int(size) for size in shape) for name, shape in shapes.items()}


def _pairs(old: Sequence[Any] | None, new: Sequence[int]) -> list[tuple[Any, int]]:
    return list(zip(old or (), new, strict=False))


def _feeds(model: "onnx.ModelProto", shapes: Sizes) -> dict[str, np.ndarray[Any, Any]]:
    from edge.device.feeds import seeded_samples
    from edge.formats.onnx_types import dtype_name
    from edge.records.tensor import TensorSpec

    specs = [
        TensorSpec(value.name, dtype_name(value.type.tensor_type.elem_type), shapes[value.name])
        for value in model.graph.input
        if value.name in shapes
    ]
    return {name: values[0] for name, values in seeded_samples(specs, 1, 0).items()}


def _told(old: Mapping[str, Any], new: Sizes, wanted: Sizes) -> str:
    texts = []
    for name, shape in new.items():
        had = ["free" if not isinstance(size, int) else str(size) for size in old[name] or ()]
        if name in wanted or "free" in had:
            text = "x".join(map(str, shape))
            texts.append(f"{printable(name)} is {text} now ({'x'.join(had)} before)")
    return f"{'; '.join(texts)}: data has to be prepared at this size"


def _output_changes(before: "onnx.ModelProto", shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """Tell outputs whose shape changed; a batch that grew shows pixels taken for samples.

    Raises:
        ModelError: the first dimension of an output changed.
    """
    notes = []
    for value in before.graph.output:
        old, new = shape_of(value), tuple(shapes[value.name])
        known = old is not None and all(isinstance(size, int) for size in old)
        if old is None or (known and old == new):
            continue
        text = "x".join(map(str, new))
        if len(old) != len(new) or (new and isinstance(old[0], int) and old[0] != new[0]):
            name = printable(value.name)
            raise ModelError(f"at this size its output {name} is {text}: a constant holds the size")
        if known:
            had = "x".join(map(str, old))
            notes.append(f"the output {printable(value.name)} is {text} now ({had} before)")
    return notes


def _check(reference: Sequence[Any], got: Sequence[Any]) -> None:
    for one, other in zip(reference, got, strict=True):
        same = one.shape == other.shape
        if same and one.dtype.kind == "f" and one.size:
            largest = max(float(np.nanmax(np.abs(one))), 1e-6)
            same = bool(float(np.abs(one - other).max()) <= _SAME * largest)
        if not same:
            raise ModelError("with fixed sizes the graph computes something else")
