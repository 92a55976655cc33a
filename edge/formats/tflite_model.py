"""What a TFLite model is: the record that `inspect` shows."""

from collections.abc import Mapping, Sequence
from typing import Final

from edge.formats.costs import precision_of
from edge.formats.kinds import looks_like
from edge.formats.risks import RiskFacts, risks_of
from edge.formats.shapes import given_shapes
from edge.formats.source import ModelFile
from edge.formats.tflite_costs import TfliteCosts
from edge.formats.tflite_file import TfliteFile, TfliteSubgraph, TfliteTensor, load_tflite
from edge.formats.tflite_macs import Sizes, elements
from edge.records.model import ModelInfo, Precision
from edge.records.tensor import TensorSpec

_ONCE: Final = ("DEQUANTIZE", "DENSIFY")


def inspect_tflite(model: ModelFile, shapes: Mapping[str, tuple[int, ...]]) -> ModelInfo:
    """Describe a TFLite model; `shapes` gives sizes to inputs that leave them open.

    Raises:
        ModelError: it is damaged.
        UsageError: `shapes` does not fit its inputs.
    """
    file = load_tflite(model)
    main = file.subgraphs[0]
    sizes = _shapes(file, shapes)
    costs = TfliteCosts(file, sizes)
    counted = costs.count()
    inputs = tuple(_spec(main, i, sizes[0]) for i in main.inputs if i >= 0)
    outputs = tuple(_spec(main, i, sizes[0]) for i in main.outputs if i >= 0)
    parameters, types = _weights(file, costs)
    made = sum(_made_bytes(file, costs))
    stored = sum(file.buffer_bytes)
    custom = tuple(sorted({c.cost.op_type for c in counted if c.cost.domain == "custom"}))
    precision = precision_of(counted, _storage(types))
    facts = RiskFacts(
        inputs=inputs,
        operators=tuple(c.cost for c in counted),
        custom_operators=custom,
        external_files=(),
        unhashed=False,
        precision=precision,
        weight_types=types,
        weights_bytes=stored + made,
        parameters=parameters,
        made_at_load=0,
    )
    return ModelInfo(
        name=model.path.name,
        format="tflite",
        sha256=model.sha256(),
        file_bytes=model.size_bytes,
        external_files=(),
        producer=file.description,
        ir_version=file.version,
        opsets=(),
        operator_versions=_versions(file),
        inputs=inputs,
        outputs=outputs,
        parameters=parameters,
        weights_bytes=stored + made,
        stored_weights_bytes=stored,
        peak_activation_bytes=costs.peak(),
        precision=precision,
        looks_like=looks_like(counted, parameters, inputs, outputs),
        custom_operators=custom,
        operators=tuple(c.cost for c in counted),
        risks=(*risks_of(facts), *_own_risks(file, shapes)),
    )


def _spec(graph: TfliteSubgraph, index: int, shapes: Sequence[Sizes]) -> TensorSpec:
    tensor = graph.tensors[index]
    return TensorSpec(tensor.name, tensor.dtype, shapes[index])


def _shapes(file: TfliteFile, given: Mapping[str, tuple[int, ...]]) -> list[list[Sizes]]:
    """Return every tensor's shape: the file's, or what follows from the given sizes.

    TFLite stores the shape that the interpreter starts with; it computes others itself when an
    input is resized. Only a change of the batch is followed here, where the file marks in every
    tensor which size the batch is; what else depends on a resized input is not known.
    """
    stored: list[list[Sizes]] = [[t.shape for t in g.tensors] for g in file.subgraphs]
    main = file.subgraphs[0]
    names = {main.tensors[i].name: i for i in main.inputs if i >= 0}
    specs = [
        TensorSpec(name, main.tensors[i].dtype, _open(main.tensors[i])) for name, i in names.items()
    ]
    resolved = given_shapes(specs, given)
    factors: set[float | None] = set()
    changed: set[int] = set()
    for name in given:
        index = names[name]
        old = main.tensors[index].shape
        new = tuple(size if isinstance(size, int) else None for size in resolved[name].shape or ())
        stored[0][index] = new
        if new != old:
            changed.add(index)
            factors.add(_batch_factor(main.tensors[index], old, new))
    if changed:
        factor = factors.pop() if len(factors) == 1 else None
        _follow(main, stored[0], changed, factor)
    return stored


