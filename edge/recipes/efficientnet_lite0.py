"""EfficientNet-Lite0 from PyTorch weights to ONNX: NCHW, one picture of 224 by 224 pixels.

The network's code comes from the card's pinned package, which run_child put on the path.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.device.child import tell_progress
from edge.recipes._parity import largest_difference, run_file

REQUIRES = ("torch",)

_OPSET = 17
# Logits of this network lie between about -2 and 12.
_ALLOWED = 1e-3


def convert(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write efficientnet-lite0.onnx into the folder."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(request["raw"]["weights.pth"], map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    network.eval()
    tell_progress(0.2)

    path = Path(request["folder"]) / "efficientnet-lite0.onnx"
    # Noise of a picture's range; a constant would let errors of position go unnoticed.
    picture = torch.empty(1, 3, 224, 224).uniform_(
        -1, 1, generator=torch.Generator().manual_seed(0)
    )
    torch.onnx.export(
        network,
        (picture,),
        str(path),
        input_names=["input"],
        output_names=["logits"],
        opset_version=_OPSET,
        dynamo=False,
    )
    tell_progress(0.8)
    with torch.no_grad():
        expected = network(picture).numpy()
    got = run_file(path, {"input": picture.numpy()})
    worst = largest_difference(got, [expected], _ALLOWED)
    parity = f"largest difference from torch on one noise picture: {worst:.2g}"
    exporter = f"exported with torch {torch.__version__}, opset {_OPSET}"
    return {"evidence": [exporter, f"{parity} of logits up to {abs(expected).max():.3g}"]}
