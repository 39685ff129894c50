"""The course's own student (NTU Machine Learning 2020, homework 7): 256,779 parameters with 11 classes.

`StudentNet` of the course's public notebook: a 3x3 convolution to 16 channels, then depthwise 3x3 and pointwise
1x1 convolutions (Howard et al. 2017, "MobileNets", arXiv 1704.04861) up to 256, all with bias, a pooling after each
of the first four. `width` multiplies the channels of blocks 4 to 7, as the notebook's pruning does, and like there
they are cut off, not rounded. Deviation: a map of a single pixel is not pooled, so that pictures may be small.
"""

from collections import OrderedDict
from itertools import pairwise

from torch import nn

HEAD = "classifier"
NUM_POOLED = 4
SCALED = range(3, 7)


def build(
    *,
    num_classes: int,
    image_size: int,
    channels: tuple[int, ...] = (16, 32, 64, 128, 256, 256, 256, 256),
    width: float = 1.0,
) -> nn.Module:
    """Images (N, 3, S, S) -> logits (N, num_classes)."""
    sizes = [int(number * width) if index in SCALED else number for index, number in enumerate(channels)]
    if min(sizes) < 1:
        raise ValueError(f"channels {channels} times width {width} leave {min(sizes)}; allowed: 1 or more")
    blocks: list[nn.Module] = [_block(nn.Conv2d(3, sizes[0], 3, padding=1))]
    for inputs, outputs in pairwise(sizes):
        depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs)
        blocks.append(nn.Sequential(*_block(depthwise), nn.Conv2d(inputs, outputs, 1)))
    features = nn.Sequential()
    for index, block in enumerate(blocks):
        features.append(block)
        if index < NUM_POOLED and image_size >> index > 1:
            features.append(nn.MaxPool2d(2))
    features.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten()])
    return nn.Sequential(OrderedDict(features=features, classifier=nn.Linear(sizes[-1], num_classes)))


def _block(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU6(inplace=True))
