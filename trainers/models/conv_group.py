"""The report's group-convolution CNN: five 3x3 convolutions, 258,955 parameters with 11 classes (row 4c).

Krizhevsky et al. 2012 (AlexNet) split convolutions into groups; Xie et al. 2016 (ResNeXt), arXiv
1611.05431, made the number of groups a design choice. The report does not give channels or groups;
these are one solution that fits its count. The first layer is dense (three input channels).
"""

from torch import nn

HEAD = "classifier"


def build(
    *,
    num_classes: int,
    image_size: int,
    channels: tuple[int, ...] = (32, 64, 64, 192, 256),
    groups: int = 8,
    final_size: int = 8,
) -> nn.Module:
    """Images (N, 3, S, S) -> logits (N, num_classes); halves the map while it is larger than `final_size`."""
    network = nn.Sequential()
    size, inputs = image_size, 3
    for index, outputs in enumerate(channels):
        network.append(nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups if index else 1))
        network.append(nn.BatchNorm2d(outputs))
        network.append(nn.ReLU(inplace=True))
        if index < len(channels) - 1 and size > final_size:
            network.append(nn.MaxPool2d(2))
            size //= 2
        inputs = outputs
    network.append(nn.AdaptiveAvgPool2d(final_size))
    network.append(nn.Flatten())
    network.add_module(HEAD, nn.Linear(inputs * final_size**2, num_classes))
    return network
