"""The report's group-convolution CNN: five 3x3 convolutions, 258,955 parameters with 11 classes (row 4c).

Krizhevsky et al. 2012 (AlexNet) split convolutions into groups; Xie et al. 2016 (ResNeXt), arXiv
1611.05431, made the number of groups a design choice. The report does not give channels or groups;
these are one solution that fits its count. The first layer is dense (three input channels).
`width` multiplies `channels`, rounded to multiples of 8.
"""

from itertools import pairwise

from torch import nn

from trainers.convolutions import chain, scaled

HEAD = "classifier"
ADDED_ARGUMENTS = {"width": 1.0}


def build(
    *,
    num_classes: int,
    image_size: int,
    channels: tuple[int, ...] = (32, 64, 64, 192, 256),
    groups: int = 8,
    final_size: int = 8,
    width: float = 1.0,
) -> nn.Module:
    """Images (N, 3, S, S) -> logits (N, num_classes); halves the map while it is larger than `final_size`."""
    blocks = [
        [nn.Conv2d(i, o, 3, padding=1, groups=groups if index else 1)]
        for index, (i, o) in enumerate(pairwise((3, *scaled(channels, width))))
    ]
    return chain(blocks, num_classes=num_classes, image_size=image_size, final_size=final_size)
