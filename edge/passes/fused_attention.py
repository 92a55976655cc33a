"""Attention as one operator: ONNX Runtime's MultiHeadAttention in place of what exporters write.

Exporters write attention as some fifteen operators: heads are split off by a Reshape and a
Transpose, the scores scaled and masked, heads joined again. ONNX Runtime's optimiser leaves them;
its own operator does the same in one, and without a mask never holds all the scores. Only what is
exactly this pattern is replaced. ONNX Runtime has it since 1.14, and takes one mask for all heads
since 1.20 (1.17.3 refuses it when it runs).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.errors import ModelError, printable

REQUIRES: tuple[str, ...] = ()
EXTRA = None

_DOMAIN = "com.microsoft"
_HEADS_FIRST, _KEYS_TURNED, _TURNED = (0, 2, 1, 3), (0, 2, 3, 1), (0, 1, 3, 2)


def apply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write the model with its attention fused into the folder.

    Raises:
        ModelError: it is no ONNX model, or has no attention of this pattern.
        HostError: it cannot be written.
    """
    import onnx

    from edge.passes._graph import drop_unused, read_graph, write_graph

    path, folder = Path(request["model"]), Path(request["folder"])
    model = read_graph(path)
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"its shapes cannot be inferred: {printable(first, 200)}") from error
    attentions = _Attentions(model, inferred.graph)
    softmaxes = [node for node in model.graph.node if node.op_type == "Softmax"]
    fused = sum(attentions.fuse(node) for node in softmaxes)
    if not fused:
        raise ModelError("it has no attention of the pattern that can be fused", where=path)
    if _DOMAIN not in (entry.domain for entry in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(_DOMAIN, 1))
    drop_unused(model)
    note = f"{fused} attentions are one operator each, ONNX Runtime's own since {attentions.since}"
    return {"file": write_graph(model, folder, "model.onnx"), "notes": [note]}


