"""The report's student, "design architecture": MobileNetV2 blocks, 152,075 parameters with 11 classes.

Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381.
The report gives the blocks' outputs and the last expansion; the rest is one solution that fits its count.
`channels` are the blocks' outputs; `width` multiplies them and the stem's and last convolution's, rounded
to multiples of 8 (MobileNetV2 itself leaves the last convolution alone below a width of 1).
"""

from collections import OrderedDict

from torch import nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.ops.misc import Conv2dNormActivation

from trainers.convolutions import scaled

HEAD = "classifier"
ADDED_ARGUMENTS = {"channels": (16, 32, 32, 64, 64, 128), "width": 1.0}
STEM_CHANNELS = 24
EXPANSIONS = (1, 6, 6, 6, 6, 1)
LAST_CHANNELS = 320


def build(
    *,
    num_classes: int,
    image_size: int,
    stem_stride: int = 2,
    strides: tuple[int, ...] = (1, 2, 1, 2, 1, 2),
    channels: tuple[int, ...] = (16, 32, 32, 64, 64, 128),
    width: float = 1.0,
) -> nn.Module:
    """Images (N, 3, S, S) -> logits (N, num_classes); strides, one per block, cost time and no parameters."""
    for name, values in (("strides", strides), ("channels", channels)):
        if len(values) != len(EXPANSIONS):
            raise ValueError(f"{name} has {len(values)} values; allowed: {len(EXPANSIONS)}, one per block")
    stem, *outputs, last = scaled((STEM_CHANNELS, *channels, LAST_CHANNELS), width)
    layers: list[nn.Module] = [
        Conv2dNormActivation(3, stem, stride=stem_stride, activation_layer=nn.ReLU6),
        *(InvertedResidual(*block) for block in zip((stem, *outputs), outputs, strides, EXPANSIONS, strict=False)),
        nn.Conv2d(outputs[-1], last, 1),
        nn.BatchNorm2d(last),
        nn.ReLU6(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    return nn.Sequential(OrderedDict(features=nn.Sequential(*layers), classifier=nn.Linear(last, num_classes)))
