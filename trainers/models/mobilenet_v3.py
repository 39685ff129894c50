"""MobileNetV3, torchvision's: 2,542,856 parameters (small) or 5,483,032 (large) at width 1 with 1,000 classes.

Howard et al. 2019, "Searching for MobileNetV3", arXiv 1905.02244, tables 1 and 2. `width` is the paper's
multiplier (torchvision rounds to multiples of 8).
`stem_stride=1` keeps more of a 32-pixel picture, which the network otherwise halves five times.
"""

from torch import nn
from torchvision.models import mobilenet_v3_large, mobilenet_v3_small

HEAD = "classifier.3"
MAIN_ARGUMENT = "variant"
VARIANTS = {"small": mobilenet_v3_small, "large": mobilenet_v3_large}


def build(
    *, num_classes: int, image_size: int, variant: str = "small", width: float = 1.0, stem_stride: int = 2
) -> nn.Module:
    """Images (N, 3, S, S) -> logits (N, num_classes), for any image size."""
    if variant not in VARIANTS:
        raise ValueError(f"variant is {variant!r}; allowed: {', '.join(VARIANTS)}")
    if width <= 0:
        raise ValueError(f"width is {width}; allowed: above 0")
    network: nn.Module = VARIANTS[variant](num_classes=num_classes, width_mult=width)
    network.get_submodule("features.0.0").stride = (stem_stride, stem_stride)  # type: ignore[assignment]
    return network