class _Attentions:
    """Finds what stands around a Softmax of the main graph, and puts one operator there."""

    def __init__(self, model: Any, inferred: Any) -> None:
        from edge.passes._graph import constants

        self._model = model
        self._constants = constants(model)
        self._makers = {name: node for node in model.graph.node for name in node.output}
        self._readers: dict[str, list[Any]] = {}
        for node in model.graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._results = {value.name for value in model.graph.output}
        self._shapes = {
            value.name: value.type.tensor_type.shape.dim
            for value in (*inferred.value_info, *inferred.input, *inferred.output)
            if value.type.tensor_type.HasField("shape")
        }
        self._masks: dict[str, str] = {}
        self.since = "1.14"

    def fuse(self, softmax: Any) -> bool:
        """Replace the attention around the Softmax; whether there was one."""
        import onnx

        from edge.passes._graph import free_name, replace_node

        axis = next((a.i for a in softmax.attribute if a.name == "axis"), -1)
        scores, mask = self._unmasked(softmax.input[0])
        product, scale = self._unscaled(scores)
        weighed = self._only_reader(softmax.output[0], "MatMul")
        turned = weighed and self._only_reader(weighed.output[0], "Transpose")
        joined = turned and self._only_reader(turned.output[0], "Reshape")
        maker = self._makers.get(product)
        if maker is None or maker.op_type != "MatMul" or joined is None or axis not in (-1, 3):
            return False
        query, of_query = self._unscaled(maker.input[0])
        keys, of_keys = self._unscaled(maker.input[1])
        sources = [
            self._source(query, _HEADS_FIRST),
            self._source(keys, _KEYS_TURNED) or self._twice_turned(keys),
            self._source(weighed.input[1], _HEADS_FIRST),
        ]
        heads = {source[1] for source in sources if source is not None}
        right = weighed.input[0] == softmax.output[0] and _order(turned) == _HEADS_FIRST
        if None in sources or len(heads) != 1 or not right or self._rank(joined.output[0]) != 3:
            return False
        inputs = [source[0] for source in sources if source is not None]
        if mask is not None:
            if self._rank(mask) != 4:
                return False
            inputs += ["", "", self._full_mask(mask, inputs[0], joined)]
            self.since = "1.20"
        name = free_name(self._model, f"{softmax.output[0]}_attention")
        sizes: dict[str, Any] = {"num_heads": heads.pop(), "scale": scale * of_query * of_keys}
        node = onnx.helper.make_node(
            "MultiHeadAttention", inputs, joined.output, name, domain=_DOMAIN, **sizes
        )
        replace_node(self._model, joined, [node])
        return True

    def _unmasked(self, name: str) -> tuple[str, str | None]:
        """Return the scores and the mask that is added to them."""
        maker = self._makers.get(name)
        if maker is None or maker.op_type != "Add":
            return name, None
        for scores, mask in (maker.input, reversed(maker.input)):
            made = self._makers.get(self._unscaled(scores)[0])
            if made is not None and made.op_type == "MatMul":
                return scores, mask
        return name, None

    def _unscaled(self, name: str) -> tuple[str, float]:
        """Return what is multiplied by one constant number, or divided by it, and the factor."""
        maker = self._makers.get(name)
        if maker is None or maker.op_type not in ("Mul", "Div"):
            return name, 1.0
        read = self._constants.get(maker.input[1])
        if read is None or read().size != 1 or float(read().reshape(())) == 0:
            return name, 1.0
        factor = float(read().reshape(()))
        return maker.input[0], factor if maker.op_type == "Mul" else 1 / factor

    def _source(self, name: str, order: tuple[int, ...]) -> tuple[str, int] | None:
        """Return what the heads are split off from (batch, sequence, width), and how many."""
        turned = self._makers.get(name)
        if turned is None or turned.op_type != "Transpose" or _order(turned) != order:
            return None
        split = self._makers.get(turned.input[0])
        if split is None or split.op_type != "Reshape" or self._rank(split.input[0]) != 3:
            return None
        parts = self._shapes.get(split.output[0], ())
        heads, width = (parts[2].dim_value, parts[3].dim_value) if len(parts) == 4 else (0, 0)
        # All of the width is split into heads, nothing else.
        whole = self._shapes[split.input[0]][2].dim_value
        return (split.input[0], heads) if heads and heads * width == whole else None

    def _twice_turned(self, name: str) -> tuple[str, int] | None:
        turned = self._makers.get(name)
        if turned is None or turned.op_type != "Transpose" or _order(turned) != _TURNED:
            return None
        return self._source(turned.input[0], _HEADS_FIRST)

    def _rank(self, name: str) -> int | None:
        shape = self._shapes.get(name)
        return None if shape is None else len(shape)

    def _only_reader(self, name: str, op_type: str) -> Any:
        # What only asks for its shape is there to join the heads, and goes with that.
        readers = [node for node in self._readers.get(name, []) if node.op_type != "Shape"]
        alone = len(readers) == 1 and name not in self._results
        return readers[0] if alone and readers[0].op_type == op_type else None

    def _full_mask(self, mask: str, query: str, before: Any) -> str:
        """Return the mask with a row for each query, which the operator wants; made once."""
        import numpy as np
        import onnx

        from edge.passes._graph import add_constant, free_name, replace_node

        rows = self._shapes[mask][2]
        if mask in self._masks:
            return self._masks[mask]
        if rows.HasField("dim_value") and rows.dim_value != 1:
            return mask
        stem = f"{mask}_full"
        names = [free_name(self._model, f"{stem}_{part}") for part in ("shape", "rows", "sizes")]
        one = add_constant(self._model, f"{stem}_one", np.array([1], np.int64))
        full = self._masks[mask] = free_name(self._model, stem)
        nodes = [
            onnx.helper.make_node("Shape", [query], names[:1]),
            onnx.helper.make_node("Gather", [names[0], one], names[1:2]),
            onnx.helper.make_node("Concat", [one, one, names[1], one], names[2:], axis=0),
            onnx.helper.make_node("Expand", [mask, names[2]], [full]),
        ]
        replace_node(self._model, before, [*nodes, before])
        return full


def _order(transpose: Any) -> tuple[int, ...]:
    """Return the permutation of a Transpose, none where it is not written."""
    return next((tuple(a.ints) for a in transpose.attribute if a.name == "perm"), ())
