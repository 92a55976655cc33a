"""Students for pictures: plain convolutions, and depthwise-separable ones. PyTorch is imported here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# A map is not halved below this side: a kernel of 3 would see mostly its own padding.
_LEAST_SIDE = 4
# Of MobileNet (arXiv 1704.04861, table 1), to a quarter of its depth: (times the width, stride).
_BLOCKS = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1))


def cnn(
    widths: Sequence[int], channels: int, side: int, features: int
) -> "tuple[torch.nn.Module, torch.nn.Module]":
    """Return stages of convolution, batch norm and ReLU, each halving the map, and the last layer."""
    import torch

    layers: list[torch.nn.Module] = []
    for width in widths:
        stride, side = _halved(side)
        layers += _convolution(channels, width, stride)
        channels = width
    layers += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    return torch.nn.Sequential(*layers), torch.nn.Linear(channels, features)


def mobile(
    width: int, channels: int, side: int, features: int
) -> "tuple[torch.nn.Module, torch.nn.Module]":
    """Return depthwise-separable blocks of 1 to 8 times the width, and the last layer."""
    import torch

    stride, side = _halved(side)
    layers = _convolution(channels, width, stride)
    channels = width
    for times, wanted in _BLOCKS:
        stride, side = _halved(side) if wanted == 2 else (1, side)
        layers += _convolution(channels, channels, stride, groups=channels)
        layers += _convolution(channels, times * width, 1, size=1)
        channels = times * width
    layers += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    return torch.nn.Sequential(*layers), torch.nn.Linear(channels, features)


def _halved(side: int) -> tuple[int, int]:
    """Return a stage's stride, and the side of the map after it."""
    half = (side + 1) // 2
    return (2, half) if half >= _LEAST_SIDE else (1, side)


def _convolution(
    channels: int, width: int, stride: int, *, size: int = 3, groups: int = 1
) -> "list[torch.nn.Module]":
    import torch

    convolution = torch.nn.Conv2d(
        channels, width, size, stride=stride, padding=size // 2, groups=groups, bias=False
    )
    return [convolution, torch.nn.BatchNorm2d(width), torch.nn.ReLU()]
