"""Any classification network of torchvision, by its name there: `torchvision:resnet50`.

https://docs.pytorch.org/vision/stable/models.html has the names and papers. Weights are always new. Auxiliary
classifiers (GoogLeNet, Inception v3) are left out. Some networks cannot take pictures of 32 pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainers.architectures import check_architecture

if TYPE_CHECKING:
    from torch import nn

MAIN_ARGUMENT = "architecture"


def check(*, num_classes: int, image_size: int, architecture: str) -> None:
    """ValueError, without importing torch, for no name and for one that torchvision does not have."""
    check_architecture("torchvision", architecture)


def build(*, num_classes: int, image_size: int, architecture: str = "") -> nn.Module:
    """Images (N, 3, S, S) -> logits (N, num_classes)."""
    from torchvision import models

    network: nn.Module = models.get_model(
        architecture, weights=None, num_classes=num_classes, **_extra(architecture, image_size)
    )
    return network


def _extra(architecture: str, image_size: int) -> dict[str, Any]:
    """What a few families must be told besides."""
    if architecture.startswith("vit_"):
        return {"image_size": image_size}
    if architecture.startswith("maxvit"):
        return {"input_size": (image_size, image_size)}
    if architecture in ("googlenet", "inception_v3"):
        return {"aux_logits": False, "init_weights": True}
    return {}
