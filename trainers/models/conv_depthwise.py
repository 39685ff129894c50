"""The report's depthwise & pointwise CNN: 4 + 4 convolutions, 270,639 parameters with 11 classes (row 4b).

Howard et al. 2017, "MobileNets", arXiv 1704.04861, section 3.1. Every convolution has a bias and is
followed by batch norm and ReLU; pooling is our reading, the report has none.
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
    channels: tuple[int, ...] = (64, 128, 256, 512),
    final_size: int = 4,
    width: float = 1.0,
) -> nn.Module:
    """Images (N, 3, S, S) -> logits (N, num_classes); halves the map while it is larger than `final_size`."""
    blocks = [
        [nn.Conv2d(i, i, 3, padding=1, groups=i), nn.Conv2d(i, o, 1)]
        for i, o in pairwise((3, *scaled(channels, width)))
    ]
    return chain(blocks, num_classes=num_classes, image_size=image_size, final_size=final_size)
