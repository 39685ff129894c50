"""MobileNetV2, torchvision's: 3,504,872 parameters at width 1 with 1,000 classes.

Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381, table 2. `width` is
the paper's multiplier (torchvision rounds to multiples of 8; the last convolution stays at 1,280 below 1).
`stem_stride=1` keeps more of a 32-pixel picture, which the network otherwise halves five times.
"""

from torch import nn
from torchvision.models import mobilenet_v2

HEAD = "classifier.1"


def build(*, num_classes: int, image_size: int, width: float = 1.0, stem_stride: int = 2) -> nn.Module:
    """Images (N, 3, S, S) -> logits (N, num_classes), for any image size."""
    if width <= 0:
        raise ValueError(f"width is {width}; allowed: above 0")
    network: nn.Module = mobilenet_v2(num_classes=num_classes, width_mult=width)
    network.get_submodule("features.0.0").stride = (stem_stride, stem_stride)  # type: ignore[assignment]
    return network
