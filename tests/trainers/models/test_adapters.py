"""Networks by name: every family of torchvision and timm gives logits, and a plan knows the names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from trainers.architectures import registered
from trainers.errors import SpecError
from trainers.measure import check_networks, num_macs, num_params
from trainers.network import build_body, build_empty
from trainers.spec import Choice

FAMILIES = (
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3", "maxvit_t"),
    *("mnasnet0_5", "regnet_x_400mf", "resnext50_32x4d", "squeezenet1_1", "swin_t", "vgg11_bn", "vit_b_16"),
)


def choice(package: str, architecture: str, image_size: int = 224) -> Choice:
    return Choice(name=package, args={"num_classes": 7, "image_size": image_size, "architecture": architecture})


def test_the_names_read_from_the_source_are_torchvisions_own() -> None:
    from torchvision import models

    assert list(registered("torchvision")) == models.list_models(module=models)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_every_family_of_torchvision_gives_logits_in_training_too(architecture: str) -> None:
    body = build_empty(choice("torchvision", architecture))
    logits = body.train()(torch.empty(2, 3, 224, 224, device="meta"))
    assert logits.shape == (2, 7)


def test_a_network_that_cannot_be_built_without_values_is_measured_all_the_same() -> None:
    model = choice("torchvision", "regnet_x_400mf", image_size=32)
    assert num_params(build_empty(model)) == num_params(build_body(model))
    assert num_macs(model) > 0


def test_a_vision_transformer_is_built_for_the_pictures_it_gets() -> None:
    body = build_empty(choice("torchvision", "vit_b_16", image_size=32))
    assert body(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, 7)


@pytest.mark.parametrize("architecture", ["alexnet", "inception_v3"])
def test_a_network_that_halves_its_pictures_away_is_named_with_their_size(architecture: str) -> None:
    deep = choice("torchvision", architecture, image_size=32)
    with pytest.raises(SpecError) as caught:
        check_networks([choice("torchvision", "squeezenet1_1", image_size=32), deep])
    text = str(caught.value)
    assert text.startswith(f"model torchvision:{architecture} cannot take pictures of 32 pixels (")
    assert text.endswith("; use a larger --image-size or another model") and "\n" not in text
    check_networks([choice("torchvision", architecture, image_size=96)])


class TestTimm:
    """Where timm is installed."""

    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("timm")

    def test_the_names_read_from_the_source_are_timms_own(self) -> None:
        import timm

        assert set(registered("timm")) == set(timm.list_models())

    @pytest.mark.parametrize("architecture", ["resnet10t", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
    def test_a_network_gives_logits_for_the_pictures_it_gets(self, architecture: str) -> None:
        body = build_empty(choice("timm", architecture, image_size=64))
        assert isinstance(body, nn.Module)
        assert body(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, 7)
