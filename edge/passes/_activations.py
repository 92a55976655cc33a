"""Folding a graph's constants and running it on samples, as passes that cut into it need."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.device.feeds import concrete_inputs, read_arrays, seeded_samples
from edge.errors import ModelError
from edge.passes._graph import LARGEST_SINGLE_BYTES, drop_unused, read_graph, write_graph
from edge.passes._optimized import keep_domains, optimized

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import onnx

Array = np.ndarray[Any, Any]
Feeds = dict[str, Array]


def folded(path: Path, folder: Path) -> "onnx.ModelProto":
    """Return the model as ONNX Runtime's basic level leaves it: ONNX's operators, constants folded.

    Raises:
        ModelError: ONNX Runtime does not take it.
    """
    before = read_graph(path)
    _drop_defaults(before)
    # It writes beside the model that it reads, and none but the result is to stay.
    with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=folder) as staged:
        file = Path(staged, write_graph(before, Path(staged), "constant.onnx"))
        model = optimized(file, "basic", Path(staged), without=("MatMulAddFusion",))
    drop_unused(model)
    keep_domains(model, before)
    return model


def _drop_defaults(model: "onnx.ModelProto") -> None:
    """Make weights that are listed as inputs too, as old files have them, constants."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)


def open_session(model: "onnx.ModelProto", threads: int, *, level: str = "all") -> Any:
    """Open a session of ONNX Runtime on its CPU provider.

    Raises:
        ModelError: it does not take the model, or the model is larger than one file holds.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    if model.ByteSize() > LARGEST_SINGLE_BYTES:
        raise ModelError("its weights are larger than this pass takes (1.5 GB)")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = {
        "all": levels.ORT_ENABLE_ALL,
        "none": levels.ORT_DISABLE_ALL,
    }[level]
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except (state.Fail, state.InvalidGraph, state.InvalidArgument, state.NotImplemented) as error:
        raise ModelError(f"ONNX Runtime does not take it: {_line(error)}") from error


def run(session: Any, feeds: Feeds, names: "Sequence[str] | None" = None) -> list[Array]:
    """Run a session once.

    Raises:
        ModelError: it fails.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    failures = (state.Fail, state.InvalidArgument, state.RuntimeException, state.EPFail)
    try:
        return list(session.run(names, feeds))
    except failures as error:
        raise ModelError(f"it does not run: {_line(error)}") from error


def with_outputs(model: "onnx.ModelProto", names: "Sequence[str]") -> "onnx.ModelProto":
    """Return the model with these tensors as its outputs, and nothing that they do not need."""
    import onnx

    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.output[:]
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    drop_unused(part)
    return part


def samples_of(
    path: Path, calibration: str | None, shapes: "Mapping[str, Sequence[int]]", most: int
) -> list[Feeds]:
    """Return calibration samples, or two from a seed where there is no data.

    Raises:
        ModelError: the data has no samples for an input.
        UsageError: an input has a free dimension that `shapes` does not fill.
    """
    if calibration is not None:
        arrays = read_arrays(calibration)
        inputs = {k[len("input.") :]: v for k, v in arrays.items() if k.startswith("input.")}
        count = min((len(values) for values in inputs.values()), default=0)
        if not count:
            raise ModelError("the calibration data has no samples", where=calibration)
        places = np.unique(np.linspace(0, count - 1, min(most, count)).astype(int))
        return [{name: values[i] for name, values in inputs.items()} for i in places]
    from edge.formats.read import read_model

    given = {name: tuple(int(size) for size in sizes) for name, sizes in shapes.items()}
    specs = concrete_inputs(read_model(path, given).inputs, given)
    made = seeded_samples(specs, 2, 0)
    return [{name: values[i] for name, values in made.items()} for i in range(2)]


def shapes_of(model: "onnx.ModelProto", feeds: Feeds, threads: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes that all tensors of the main graph have on one sample."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    names = [name for node in model.graph.node for name in node.output if name]
    session = open_session(with_outputs(model, names), threads, level="none")
    shapes.update((name, np.shape(value)) for name, value in feeds.items())
    for name, value in zip(names, run(session, feeds), strict=True):
        # Sequences and optionals have none.
        if isinstance(value, np.ndarray):
            shapes[name] = value.shape
    return shapes


def each_run(
    model: "onnx.ModelProto", names: "Sequence[str]", samples: "Sequence[Feeds]", threads: int
) -> "Iterator[dict[str, Array]]":
    """Yield for each sample the tensors named."""
    wanted = list(dict.fromkeys(names))
    inputs = {value.name for value in model.graph.input}
    inner = [name for name in wanted if name not in inputs]
    session = open_session(with_outputs(model, inner), threads)
    taken = {value.name for value in session.get_inputs()}
    for feeds in samples:
        fed = {name: value for name, value in feeds.items() if name in taken}
        got = dict(zip(inner, run(session, fed, inner), strict=True))
        yield {name: got[name] if name in got else feeds[name] for name in wanted}


def _line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:300]
