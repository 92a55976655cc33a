"""ONNX to TFLite by onnx2tf, without TensorFlow; inputs keep their shape and layout.

onnx2tf 2.6 pads by computed sizes where a graph computes them from constants, and such files did
not run: the graph is simplified first. It changes the file that it is given, writes reports, and
takes names apart at ":" and "/": it gets a copy with plain names, in a folder of its own. The
answer's `inputs` tells what each input of the original is called now.
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.device.child import tell_progress
from edge.errors import ModelError
from edge.passes import _converted, simplify

if TYPE_CHECKING:
    import onnx

REQUIRES = ("onnx2tf",)
EXTRA = "onnx2tf"

_PLAIN = re.compile(r"[^A-Za-z0-9_]")


def apply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write model.tflite into the folder.

    Raises:
        ModelError: the converter cannot do it, or its file answers otherwise.
        UsageError: an input's shape is free, or the calibration data does not fit.
    """
    original = _converted.opened(Path(request["model"]), "onnx")
    samples = _converted.samples_of(original, request)
    shapes = {name: tuple(array.shape[1:]) for name, array in samples.items()}
    folder = Path(request["folder"]).resolve()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".converting-") as scratch:
        place = Path(scratch)
        _write_copy(Path(request["model"]), place, shapes)
        tell_progress(0.2)
        made = _convert(place)
        tell_progress(0.8)
        names, told = _converted.require_parity(original, made, "tflite", samples)
        made.replace(folder / "model.tflite")
    notes = [f"converted by onnx2tf {_version()}, fp32, the inputs' layout as it was", told]
    return {"file": "model.tflite", "notes": notes, "inputs": names}


def _write_copy(path: Path, folder: Path, shapes: Mapping[str, Sequence[int]]) -> None:
    """Write what the converter gets, copy.onnx: sizes filled in, simplified, names plain."""
    from edge.passes._graph import read_graph, write_graph

    model = read_graph(path)
    for value in model.graph.input:
        sizes = value.type.tensor_type.shape.dim
        for axis, wanted in enumerate(shapes.get(value.name, ())):
            # It takes a free batch for 1 by itself, and converts fewer models where it is given.
            if axis or wanted != 1:
                sizes[axis].dim_value = wanted
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    write_graph(model, folder, "fixed.onnx")
    request = {"model": str(folder / "fixed.onnx"), "folder": str(folder), "options": {}}
    simpler = read_graph(folder / simplify.apply(request)["file"])
    _name_plainly(simpler)
    write_graph(simpler, folder, "copy.onnx")


def _name_plainly(model: "onnx.ModelProto") -> None:
    """Put an Identity between an input or output and its plain name, where it has another."""
    from onnx import helper

    from edge.passes._graph import free_name

    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    before, after = [], []
    for value in graph.input:
        plain = _PLAIN.sub("_", value.name)
        if plain != value.name and value.name not in constants:
            plain = free_name(model, plain)
            before.append(helper.make_node("Identity", [plain], [value.name]))
            value.name = plain
    for value in graph.output:
        plain = _PLAIN.sub("_", value.name)
        if plain != value.name:
            plain = free_name(model, plain)
            after.append(helper.make_node("Identity", [value.name], [plain]))
            value.name = plain
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)


def _convert(folder: Path) -> Path:
    """Run the converter on copy.onnx and return the file that it wrote.

    Raises:
        ModelError: it failed, in whatever way.
    """
    import onnx
    import onnx2tf

    graph = onnx.load(folder / "copy.onnx", load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    try:
        with _converted.working_in(folder):
            onnx2tf.convert(
                input_onnx_file_path="copy.onnx",
                output_folder_path="out",
                keep_shape_absolutely_input_names=[
                    value.name for value in graph.input if value.name not in constants
                ],
                not_use_onnxsim=True,
                non_verbose=True,
            )
    # It ends the process where it gives up, and raises what its parts raise.
    except (Exception, SystemExit) as error:
        what = f"onnx2tf cannot convert it: {_converted.first_line(error)}"
        raise ModelError(what) from error
    made = folder / "out" / "copy_float32.tflite"
    if not made.is_file():
        raise ModelError("onnx2tf wrote no TFLite file")
    return made


def _version() -> str:
    from importlib.metadata import version

    return version("onnx2tf")
