"""all-MiniLM-L6-v2 from safetensors to ONNX: token numbers in, a sentence embedding out.

The encoder is written out here in plain PyTorch, in the shapes and under the names that the
weights have (a BERT with 6 layers of 384 and 12 heads, pooled by the mean of its tokens), so that
no model library has to be installed and the exported graph has free batch and sequence.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.device.child import tell_progress
from edge.recipes._parity import largest_difference, run_file

if TYPE_CHECKING:
    import torch

REQUIRES = ("torch", "safetensors")

_OPSET = 17
_LAYERS, _WIDTH, _HEADS, _WORDS = 6, 384, 12, 30522
_EPSILON = 1e-12
# An embedding has length 1.
_ALLOWED = 1e-5


def convert(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write minilm-l6-v2.onnx into the folder."""
    import torch
    from safetensors.torch import load_file

    weights = load_file(request["raw"]["model.safetensors"])
    # The pooler is of BERT's pretraining; sentence embeddings do not use it.
    unused = ("pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids")
    network = _network({name: w for name, w in weights.items() if name not in unused})
    network.eval()
    tell_progress(0.2)

    path = Path(request["folder"]) / "minilm-l6-v2.onnx"
    names = ["input_ids", "attention_mask", "token_type_ids"]
    torch.onnx.export(
        network,
        _tokens(1, 16),
        str(path),
        input_names=names,
        output_names=["sentence_embedding"],
        dynamic_axes={n: {0: "batch", 1: "sequence"} for n in names}
        | {"sentence_embedding": {0: "batch"}},
        opset_version=_OPSET,
        dynamo=False,
    )
    tell_progress(0.8)
    worst = 0.0
    for batch, length in ((1, 128), (3, 7), (2, 512)):
        tokens = _tokens(batch, length)
        with torch.no_grad():
            expected = network(*tokens).numpy()
        feeds = {n: t.numpy() for n, t in zip(names, tokens, strict=True)}
        worst = max(worst, largest_difference(run_file(path, feeds), [expected], _ALLOWED))
    parity = f"largest difference from torch: {worst:.2g} of unit vectors"
    shapes = "batch x sequence 1x128, 3x7, 2x512"
    exporter = f"exported with torch {torch.__version__}, opset {_OPSET}"
    return {"evidence": [exporter, f"{parity} ({shapes})"]}


def _tokens(batch: int, length: int) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """Return random words, the last quarter of the last row being padding."""
    import torch

    words = np.random.default_rng(0).integers(1000, _WORDS, (batch, length))
    mask = np.ones_like(words)
    mask[-1, length - length // 4 :] = 0
    return torch.from_numpy(words), torch.from_numpy(mask), torch.zeros(batch, length).long()


def _network(weights: "Mapping[str, torch.Tensor]") -> "torch.nn.Module":
    """Build the encoder around its weights; PyTorch's classes exist only once it is imported."""
    import torch
    from torch.nn import functional

    class SentenceEncoder(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not installed here.
        def __init__(self) -> None:
            super().__init__()
            # Buffers become the file's weights; a name of a buffer has no dots.
            for name, weight in weights.items():
                self.register_buffer(name.replace(".", "_"), weight)

        def forward(
            self, words: torch.Tensor, mask: torch.Tensor, types: torch.Tensor
        ) -> torch.Tensor:
            kept = mask.to(torch.float32)
            # What is masked gets a weight of exp(-10000), which is 0 in fp32.
            bias = (1.0 - kept)[:, None, None, :] * -10000.0
            x = self._embed(words, types)
            for number in range(_LAYERS):
                layer = f"encoder.layer.{number}"
                x = self._add(f"{layer}.attention.output", self._attend(layer, x, bias), x)
                inner = functional.gelu(self._dense(f"{layer}.intermediate.dense", x))
                x = self._add(f"{layer}.output", inner, x)
            kept = kept.unsqueeze(-1)
            mean = (x * kept).sum(1) / kept.sum(1).clamp(min=1e-9)
            return functional.normalize(mean, dim=1)

        def _weight(self, name: str) -> torch.Tensor:
            return self.get_buffer(name.replace(".", "_"))

        def _embed(self, words: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
            table = "embeddings.{}_embeddings.weight"
            places = torch.arange(words.shape[1], device=words.device).unsqueeze(0)
            summed = functional.embedding(words, self._weight(table.format("word")))
            summed = summed + functional.embedding(types, self._weight(table.format("token_type")))
            summed = summed + functional.embedding(places, self._weight(table.format("position")))
            return self._normalise("embeddings", summed)

        def _attend(self, layer: str, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
            query, key, value = (
                self._dense(f"{layer}.attention.self.{part}", x)
                .unflatten(-1, (_HEADS, _WIDTH // _HEADS))
                .transpose(1, 2)
                for part in ("query", "key", "value")
            )
            scores = query @ key.transpose(-1, -2) / math.sqrt(_WIDTH // _HEADS) + bias
            return (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).flatten(2)

        def _add(self, part: str, x: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
            return self._normalise(part, self._dense(f"{part}.dense", x) + before)

        def _dense(self, part: str, x: torch.Tensor) -> torch.Tensor:
            return functional.linear(
                x, self._weight(f"{part}.weight"), self._weight(f"{part}.bias")
            )

        def _normalise(self, part: str, x: torch.Tensor) -> torch.Tensor:
            weight = self._weight(f"{part}.LayerNorm.weight")
            bias = self._weight(f"{part}.LayerNorm.bias")
            return functional.layer_norm(x, (_WIDTH,), weight, bias, eps=_EPSILON)

    return SentenceEncoder()
