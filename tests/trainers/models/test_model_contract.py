"""What every model file promises; a new file is held to it without an edit here."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainers import plugins
from trainers.architectures import EXAMPLES
from trainers.measure import num_macs, num_params
from trainers.network import Network, build_body, build_network, heads
from trainers.plugins import Kind
from trainers.spec import Choice

NUM_CLASSES = 7


def _parameter(name: str) -> Any:
    """A model's name; skipped with its reason where a package that the file requires is not installed."""
    package = plugins.constant(Kind.MODEL, name, "REQUIRES", None)
    is_missing = package is not None and importlib.util.find_spec(package) is None
    return pytest.param(name, marks=pytest.mark.skipif(is_missing, reason=f"needs the package {package}"))


MODELS = [_parameter(name) for name in plugins.names(Kind.MODEL)]


def choice(name: str, num_classes: int = NUM_CLASSES, image_size: int = 32, **args: Any) -> Choice:
    main = {"architecture": EXAMPLES[name]} if name in EXAMPLES else {}
    return Choice(name=name, args={"num_classes": num_classes, "image_size": image_size, **main, **args})


def network(make_spec: Any, name: str, seed: int = 0) -> Network:
    return build_network(make_spec(model=choice(name), seed=seed))


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    return module.state_dict()


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("name", MODELS)
def test_two_pictures_give_two_rows_of_finite_logits(name: str, size: int) -> None:
    pictures = torch.rand(2, 3, size, size)
    body = build_body(choice(name, image_size=size))
    for logits in (body.train()(pictures), body.eval()(pictures)):
        assert logits.shape == (2, NUM_CLASSES)
        assert logits.isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_no_pictures_give_no_rows(name: str) -> None:
    assert build_body(choice(name)).eval()(torch.empty(0, 3, 32, 32)).shape == (0, NUM_CLASSES)


@pytest.mark.parametrize("name", MODELS)
def test_its_head_is_the_classifier_and_nothing_else_knows_the_classes(name: str) -> None:
    found = heads(choice(name))
    few, many = (weights_of(build_body(choice(name, num_classes=number))) for number in (5, 9))
    assert [few[f"{head}.weight"].shape[0] for head in found] == [5]
    differing = {key for key in few if few[key].shape != many[key].shape}
    assert differing == {key for key in few if key.startswith(f"{found[0]}.")}


@pytest.mark.parametrize("name", MODELS)
def test_it_says_what_it_is(name: str) -> None:
    assert len(plugins.docstring(Kind.MODEL, name)) > 40


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_decides_every_weight(name: str, make_spec: Any) -> None:
    torch.manual_seed(1)
    first = weights_of(network(make_spec, name))
    torch.manual_seed(2)
    again, other = weights_of(network(make_spec, name)), weights_of(network(make_spec, name, seed=1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", MODELS)
def test_building_leaves_the_global_generator_alone(name: str, make_spec: Any) -> None:
    before = torch.get_rng_state()
    network(make_spec, name)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", MODELS)
def test_in_evaluation_a_picture_does_not_see_its_neighbours(name: str) -> None:
    body, pictures = build_body(choice(name)).eval(), torch.rand(3, 3, 32, 32)
    assert torch.allclose(body(pictures)[1:2], body(pictures[1:2]), atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    body = build_body(choice(name))
    body(torch.rand(4, 3, 32, 32)).square().sum().backward()
    assert [key for key, parameter in body.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", MODELS)
def test_its_size_can_be_counted_twice_alike(name: str) -> None:
    model = choice(name)
    assert num_params(build_body(model)) == num_params(build_body(model)) > 0
    assert num_macs(model) == num_macs(model) > 0


@pytest.mark.parametrize("name", MODELS)
def test_normalisation_is_no_parameter_and_is_not_saved(name: str, make_spec: Any) -> None:
    built = build_network(replace(make_spec(model=choice(name))))
    assert num_params(built) == num_params(built.body)
    assert all(key.startswith("body.") for key in built.state_dict())
