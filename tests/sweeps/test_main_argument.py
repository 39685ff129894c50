"""`NAME:VALUE` wherever a model or an objective is named: in a sweep, and on the command line."""

from __future__ import annotations

from typing import Any

import pytest

from trainers.errors import SpecError
from trainers.spec import Choice, Role

SHAPE = {"num_classes": 11, "image_size": 32}


def model(context: Any, name: str) -> Choice:
    made: Choice = context.job("one", role=Role.STUDENT, model=Choice(name=name), seed=0).spec.model
    return made


def test_a_sweep_may_name_a_network_of_torchvision(make_context: Any) -> None:
    expected = Choice(name="torchvision", args={**SHAPE, "architecture": "resnet50"})
    assert model(make_context(), "torchvision:resnet50") == expected


def test_a_user_may_put_one_in_the_place_of_another(make_context: Any) -> None:
    context = make_context("student:model.name=torchvision:mobilenet_v3_small")
    assert model(context, "student").args["architecture"] == "mobilenet_v3_small"
    assert model(context, "torchvision:resnet50").args["architecture"] == "mobilenet_v3_small"


def test_it_means_the_same_as_the_argument_by_its_name(make_context: Any) -> None:
    short = make_context("student:model.name=resnet_cifar:32")
    long = make_context("student:model.name=resnet_cifar", "student:model.depth=32")
    assert model(short, "student") == model(long, "student")


@pytest.mark.parametrize("package", ["torchvision", "timm"])
def test_a_package_without_a_network_is_refused_with_an_example(make_context: Any, package: str) -> None:
    if package == "timm":
        pytest.importorskip("timm")
    with pytest.raises(SpecError, match=f"model '{package}': which network of {package}\\? .* as {package}:mobilenet"):
        model(make_context(f"student:model.name={package}"), "student")


def test_the_network_of_a_package_may_be_set_beside_it(make_context: Any) -> None:
    short = make_context("student:model.name=torchvision:resnet50")
    long = make_context("student:model.name=torchvision", "student:model.architecture=resnet50")
    assert model(short, "student") == model(long, "student")
    assert model(make_context("model.architecture=resnet50"), "torchvision").args["architecture"] == "resnet50"


def test_a_width_narrows_the_network_that_is_chosen(make_context: Any) -> None:
    context = make_context("student:model.width=0.35", "student:model.name=mobilenet_v2")
    assert model(context, "student") == Choice(name="mobilenet_v2", args={**SHAPE, "width": 0.35, "stem_stride": 2})


def test_an_unknown_architecture_in_a_sweep_is_refused_while_planning(make_context: Any) -> None:
    with pytest.raises(SpecError, match="model 'torchvision': unknown architecture 'resnet5'; torchvision has "):
        model(make_context(), "torchvision:resnet5")
