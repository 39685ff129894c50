"""Sizes: the report's parameter counts, and the paper arithmetic behind them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from trainers.errors import SpecError
from trainers.measure import num_macs, num_params
from trainers.network import build_body
from trainers.spec import Choice

# course report, "Network Compression", 11 classes
REPORTED = {
    "resnet18": 11_182_155,
    "student": 152_075,
    "conv_plain": 264_075,
    "conv_depthwise": 270_639,
    "conv_group": 258_955,
}


def choice(name: str, **args: Any) -> Choice:
    return Choice(name=name, args={"num_classes": 11, "image_size": 32, **args})


@pytest.mark.parametrize(("name", "expected"), REPORTED.items())
@pytest.mark.parametrize("size", [32, 128])
def test_the_reports_parameter_counts_are_exact_at_any_image_size(name: str, expected: int, size: int) -> None:
    assert num_params(build_body(choice(name, image_size=size))) == expected


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("resnet18", {"stem_stride": 1, "max_pool": False}),
        ("student", {"stem_stride": 1}),
        ("student", {"strides": (1, 1, 1, 1, 1, 1)}),
    ],
)
def test_strides_cost_time_and_no_parameters(name: str, args: dict[str, Any]) -> None:
    assert num_params(build_body(choice(name, **args))) == REPORTED[name]
    assert num_macs(choice(name, **args)) > num_macs(choice(name))


def test_the_plain_networks_count_by_hand() -> None:
    channels = (3, 32, 64, 128, 128)
    convolutions = sum(9 * i * o + o + 2 * o for i, o in pairwise(channels))
    assert REPORTED["conv_plain"] == convolutions + 128 * 4 * 4 * 11 + 11


@pytest.mark.parametrize("name", REPORTED)
def test_another_number_of_classes_changes_the_classifier_alone(name: str) -> None:
    width = {"resnet18": 512, "student": 320, "conv_plain": 2048, "conv_depthwise": 8192, "conv_group": 16384}[name]
    assert num_params(build_body(choice(name, num_classes=12))) == REPORTED[name] + width + 1


def test_resnet18_costs_what_is_published() -> None:
    model = Choice(name="resnet18", args={"num_classes": 1000, "image_size": 224})
    assert num_macs(model) == 1_814_073_344  # torchvision's page of ResNet18: 1.81 GFLOPS, multiply-adds


def test_the_multiply_accumulates_of_a_tiny_network_by_hand() -> None:
    model = choice("conv_plain", image_size=8, channels=(4, 6), final_size=2)
    first = 8 * 8 * 4 * (9 * 3)
    second = 4 * 4 * 6 * (9 * 4)
    assert num_macs(model) == first + second + 6 * 2 * 2 * 11


def test_strides_that_do_not_fit_the_blocks_are_refused() -> None:
    with pytest.raises(SpecError, match=r"model 'student' cannot be built: strides has 2 values; allowed: 6"):
        build_body(choice("student", strides=(1, 2)))


def test_groups_that_do_not_divide_the_channels_are_refused_in_one_line() -> None:
    with pytest.raises(SpecError, match="model 'conv_group' cannot be built") as caught:
        build_body(choice("conv_group", groups=7))
    assert "\n" not in str(caught.value)
