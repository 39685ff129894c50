"""ResNet18, torchvision's: the teacher of the report (11,182,155 parameters with 11 classes).

He et al. 2015, "Deep Residual Learning for Image Recognition", arXiv 1512.03385, table 1.
`stem_stride=1, max_pool=False` is the usual change for 32-pixel images; the parameters stay the same.
"""

from torch import nn
from torchvision.models import resnet18

HEAD = "fc"


def build(*, num_classes: int, image_size: int, stem_stride: int = 2, max_pool: bool = True) -> nn.Module:
    """Images (N, 3, S, S) -> logits (N, num_classes), for any image size."""
    network: nn.Module = resnet18(num_classes=num_classes)
    network.get_submodule("conv1").stride = (stem_stride, stem_stride)  # type: ignore[assignment]
    if not max_pool:
        network.maxpool = nn.Identity()
    return network
