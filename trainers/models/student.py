"""The report's student, "design architecture": MobileNetV2 blocks, 152,075 parameters with 11 classes.

Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381.
The report gives the blocks' outputs and the last expansion; the rest is one solution that fits its count.
"""

from collections import OrderedDict

from torch import nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.ops.misc import Conv2dNormActivation

HEAD = "classifier"
STEM_CHANNELS = 24
CHANNELS = (16, 32, 32, 64, 64, 128)
EXPANSIONS = (1, 6, 6, 6, 6, 1)
LAST_CHANNELS = 320
ADDED_ARGUMENTS = {"width": 1.0}


def build(
    *,
    num_classes: int,
    image_size: int,
    stem_stride: int = 2,
    strides: tuple[int, ...] = (1, 2, 1, 2, 1, 2),
    width: float = 1.0,
) -> nn.Module:
    """Images (N, 3, S, S) -> logits (N, num_classes); strides, one per block, cost time and no parameters."""
    if len(strides) != len(CHANNELS):
        raise ValueError(f"strides has {len(strides)} values; allowed: {len(CHANNELS)}, one per block")
    stem, *channels, last = (max(8, round(width * c)) for c in (STEM_CHANNELS, *CHANNELS, LAST_CHANNELS))
    layers: list[nn.Module] = [
        Conv2dNormActivation(3, stem, stride=stem_stride, activation_layer=nn.ReLU6),
        *_blocks(stem, channels, strides),
        nn.Conv2d(channels[-1], last, 1),
        nn.BatchNorm2d(last),
        nn.ReLU6(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    return nn.Sequential(OrderedDict(features=nn.Sequential(*layers), classifier=nn.Linear(last, num_classes)))


def _blocks(stem: int, channels: list[int], strides: tuple[int, ...]) -> list[nn.Module]:
    inputs = (stem, *channels[:-1])
    return [InvertedResidual(*block) for block in zip(inputs, channels, strides, EXPANSIONS, strict=True)]
