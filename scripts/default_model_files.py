"""Write the default model's network as ONNX and TFLite, fp32 and int8, and its samples.

Used by make_default_model.py; the converters are imported inside the functions that need them.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INPUT_SHAPE = (1, 1, 8, 8)
# onnxruntime 1.10, which old Jetsons run, reads opset 15 and IR version 8 at most.
OPSET = 13
MOST_IR_VERSION = 8


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Hold back what the converters print, C++ included, and show it only if they fail."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in enumerate(saved, start=1):
                os.dup2(copy, number)
                os.close(copy)
            if failed:
                log.seek(0)
                sys.stderr.write(log.read().decode(errors="replace"))


def write_onnx(network: Any, path: Path) -> None:
    """Export with the legacy exporter, whose opset old runtimes read."""
    import torch

    torch.onnx.export(
        network,
        (torch.zeros(INPUT_SHAPE),),
        str(path),
        dynamo=False,
        opset_version=OPSET,
        input_names=["input"],
        output_names=["logits"],
    )


def write_onnx_int8(source: Path, path: Path, calibration: Any) -> None:
    """Quantise to int8 in QDQ form, weights per channel; no weighted layer may stay float."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    class Reader:
        """Hands out the calibration images one by one."""

        def __init__(self) -> None:
            self.images = iter(calibration)

        def get_next(self) -> dict[str, Any] | None:
            image = next(self.images, None)
            return None if image is None else {"input": image[np.newaxis]}

    # With 8-bit weights onnxruntime's kernels for x86-64 without VNNI saturate: logits were off by
    # up to 1.3 and accuracy fell by 0.007. With 7-bit weights (reduce_range) they are exact.
    quantize_static(
        str(source),
        str(path),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
    model = onnx.load(str(path))
    if model.ir_version > MOST_IR_VERSION:
        raise SystemExit(f"{path.name}: IR version {model.ir_version} is above {MOST_IR_VERSION}")
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type in {"Conv", "Gemm"}:
            sources = {made_by.get(name) for name in node.input}
            if sources != {"DequantizeLinear"}:
                raise SystemExit(f"{path.name}: {node.name} is not quantised")


def write_tflite(network: Any, path: Path) -> None:
    """Convert with litert-torch, in torch's layout, so that all files take the same array."""
    import litert_torch
    import torch

    example = {"input": torch.zeros(INPUT_SHAPE)}
    litert_torch.convert(network, sample_kwargs=example).export(str(path))


def write_tflite_int8(source: Path, path: Path, calibration: Any) -> None:
    """Quantise weights and activations to int8; only the file's input and output stay float."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
    from ai_edge_quantizer import qtyping, quantizer

    quantiser = quantizer.Quantizer(str(source))
    operations = qtyping.TFLOperationName
    quantiser.add_static_config(".*", operations.ALL_SUPPORTED, 8, 8)
    for end in (operations.INPUT, operations.OUTPUT):
        quantiser.update_quantization_recipe(
            ".*", end, algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE
        )
    ((signature, ends),) = Interpreter(str(source)).get_signature_list().items()
    (name,) = ends["inputs"]
    images = [{name: image[np.newaxis]} for image in calibration]
    ranges = quantiser.calibrate({signature: images}, num_threads=1)
    path.write_bytes(quantiser.quantize(ranges).quantized_model)
    # "int8" may mean int8 storage with float arithmetic; here only the two ends may be float.
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(str(path), experimental_op_resolver_type=resolver)
    details = interpreter.get_tensor_details()
    floats = {entry["index"] for entry in details if entry["dtype"] == np.float32}
    ends_found = (*interpreter.get_input_details(), *interpreter.get_output_details())
    if floats != {entry["index"] for entry in ends_found}:
        raise SystemExit(f"{path.name}: some arithmetic is still float")


def write_npz(path: Path, **arrays: Any) -> None:
    """Write an uncompressed .npz whose bytes depend on the arrays alone, not on the time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, buffer.getvalue())
