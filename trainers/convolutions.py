"""What model files share: channels scaled by a width, and the report's chain of convolutions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

DIVISOR = 8


def scaled(channels: Iterable[int], width: float) -> tuple[int, ...]:
    """Channels times `width`, rounded to multiples of 8, at least 8; a width of 1 changes nothing.

    The rounding of MobileNetV2's authors (`_make_divisible` in their code): to the nearest multiple, but the one
    above where that would take more than 10 % away. ValueError for a width that is not above 0.
    """
    if width <= 0:
        raise ValueError(f"width is {width}; allowed: above 0")
    return tuple(channels) if width == 1 else tuple(_divisible(number * width) for number in channels)


def _divisible(exact: float) -> int:
    rounded = max(DIVISOR, int(exact + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded if rounded >= 0.9 * exact else rounded + DIVISOR


def chain(
    blocks: Sequence[Sequence[nn.Conv2d]], *, num_classes: int, image_size: int, final_size: int
) -> nn.Sequential:
    """Images (N, 3, S, S) -> logits (N, num_classes), with a linear layer called `classifier`.

    Batch norm and ReLU follow every convolution; every block but the last ends in a pooling that halves
    the map while it is larger than `final_size`.
    """
    network, size = nn.Sequential(), image_size
    for index, block in enumerate(blocks):
        for convolution in block:
            network.append(convolution)
            network.append(nn.BatchNorm2d(convolution.out_channels))
            network.append(nn.ReLU(inplace=True))
        if index < len(blocks) - 1 and size > final_size:
            network.append(nn.MaxPool2d(2))
            size //= 2
    network.append(nn.AdaptiveAvgPool2d(final_size))
    network.append(nn.Flatten())
    network.add_module("classifier", nn.Linear(blocks[-1][-1].out_channels * final_size**2, num_classes))
    return network
