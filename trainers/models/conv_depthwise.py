"""The report's depthwise & pointwise CNN: 4 + 4 convolutions, 270,639 parameters with 11 classes (row 4b).

Howard et al. 2017, "MobileNets", arXiv 1704.04861, section 3.1. Every convolution has a bias and is
followed by batch norm and ReLU; pooling is our reading, the report has none.
"""

from torch import nn

HEAD = "classifier"


def build(
    *,
    num_classes: int,
    image_size: int,
    channels: tuple[int, ...] = (64, 128, 256, 512),
    final_size: int = 4,
) -> nn.Module:
    """Images (N, 3, S, S) -> logits (N, num_classes); halves the map while it is larger than `final_size`."""
    network = nn.Sequential()
    size, inputs = image_size, 3
    for index, outputs in enumerate(channels):
        depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs)
        pointwise = nn.Conv2d(inputs, outputs, 1)
        for convolution in (depthwise, pointwise):
            network.append(convolution)
            network.append(nn.BatchNorm2d(convolution.out_channels))
            network.append(nn.ReLU(inplace=True))
        if index < len(channels) - 1 and size > final_size:
            network.append(nn.MaxPool2d(2))
            size //= 2
        inputs = outputs
    network.append(nn.AdaptiveAvgPool2d(final_size))
    network.append(nn.Flatten())
    network.add_module(HEAD, nn.Linear(inputs * final_size**2, num_classes))
    return network
