"""What is put straight in a converted graph: labels that are numbers, opsets named once."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper

_ML = "ai.onnx.ml"
# LabelEncoder from strings to whole numbers is of this version.
_ENCODER_ML_OPSET = 2


def number_labels(model: onnx.ModelProto, classes: Sequence[Any]) -> str | None:
    """Let a label that is text become its class's number; return the label's output.

    Runtimes on boards give text slowly, and a bundle does not compare it. Labels that are whole
    numbers already stay what they are.
    """
    graph = model.graph
    output = graph.output[0]
    kind = output.type.tensor_type.elem_type
    if kind != TensorProto.STRING:
        return str(output.name)
    text = f"{output.name}_text"
    for node in graph.node:
        for index, name in enumerate(node.output):
            if name == output.name:
                node.output[index] = text
        for index, name in enumerate(node.input):
            if name == output.name:
                node.input[index] = text
    graph.node.append(
        helper.make_node(
            "LabelEncoder",
            [text],
            [output.name],
            name="edgekit_label_number",
            domain=_ML,
            keys_strings=[str(name) for name in classes],
            values_int64s=list(range(len(classes))),
            default_int64=-1,
        )
    )
    output.type.tensor_type.elem_type = TensorProto.INT64
    for entry in model.opset_import:
        if entry.domain == _ML:
            entry.version = max(entry.version, _ENCODER_ML_OPSET)
    return str(output.name)


def tidy(model: onnx.ModelProto, facts: Mapping[str, str]) -> None:
    """Name each opset once, leave each output's batch free, and write facts into the metadata.

    Raises:
        onnx.checker.ValidationError: the graph is none.
    """
    versions: dict[str, int] = {}
    for entry in model.opset_import:
        versions[entry.domain] = max(entry.version, versions.get(entry.domain, 0))
    del model.opset_import[:]
    for domain, version in sorted(versions.items()):
        model.opset_import.append(helper.make_opsetid(domain, version))
    for value in (*model.graph.input, *model.graph.output):
        shape = value.type.tensor_type.shape
        if shape.dim:
            shape.dim[0].Clear()
            shape.dim[0].dim_param = "batch"
    helper.set_model_props(model, dict(facts))
    onnx.checker.check_model(model)


def tree_size(model: onnx.ModelProto) -> tuple[int, int]:
    """Return how many trees the graph has, and how many nodes they have together."""
    trees = nodes = 0
    for node in model.graph.node:
        if node.op_type.startswith("TreeEnsemble"):
            for attribute in node.attribute:
                if attribute.name == "nodes_treeids":
                    trees += len(set(attribute.ints))
                    nodes += len(attribute.ints)
    return trees, nodes
