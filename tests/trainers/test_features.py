"""Stages of networks as derived by hand from their strides, and the maps that come with the logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainers.errors import SpecError
from trainers.features import FeatureNetwork, stage_names
from trainers.network import build_network
from trainers.spec import Choice


def choice(name: str, image_size: int, **args: Any) -> Choice:
    return Choice(name=name, args={"num_classes": 7, "image_size": image_size, **args})


# ResNet18 halves in its stem's convolution, in its pooling, and at the start of layers 2, 3 and 4. The student halves
# in its stem and in blocks 2, 4 and 6; blocks 2 and 4 first widen at the old resolution (`conv.0`), block 6 does not.
RESNET = ("relu", "layer1", "layer2", "layer3", "layer4")
STUDENT = ("features.2.conv.0", "features.4.conv.0", "features.5", "features.9")
STAGES = [
    (choice("resnet18", 32), RESNET[:4], [(64, 16), (64, 8), (128, 4), (256, 2)]),  # layer4 is down to one pixel
    (choice("resnet18", 64), RESNET, [(64, 32), (64, 16), (128, 8), (256, 4), (512, 2)]),
    (choice("student", 32), STUDENT, [(96, 16), (192, 8), (64, 4), (320, 2)]),
    (choice("student", 64), STUDENT, [(96, 32), (192, 16), (64, 8), (320, 4)]),
    (choice("conv_plain", 8, channels=(4, 6), final_size=2), ("2", "6", "7"), [(4, 8), (6, 4), (6, 2)]),
]


@pytest.mark.parametrize(("model", "names", "shapes"), STAGES)
def test_stages_end_where_the_resolution_changes(model: Choice, names: Any, shapes: Any, make_spec: Any) -> None:
    assert stage_names(model) == names
    network = FeatureNetwork(build_network(make_spec(model=model)).eval(), model)
    size = model.args["image_size"]
    logits_NK, maps = network(torch.rand(2, 3, size, size))
    assert logits_NK.shape == (2, 7)
    assert [tuple(stage.shape) for stage in maps] == [(2, channels, pixels, pixels) for channels, pixels in shapes]


@pytest.mark.parametrize("name", ["resnet18", "student"])
def test_the_deepest_maps_are_those_that_the_classifier_averages(name: str, make_spec: Any) -> None:
    model = choice(name, 64)
    network = build_network(make_spec(model=model)).eval()
    images = torch.rand(2, 3, 64, 64)
    logits_NK, maps = FeatureNetwork(network, model)(images)
    head: nn.Module = network.body.get_submodule("fc" if name == "resnet18" else "classifier")
    assert torch.allclose(head(maps[-1].mean(dim=(2, 3))), logits_NK, atol=1e-5)
    assert torch.equal(logits_NK, network(images))


def test_gradients_of_maps_reach_the_layers_before_them_alone(make_spec: Any) -> None:
    model = choice("resnet18", 32)
    network = build_network(make_spec(model=model))
    _, maps = FeatureNetwork(network, model)(torch.rand(2, 3, 32, 32))
    maps[1].square().sum().backward()
    touched = {name.split(".")[0] for name, weight in network.body.named_parameters() if weight.grad is not None}
    assert touched == {"conv1", "bn1", "layer1"}


def test_listening_adds_nothing_to_the_state_of_the_network(make_spec: Any) -> None:
    network = build_network(make_spec())
    before = list(network.state_dict())
    FeatureNetwork(network, make_spec().model)
    assert list(network.state_dict()) == before


class Flat(nn.Module):
    """A network without maps."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(192, 2)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        logits_NK: Tensor = self.layer(images_NCHW.flatten(1))
        return logits_NK


def test_a_network_without_maps_is_refused(make_spec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.features.build_empty", lambda model: Flat().to("meta"))
    assert stage_names(make_spec().model) == ()
    with pytest.raises(SpecError, match="model 'conv_plain' has no feature maps; use an objective on logits"):
        FeatureNetwork(build_network(make_spec()), make_spec().model)


class Twice(nn.Module):
    """Runs one convolution before and after it halves the picture; at each size the last run counts."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.pool = nn.Conv2d(3, 3, 1), nn.MaxPool2d(2)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        pooled: Tensor = self.shared(self.pool(self.shared(images_NCHW)))
        return pooled.mean(dim=(2, 3))


def test_a_module_that_runs_twice_counts_where_it_ran_last(make_spec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.features.build_empty", lambda model: Twice().to("meta"))
    assert stage_names(make_spec().model) == ("shared",)
