"""Input normalisation, and starting from another network's body."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from trainers.errors import SpecError
from trainers.network import Network, build_body, build_network, heads, load_body
from trainers.spec import Choice, Normalization

MODEL = Choice(name="conv_plain", args={"num_classes": 2, "image_size": 8, "channels": (4, 6), "final_size": 2})


def test_normalisation_is_the_published_one() -> None:
    network = Network(nn.Identity(), Normalization.IMAGENET)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    seen = network(torch.full((1, 3, 2, 2), 0.5))[0, :, 0, 0].tolist()
    assert seen == pytest.approx([(0.5 - m) / s for m, s in zip(mean, std, strict=True)], abs=1e-6)
    picture = torch.rand(1, 3, 4, 4)
    assert torch.equal(Network(nn.Identity(), Normalization.NONE)(picture), picture)


def test_a_body_is_taken_over_and_the_head_stays_new(make_spec: Any) -> None:
    source = build_network(make_spec(seed=1))
    wider = replace(MODEL, args={**MODEL.args, "num_classes": 5})
    network = build_network(make_spec(model=wider))
    head = {key: value.clone() for key, value in network.body.state_dict().items() if key.startswith("classifier.")}
    load_body(network, wider, source.body.state_dict())
    state = network.body.state_dict()
    assert set(head) == {"classifier.weight", "classifier.bias"}
    for key, value in state.items():
        assert torch.equal(value, head[key] if key in head else source.body.state_dict()[key])


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (lambda state: state.update({"0.weight": torch.zeros(1)}), "0.weight"),
        (lambda state: state.pop("4.bias"), "4.bias"),
        (lambda state: state.update({"extra": torch.zeros(1)}), "extra"),
    ],
)
def test_a_body_that_does_not_fit_names_its_first_tensor_and_changes_nothing(
    make_spec: Any, change: Any, first: str
) -> None:
    network, state = build_network(make_spec()), build_network(make_spec(seed=1)).body.state_dict()
    before = {key: value.clone() for key, value in network.body.state_dict().items()}
    change(state)
    with pytest.raises(SpecError, match=f"weights do not fit model 'conv_plain': 1 tensors differ, first '{first}'"):
        load_body(network, MODEL, state)
    assert all(torch.equal(value, before[key]) for key, value in network.body.state_dict().items())


@pytest.mark.parametrize(
    ("architecture", "head"),
    [("resnet18", "fc"), ("mobilenet_v3_small", "classifier.3"), ("squeezenet1_0", "classifier.1"), ("swin_t", "head")],
)
def test_a_head_without_a_name_is_what_another_number_of_classes_changes(architecture: str, head: str) -> None:
    model = Choice(name="torchvision", args={"num_classes": 5, "image_size": 64, "architecture": architecture})
    assert heads(model) == (head,)


def test_a_network_by_name_starts_from_another_ones_body(make_spec: Any) -> None:
    args = {"image_size": 32, "architecture": "mobilenet_v3_small"}
    five, nine = (Choice(name="torchvision", args={"num_classes": number, **args}) for number in (5, 9))
    source, network = build_network(make_spec(model=five, seed=1)), build_network(make_spec(model=nine))
    fresh = network.body.state_dict()["classifier.3.weight"].clone()
    load_body(network, nine, source.body.state_dict())
    state = network.body.state_dict()
    assert torch.equal(state["classifier.3.weight"], fresh)
    assert torch.equal(state["features.0.0.weight"], source.body.state_dict()["features.0.0.weight"])


def test_arguments_that_a_model_refuses_are_one_clear_line() -> None:
    with pytest.raises(SpecError, match="model 'conv_plain' cannot be built") as caught:
        build_body(replace(MODEL, args={**MODEL.args, "channels": (4, -6)}))
    assert "\n" not in str(caught.value)
