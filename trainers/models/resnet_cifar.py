"""ResNet-20 and its deeper relatives for small pictures: 269,722 parameters at depth 20 with 10 classes.

He et al. 2015, "Deep Residual Learning for Image Recognition", arXiv 1512.03385, section 4.2: 6n + 2 layers, a 3x3
stem, three stages of n blocks with 16, 32 and 64 channels, halved maps between them, global average pooling.
The paper's shortcuts (option A) drop every other pixel and fill new channels with zeros, and have no parameters:
269,722 in all, its "0.27M". `projection=true` (option B, a 1x1 convolution and batch norm where the
shape changes) gives the 272,474 that some collections of models report as ResNet-20.
`width` multiplies `channels`, rounded to multiples of 8.
"""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

from trainers.convolutions import scaled

HEAD = "fc"
MAIN_ARGUMENT = "depth"


class Shortcut(nn.Module):
    """Option A: maps (N, C, S, S) -> (N, C + added, S / stride, S / stride), new channels zero."""

    def __init__(self, added: int, stride: int) -> None:
        super().__init__()
        self.added, self.stride = added, stride

    def forward(self, maps_NCSS: Tensor) -> Tensor:
        """Every stride-th pixel, with half of the new channels on either side."""
        kept = maps_NCSS[:, :, :: self.stride, :: self.stride]
        return functional.pad(kept, (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))


class Block(nn.Module):
    """Two 3x3 convolutions with batch norm beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, outputs, 3, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = _convolution(outputs, outputs, 3, 1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = shortcut

    def forward(self, maps_NCSS: Tensor) -> Tensor:
        """ReLU(residual + shortcut)."""
        hidden = functional.relu(self.bn1(self.conv1(maps_NCSS)))
        return functional.relu(self.bn2(self.conv2(hidden)) + self.shortcut(maps_NCSS))


def build(
    *,
    num_classes: int,
    image_size: int,
    depth: int = 20,
    channels: tuple[int, ...] = (16, 32, 64),
    width: float = 1.0,
    projection: bool = False,
) -> nn.Module:
    """Images (N, 3, S, S) -> logits (N, num_classes), for any image size; ValueError unless depth is 6n + 2."""
    if depth < 8 or depth % 6 != 2:
        raise ValueError(f"depth is {depth}; allowed: 6n + 2, as 8, 14, 20, 32, 44, 56, 110")
    stages = scaled(channels, width)
    layers = OrderedDict(conv1=_convolution(3, stages[0], 3, 1), bn1=nn.BatchNorm2d(stages[0]), relu=nn.ReLU())
    inputs = stages[0]
    for index, outputs in enumerate(stages):
        blocks = nn.Sequential()
        for number in range((depth - 2) // 6):
            stride = 2 if index > 0 and number == 0 else 1
            blocks.append(Block(inputs, outputs, stride, _shortcut(inputs, outputs, stride, projection)))
            inputs = outputs
        layers[f"stage{index + 1}"] = blocks
    layers.update(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(inputs, num_classes))
    network = nn.Sequential(layers)
    for module in network.modules():  # as in section 4.2: He et al. 2015, arXiv 1502.01852
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def _shortcut(inputs: int, outputs: int, stride: int, projection: bool) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    if projection:
        return nn.Sequential(_convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
    return Shortcut(outputs - inputs, stride)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
