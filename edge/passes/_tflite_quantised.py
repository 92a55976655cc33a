"""What became of a TFLite model: checks of a quantised file, and words for its notes."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from edge.errors import ModelError
from edge.passes._tflite_model import INT8

# schema.fbs: BuiltinOperator, and where their input and their weights stand.
_WEIGHTED = {
    3: ("CONV_2D", 0, 1),
    4: ("DEPTHWISE_CONV_2D", 0, 1),
    9: ("FULLY_CONNECTED", 0, 1),
    67: ("TRANSPOSE_CONV", 2, 1),
    126: ("BATCH_MATMUL", 0, 1),
}


def arithmetic(model: Any) -> dict[str, Counter[str]]:
    """Count operators with weights by what the file lets them compute in.

    "int8": input and weights are int8; "dynamic": int8 weights and a float input, which a runtime
    may quantise as it goes; "float": the rest.
    """
    counted: dict[str, Counter[str]] = {"int8": Counter(), "dynamic": Counter(), "float": Counter()}
    for graph, name, operator, given, weights in weighted_operators(model):
        kind = "float"
        if graph.tensors[operator.inputs[weights]].type == INT8:
            is_int8 = graph.tensors[operator.inputs[given]].type == INT8
            kind = "int8" if is_int8 else "dynamic"
        counted[kind][name] += 1
    return counted


def told(counted: dict[str, Counter[str]]) -> list[str]:
    """Say which operators compute in what."""
    words = {
        "int8": "int8 input and weights",
        "dynamic": "int8 weights, a float input that the runtime quantises as it goes",
        "float": "left in float",
    }
    lines = []
    for kind, counter in counted.items():
        if counter:
            names = ", ".join(f"{count} {name}" for name, count in sorted(counter.items()))
            lines.append(f"{names}: {words[kind]}")
    return lines


def require_quantised(counted: dict[str, Counter[str]], kind: str) -> None:
    """Refuse a file in which nothing became what it was to be.

    Raises:
        ModelError: no operator did.
    """
    if not counted[kind]:
        raise ModelError(
            "no operator of the model has weights that can be quantised so",
            hint="operators that can: " + ", ".join(name for name, _, _ in _WEIGHTED.values()),
        )


def keep_output_names(before: Any, after: Any) -> None:
    """Give the outputs the names that they had: callers ask for them by name."""
    for old, new in zip(before.subgraphs, after.subgraphs, strict=True):
        wanted = [old.tensors[i].name for i in old.outputs]
        places = [new.tensors[i] for i in new.outputs]
        for name, tensor in zip(wanted, places, strict=True):
            if tensor.name == name:
                continue
            for other in new.tensors:
                if other.name == name:
                    other.name = tensor.name
            tensor.name = name


def weighted_operators(model: Any) -> Iterator[tuple[Any, str, Any, int, int]]:
    """Go through operators with weights: graph, name, operator, places of input and weights."""
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            known = _WEIGHTED.get(max(code.builtinCode, code.deprecatedBuiltinCode))
            if known is not None:
                name, given, weights = known
                yield graph, name, operator, given, weights
