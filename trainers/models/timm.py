"""Any network of PyTorch Image Models (Wightman 2019), by its name there: `timm:resnet10t`; pip install timm.

https://github.com/huggingface/pytorch-image-models has the names and papers. Weights are always new, so a name
carries no tag of pretrained weights. Some networks cannot take pictures of 32 pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainers.architectures import check_architecture

if TYPE_CHECKING:
    from torch import nn

MAIN_ARGUMENT = "architecture"
REQUIRES = "timm"


def check(*, num_classes: int, image_size: int, architecture: str) -> None:
    """ValueError, without importing torch, for no name and for one that timm does not have."""
    check_architecture("timm", architecture)


def build(*, num_classes: int, image_size: int, architecture: str = "") -> nn.Module:
    """Images (N, 3, S, S) -> logits (N, num_classes)."""
    import timm

    is_fixed = timm.models.get_pretrained_cfg_value(architecture, "fixed_input_size")
    extra: dict[str, Any] = {"img_size": image_size} if is_fixed else {}
    network: nn.Module = timm.create_model(architecture, pretrained=False, num_classes=num_classes, **extra)
    return network