def _open(tensor: TfliteTensor) -> Sizes:
    return tensor.signature


def _batch_factor(tensor: TfliteTensor, old: Sizes, new: Sizes) -> float | None:
    """Return how many times larger the batch is; None if anything else has changed."""
    if tensor.signature.count(None) != 1 or tensor.signature[0] is not None:
        return None
    return None if not old[0] or new[0] is None else new[0] / old[0]


def _follow(
    graph: TfliteSubgraph, shapes: list[Sizes], changed: set[int], factor: float | None
) -> None:
    """Set the shapes of what depends on resized inputs."""
    reached = set(changed)
    for operator in graph.operators:
        if not reached.intersection(operator.inputs):
            continue
        for index in operator.outputs:
            if index < 0:
                continue
            reached.add(index)
            tensor = graph.tensors[index]
            scaled: Sizes = tuple(None for _ in tensor.shape)
            if factor is not None and tensor.signature.count(None) == 1:
                scaled = tuple(
                    round(size * factor) if open_size is None else size
                    for size, open_size in zip(tensor.shape, tensor.signature, strict=True)
                )
            shapes[index] = scaled


def _weights(file: TfliteFile, costs: TfliteCosts) -> tuple[int, dict[str, int]]:
    """Return the number of parameters, and the stored bytes by element type."""
    parameters = 0
    types: dict[str, int] = {}
    seen: set[int] = set()
    for index, graph in enumerate(file.subgraphs):
        made = {i for o in graph.operators if o.op_type in _ONCE for i in o.outputs}
        for place, tensor in enumerate(graph.tensors):
            stored = costs.is_constant(index, place) and place not in made
            if not stored or tensor.buffer in seen:
                continue
            seen.add(tensor.buffer)
            types[tensor.dtype] = types.get(tensor.dtype, 0) + file.buffer_bytes[tensor.buffer]
            # Shapes and axes are plain integers; a quantised bias is an integer with a scale.
            if tensor.is_quantised or tensor.dtype.startswith(("float", "bfloat", "complex")):
                parameters += elements(tensor.shape) or 0
    return parameters, types


def _made_bytes(file: TfliteFile, costs: TfliteCosts) -> Sequence[int]:
    """Return the bytes of weights that are widened once, when the model is first run."""
    return [
        costs.bytes_of(index, place) or 0
        for index, graph in enumerate(file.subgraphs)
        for operator in graph.operators
        if operator.op_type in _ONCE
        for place in operator.outputs
        if place >= 0 and costs.is_constant(index, place)
    ]


def _storage(types: Mapping[str, int]) -> Precision:
    most = max(types, key=types.__getitem__, default="float32")
    names: dict[str, Precision] = {"float16": "fp16", "int8": "int8", "uint8": "int8"}
    return names.get(most, "fp32")


def _versions(file: TfliteFile) -> tuple[tuple[str, int], ...]:
    """Return the highest version of every built-in operator."""
    found: dict[str, int] = {}
    for graph in file.subgraphs:
        for operator in graph.operators:
            if not operator.is_custom:
                highest = max(found.get(operator.op_type, 0), operator.version)
                found[operator.op_type] = highest
    return tuple(sorted(found.items()))


def _own_risks(file: TfliteFile, given: Mapping[str, tuple[int, ...]]) -> list[str]:
    main = file.subgraphs[0]
    free = [main.tensors[i] for i in main.inputs if i >= 0 and None in main.tensors[i].signature]
    if not free or given:
        return []
    shapes = ", ".join(f"{t.name}={','.join(map(str, t.shape))}" for t in free[:3])
    return [f"input sizes can be changed: all figures are for the stored ones ({shapes})"]
