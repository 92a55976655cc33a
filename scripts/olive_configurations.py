"""Olive's best configurations, written by hand as somebody who knows Olive and the models would.

Each is what `olive run --config` takes. Convolutional networks: static int8 in QDQ form, weights
per channel, unsigned activations (what x86-64's kernels are fast in), pre-processing on. The
text encoder: ONNX Runtime's transformer fusions, then dynamic int8 with weights per channel, and
once more without the fusion of skip layer norms, which slows it on some processors. `searched` is
what Olive's documentation recommends: a search over passes' options by an evaluator that measures
latency and agreement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

ENCODERS = ("minilm-l6-v2",)
SEARCHED_SAMPLES = 6
# The part of the classes that must stay the original's.
LEAST_AGREEMENT = 0.9
CLASSES = {
    "efficientnet-lite0": 1000,
    "mobilenet-v2": 1000,
    "minilm-l6-v2": 384,
    "ppocr-v4-rec": 6625,
    "digits-cnn": 10,
}


def _dynamic(**more: Any) -> dict[str, Any]:
    return {
        "type": "OnnxDynamicQuantization",
        "precision": "int8",
        "per_channel": True,
        "reduce_range": False,
        **more,
    }


def _static(**more: Any) -> dict[str, Any]:
    return {
        "type": "OnnxStaticQuantization",
        "data_config": "calibration",
        "quant_format": "QDQ",
        "precision": "int8",
        "activation_type": "uint8",
        "per_channel": True,
        "reduce_range": False,
        "quant_preprocess": True,
        "prepare_qdq_config": False,
        "calibrate_method": "MinMax",
        **more,
    }


def _fusions(**options: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"type": "OrtTransformersOptimization", "model_type": "bert"}
    given |= {"num_heads": 12, "hidden_size": 384, "opt_level": 0, "float16": False}
    return given | ({"optimization_options": options} if options else {})


def _passes(model: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the passes of each configuration of a model."""
    if model in ENCODERS:
        # The fusions forget to import their operators' domain, and without it the quantiser fails;
        # then it wants to be told the type of what they compute: 1 is float.
        repair = {"type": "OnnxPeepholeOptimizer", "fix_com_microsoft_opset": True}
        repair |= {"onnxscript_optimize": False, "onnxoptimizer_optimize": False}
        after = {"domain": repair}
        typed: dict[str, Any] = {
            "quant_preprocess": False,
            "extra_options": {"DefaultTensorType": 1},
        }
        quantized = _dynamic(**typed)
        return {
            "fused": {"fusions": _fusions(), **after, "quantization": quantized},
            "fused-without-skip-layer-norm": {
                "fusions": _fusions(enable_skip_layer_norm=False),
                **after,
                "quantization": quantized,
            },
            "dynamic": {"quantization": _dynamic(quant_preprocess=True)},
            "searched": {
                "fusions": _fusions(),
                **after,
                "quantization": _dynamic(**typed | {"per_channel": "SEARCHABLE_VALUES"}),
            },
        }
    first: dict[str, dict[str, Any]] = {}
    if model == "ppocr-v4-rec":
        # Per-channel scales came with opset 13, and the file is of 12.
        first["opset"] = {"type": "OnnxOpVersionConversion", "target_opset": 17}
    first["peephole"] = {"type": "OnnxPeepholeOptimizer"}
    return {
        "static": {**first, "quantization": _static()},
        "static-convolutions": {
            **first,
            "quantization": _static(op_types_to_quantize=["Conv", "Gemm", "MatMul"]),
        },
        "static-percentile": {
            **first,
            "quantization": _static(calibrate_method="Percentile"),
        },
        "searched": {
            **first,
            "quantization": _static(
                calibrate_method="SEARCHABLE_VALUES",
                per_channel="SEARCHABLE_VALUES",
            ),
        },
    }


def configurations(
    name: str, model: Path, data: Path, script: Path, output: Path
) -> dict[str, dict[str, Any]]:
    """Return Olive's best configurations for a model by name; each writes into `output`/NAME."""
    return {
        kind: _whole(
            name, (model, data, script), output / kind, passes, searched=kind == "searched"
        )
        for kind, passes in _passes(name).items()
    }


def _whole(
    name: str,
    given: tuple[Path, Path, Path],
    output: Path,
    passes: dict[str, dict[str, Any]],
    *,
    searched: bool,
) -> dict[str, Any]:
    model, data, script = given

    def data_config(kind: str) -> dict[str, Any]:
        return {
            "name": kind,
            "type": "DataContainer",
            "user_script": str(script),
            # A key "path" would be taken for a file to copy.
            "load_dataset_config": {
                "type": "npz_samples",
                "samples_file": str(data / f"{kind}.npz"),
                "original": str(model) if kind == "evaluation" else None,
            },
            "post_process_data_config": {"type": "classes"},
            "dataloader_config": {"type": "whole_rows"},
        }

    whole: dict[str, Any] = {
        "input_model": {"type": "ONNXModel", "model_path": str(model)},
        "systems": {
            "here": {
                "type": "LocalSystem",
                "accelerators": [
                    {"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}
                ],
            }
        },
        "data_configs": [data_config("calibration"), data_config("evaluation")],
        "passes": passes,
        "host": "here",
        "target": "here",
        "cache_dir": str(output / "cache"),
        "output_dir": str(output / "out"),
        "log_severity_level": 2,
    }
    if searched:
        whole["evaluators"] = {"judge": _judge(name)}
        whole["evaluator"] = "judge"
        whole["search_strategy"] = {
            "execution_order": "joint",
            "sampler": "tpe",
            "sampler_config": {"max_samples": SEARCHED_SAMPLES, "seed": 0},
            "output_model_num": 1,
        }
    return whole


def _judge(name: str) -> dict[str, Any]:
    """Return the evaluator: latency first, where enough classes are the original's.

    A custom metric would be the lowest cosine, but Olive 0.13 cannot write its own configuration
    with one (a `None` backend); an encoder's "class" is the largest number of its vector.
    """
    return {
        # Without a type, Olive 0.13 fails while it looks for files in the configuration.
        "type": "OnnxEvaluator",
        "metrics": [
            {
                "name": "latency",
                "type": "latency",
                "data_config": "evaluation",
                "sub_types": [
                    {
                        "name": "avg",
                        "priority": 1,
                        "metric_config": {"warmup_num": 10, "repeat_test_num": 50},
                    }
                ],
            },
            {
                "name": "agreement",
                "type": "accuracy",
                "data_config": "evaluation",
                "sub_types": [
                    {
                        "name": "accuracy_score",
                        "priority": 2,
                        "metric_config": {"task": "multiclass", "num_classes": CLASSES[name]},
                        "goal": {"type": "threshold", "value": LEAST_AGREEMENT},
                    }
                ],
            },
        ],
    }
