"""Classical classifiers, trained here and now on scikit-learn's digits, to ONNX."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge.device.child import tell_progress
from edge.errors import ModelError
from edge.recipes._parity import run_file

REQUIRES = ("sklearn", "skl2onnx")

_OPSET, _ML_OPSET = 17, 3
_PIXELS = 64
# Ties of the forest's trees may break otherwise in fp32 than in scikit-learn's fp64.
_LEAST_AGREEMENT = 0.993


def convert(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write logistic-regression.onnx and random-forest.onnx into the folder."""
    import skl2onnx
    import sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    digits = load_digits()
    pixels = digits.data.astype(np.float32)
    train_x, test_x, train_y, test_y = train_test_split(
        pixels, digits.target, test_size=450, random_state=0, stratify=digits.target
    )
    classifiers = {
        "logistic-regression": make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=1000)),
        "random-forest": RandomForestClassifier(n_estimators=100, random_state=0, n_jobs=1),
    }
    evidence = [f"trained with scikit-learn {sklearn.__version__}, skl2onnx {skl2onnx.__version__}"]
    for done, (name, classifier) in enumerate(classifiers.items(), 1):
        classifier.fit(train_x, train_y)
        path = Path(request["folder"]) / f"{name}.onnx"
        model = skl2onnx.to_onnx(
            classifier,
            initial_types=[("pixels", FloatTensorType([None, _PIXELS]))],
            # A plain tensor of probabilities, not a list of dictionaries.
            options={"zipmap": False},
            target_opset={"": _OPSET, "ai.onnx.ml": _ML_OPSET},
        )
        path.write_bytes(model.SerializeToString())
        labels = run_file(path, {"pixels": test_x})[0]
        evidence.append(f"{name}: " + _score(labels, classifier.predict(test_x), test_y))
        tell_progress(done / len(classifiers))
    return {"evidence": evidence}


def _score(labels: Any, expected: Any, truth: Any) -> str:
    """Say how often the file agrees with scikit-learn and with the truth.

    Raises:
        ModelError: it agrees too seldom: the conversion went wrong.
    """
    agreement, right = float(np.mean(labels == expected)), float(np.mean(labels == truth))
    if agreement < _LEAST_AGREEMENT:
        raise ModelError(f"the converted model agrees with scikit-learn on {agreement:.1%} only")
    return (
        f"{right:.1%} of {len(truth)} held-out digits right,"
        f" {agreement:.1%} the same label as scikit-learn"
    )
