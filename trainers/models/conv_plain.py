"""The report's plain CNN: four dense 3x3 convolutions, 264,075 parameters with 11 classes (row 4a).

Every convolution has a bias and is followed by batch norm and ReLU; pooling is our reading, the report has none.
"""

from torch import nn

HEAD = "classifier"


def build(
    *,
    num_classes: int,
    image_size: int,
    channels: tuple[int, ...] = (32, 64, 128, 128),
    final_size: int = 4,
) -> nn.Module:
    """Images (N, 3, S, S) -> logits (N, num_classes); halves the map while it is larger than `final_size`."""
    network = nn.Sequential()
    size, inputs = image_size, 3
    for index, outputs in enumerate(channels):
        network.append(nn.Conv2d(inputs, outputs, 3, padding=1))
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
