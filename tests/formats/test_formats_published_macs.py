"""MACs of well-known architectures against published figures.

Sources: [slim1] tensorflow/models research/slim/nets/mobilenet_v1.md at 02c04f49; [slim2] the same,
mobilenet/README.md at 0ba83cf0; [timm] pytorch-image-models results/benchmark-infer-fp32-nchw-
pt240-cpu-i7_12700h-dynamo.csv at aa4b5850 (GMACs to two decimals, batch normalisation counted as
two per element); [clip] mlfoundations/open_clip docs/model_profile.csv at 3b37473b (GFLOPs halved);
[ncnn] counted from the layer lists of Tencent/ncnn benchmark/models at a4d2ea1d.

The tolerance is 1 %, or what the figure was rounded (or cut off) by: slim prints whole millions.
Left out: slim's rows for MobileNet v1 at 0.75 (317 M at 224) and 0.25 at 192 (34 M), which
contradict their own neighbours: 325 and 30 M follow from the definition of the network.
"""

from collections.abc import Callable
from pathlib import Path

import architectures as arch
import onnx
import pytest
from made_onnx import read

from edge.formats.read import read_model

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
_V1 = {(1.0, 224): 569, (1.0, 192): 418, (1.0, 128): 186, (0.5, 224): 150, (0.5, 160): 77,
       (0.25, 224): 41, (0.25, 128): 14}  # fmt: skip
_V2 = {(1.4, 224): 582, (1.3, 224): 509, (1.0, 224): 300, (1.0, 160): 154, (1.0, 96): 56,
       (0.75, 224): 209, (0.75, 96): 39, (0.5, 192): 71, (0.35, 224): 59, (0.35, 96): 11}  # fmt: skip

Case = tuple[str, Callable[[], onnx.ModelProto], float, float]
CASES: list[Case] = [
    *((f"mobilenet_v1_{a}_{s} [slim1]", lambda a=a, s=s: arch.mobilenet_v1(a, s), m, 1.0)
      for (a, s), m in _V1.items()),
    *((f"mobilenet_v2_{a}_{s} [slim2]", lambda a=a, s=s: arch.mobilenet_v2(a, s), m, 1.0)
      for (a, s), m in _V2.items()),
    ("mobilenet_v3_large [slim2]", lambda: arch.mobilenet_v3_large(224), 217, 1.0),
    ("mobilenet_v3_large_minimalistic [slim2]",
     lambda: arch.mobilenet_v3_large(224, minimalistic=True), 209, 1.0),
    ("mobilenet [ncnn]", lambda: arch.mobilenet_v1(1.0, 224), 568.74, 0.01),
    ("alexnet [ncnn]", lambda: arch.alexnet(227), 724.41, 0.01),
    ("vgg16 [ncnn]", lambda: arch.vgg16(224), 15470.26, 0.01),
    ("resnet18 [timm]", lambda: arch.resnet([2, 2, 2, 2], 224, bottleneck=False), 1820, 10),
    ("resnet50 at 160 [timm]", lambda: arch.resnet([3, 4, 6, 3], 160, bottleneck=True), 2100, 10),
    ("resnet101 [timm]", lambda: arch.resnet([3, 4, 23, 3], 224, bottleneck=True), 7830, 10),
    ("vit_tiny_patch16 [timm]", lambda: arch.vit(16, 192, 12, 3), 1260, 10),
    ("vit_base_patch32 [timm]", lambda: arch.vit(32, 768, 12, 12), 4410, 10),
    ("vit_base_patch16 [timm]", lambda: arch.vit(16, 768, 12, 12), 17580, 10),
    ("CLIP ViT-L-14 image [clip]", lambda: arch.vit(14, 1024, 24, 16, out=768), 81015, 5),
    ("CLIP ViT-B text [clip]", lambda: arch.clip_text(512, 12, 8), 2980, 5),
    ("CLIP ViT-L-14 text [clip]", lambda: arch.clip_text(768, 12, 12), 6650, 5),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "published", "unit"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_built_architecture(
    make: Callable[[], onnx.ModelProto], published: float, unit: float, tmp_path: Path
) -> None:
    info = read(make(), tmp_path)
    assert info.macs is not None
    assert abs(info.macs / 1e6 - published) <= max(0.01 * published, unit)


def test_light_resnet50() -> None:
    # [timm] says 4.11 G, 25.56 M parameters.
    info = read_model(LIGHT / "light_resnet50.onnx", {})
    assert info.macs == pytest.approx(4110e6, rel=0.01)
    assert info.parameters == pytest.approx(25.56e6, rel=0.01)
    assert info.file_bytes < 100_000
    assert info.weights_bytes > 100_000_000


def test_light_densenet121_with_normalisation_counted_as_published() -> None:
    # [timm] says 2.87 G; DenseNet normalises what it has concatenated, again and again.
    info = read_model(LIGHT / "light_densenet121.onnx", {})
    normalised = [o.output_bytes for o in info.operators if o.op_type == "BatchNormalization"]
    elements = sum(size // 4 for size in normalised if size is not None)
    assert info.macs is not None
    assert info.macs + 2 * elements == pytest.approx(2870e6, rel=0.01)
    assert info.macs == 2_834_161_664


def test_light_vgg19_by_its_definition() -> None:
    macs, side, before = 0, 224, 3
    for width, repeats in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
        for _ in range(repeats):
            macs += side * side * width * before * 9
            before = width
        side //= 2
    macs += 512 * 7 * 7 * 4096 + 4096 * 4096 + 4096 * 1000
    assert read_model(LIGHT / "light_vgg19.onnx", {}).macs == macs


def test_every_light_model_is_complete() -> None:
    paths = sorted(LIGHT.glob("*.onnx"))
    assert len(paths) >= 9
    for path in paths:
        info = read_model(path, {})
        assert info.macs, path.name
        assert info.moved_bytes, path.name
        assert info.peak_activation_bytes, path.name
        assert info.precision == "fp32"
        assert "are made at load" in " ".join(info.risks)
