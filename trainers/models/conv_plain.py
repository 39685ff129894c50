"""The report's plain CNN: four dense 3x3 convolutions, 264,075 parameters with 11 classes (row 4a).

Every convolution has a bias and is followed by batch norm and ReLU; pooling is our reading, the report has none.
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
    channels: tuple[int, ...] = (32, 64, 128, 128),
    final_size: int = 4,
    width: float = 1.0,
) -> nn.Module:
    """Images (N, 3, S, S) -> logits (N, num_classes); halves the map while it is larger than `final_size`."""
    blocks = [[nn.Conv2d(i, o, 3, padding=1)] for i, o in pairwise((3, *scaled(channels, width)))]
    return chain(blocks, num_classes=num_classes, image_size=image_size, final_size=final_size)
