#!/usr/bin/env python3
"""Print, as JSON, how many labels a runtime gets right with the files of the default model.

It needs numpy and one runtime, and runs on Python 3.8, so that runtimes that cannot share an
environment (tflite-runtime needs numpy < 2) or are years old can all be asked:

    python scripts/score_default_model.py --runtime tflite-runtime --data held-out.npz MODEL.tflite
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    # A function from one input to one output, and what the file says of its input.
    Session = tuple[Callable[[Any], Any], dict[str, Any]]


def open_onnx(path: Path) -> Session:
    """Open an ONNX file with onnxruntime, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    dtype = {"tensor(float)": "float32"}[entry.type]
    facts = {"name": entry.name, "shape": list(entry.shape), "dtype": dtype}
    return lambda value: session.run(None, {entry.name: value})[0], facts


def open_tflite(path: Path, interpreter_class: Any) -> Session:
    """Open a TFLite file with the interpreter class of either package."""
    interpreter = interpreter_class(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    (result,) = interpreter.get_output_details()

    def run(value: Any) -> Any:
        interpreter.set_tensor(entry["index"], value)
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    shape = [int(size) for size in entry["shape"]]
    return run, {"name": entry["name"], "shape": shape, "dtype": np.dtype(entry["dtype"]).name}


def open_model(runtime: str, path: Path) -> Session:
    """Open a file with the named runtime."""
    if runtime == "onnxruntime":
        return open_onnx(path)
    if runtime == "tflite-runtime":
        from tflite_runtime.interpreter import Interpreter
    else:
        from ai_edge_litert.interpreter import Interpreter
    return open_tflite(path, Interpreter)


def score(runtime: str, path: Path, images: Any, labels: Any) -> dict[str, Any]:
    """Return the share of right labels, the predicted labels and the input's facts for one file."""
    run, facts = open_model(runtime, path)
    predicted = [int(np.argmax(run(images[index : index + 1]))) for index in range(len(images))]
    right = int(np.count_nonzero(np.asarray(predicted) == labels))
    return {"accuracy": right / len(labels), "predicted": predicted, "input": facts}


def main() -> None:
    """Read the arguments, score each file, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    runtimes = ("onnxruntime", "tflite-runtime", "ai-edge-litert")
    parser.add_argument("--runtime", required=True, choices=runtimes)
    parser.add_argument("--data", required=True, type=Path, help=".npz with images and labels")
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    with np.load(arguments.data) as data:
        images, labels = data["images"], data["labels"]
    result = {
        "runtime": arguments.runtime,
        "version": importlib.metadata.version(arguments.runtime),
        "files": {
            path.name: score(arguments.runtime, path, images, labels) for path in arguments.files
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
