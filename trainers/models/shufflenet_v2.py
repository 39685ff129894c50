"""ShuffleNetV2, torchvision's: 1,366,792 parameters at width 0.5 with 1,000 classes (2,278,604 at 1).

Ma et al. 2018, "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", arXiv 1807.11164,
table 5, which gives channels for four widths and no rule between them.
`stem_stride=1, max_pool=false` keeps more of a 32-pixel picture, which the network otherwise halves five times.
"""

from torch import nn
from torchvision import models

HEAD = "fc"
MAIN_ARGUMENT = "width"
WIDTHS = {
    0.5: models.shufflenet_v2_x0_5,
    1.0: models.shufflenet_v2_x1_0,
    1.5: models.shufflenet_v2_x1_5,
    2.0: models.shufflenet_v2_x2_0,
}


def build(
    *, num_classes: int, image_size: int, width: float = 1.0, stem_stride: int = 2, max_pool: bool = True
) -> nn.Module:
    """Images (N, 3, S, S) -> logits (N, num_classes), for any image size."""
    if width not in WIDTHS:
        raise ValueError(f"width is {width}; allowed: {', '.join(map(str, WIDTHS))}")
    network: nn.Module = WIDTHS[width](num_classes=num_classes)
    network.get_submodule("conv1.0").stride = (stem_stride, stem_stride)  # type: ignore[assignment]
    if not max_pool:
        network.maxpool = nn.Identity()
    return network
