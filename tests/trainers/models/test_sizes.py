"""Sizes: the report's parameter counts, and the paper arithmetic behind them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from trainers import plugins
from trainers.convolutions import scaled
from trainers.errors import SpecError
from trainers.measure import num_macs, num_params
from trainers.network import build_body
from trainers.plugins import Kind
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


# name, arguments, classes: parameters, and who says so
PUBLISHED = [
    ("course_student", {}, 11, 256_779),  # the course's notebook, homework 7
    ("resnet_cifar", {}, 10, 269_722),  # He et al. 2015, table 6: 0.27M
    ("resnet_cifar", {"projection": True}, 10, 272_474),  # osmr/imgclsmob, ResNet-20
    ("resnet_cifar", {"depth": 56}, 10, 853_018),  # He et al. 2015, table 6: 0.85M
    # torchvision's tables of weights, and of its shufflenet_v2_x1_5
    ("mobilenet_v2", {}, 1000, 3_504_872),
    ("mobilenet_v3", {"variant": "small"}, 1000, 2_542_856),
    ("mobilenet_v3", {"variant": "large"}, 1000, 5_483_032),
    ("shufflenet_v2", {"width": 0.5}, 1000, 1_366_792),
    ("shufflenet_v2", {"width": 1.0}, 1000, 2_278_604),
    ("shufflenet_v2", {"width": 1.5}, 1000, 3_503_624),
    ("shufflenet_v2", {"width": 2.0}, 1000, 7_393_996),
    ("torchvision", {"architecture": "resnet50"}, 1000, 25_557_032),
]


@pytest.mark.parametrize(("name", "args", "num_classes", "expected"), PUBLISHED)
def test_published_parameter_counts_are_exact(name: str, args: dict[str, Any], num_classes: int, expected: int) -> None:
    assert num_params(build_body(choice(name, num_classes=num_classes, **args))) == expected


def test_the_courses_student_counts_by_hand() -> None:
    channels = (16, 32, 64, 128, 256, 256, 256, 256)
    first = 3 * 9 * 16 + 16 + 2 * 16
    blocks = sum((9 * i + i) + 2 * i + (i * o + o) for i, o in pairwise(channels))
    assert first + blocks + 256 * 11 + 11 == 256_779


def test_the_courses_student_is_pruned_in_the_middle_and_cut_off_as_in_its_notebook() -> None:
    channels = (16, 32, 64, 121, 243, 243, 243, 256)  # 128 * 0.95 = 121.6
    body = build_body(choice("course_student", width=0.95))
    pointwise = [m.out_channels for m in body.modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
    assert tuple(pointwise) == channels


@pytest.mark.parametrize("size", [1, 2, 8, 100])
def test_the_courses_student_takes_small_pictures(size: int) -> None:
    body = build_body(choice("course_student", image_size=size)).eval()
    assert body(torch.rand(2, 3, size, size)).shape == (2, 11)
    assert sum(isinstance(module, nn.MaxPool2d) for module in body.modules()) == {1: 0, 2: 1, 8: 3, 100: 4}[size]


@pytest.mark.parametrize(
    ("channels", "width", "expected"),
    [
        ((24, 16, 320), 0.5, (16, 8, 160)),  # 12 -> 16 (nearest, half up), 8, 160
        ((32,), 0.35, (16,)),  # 11.2 -> 8 would take 29 % away
        ((64,), 0.35, (24,)),  # 22.4 -> 24
        ((16, 3), 0.1, (8, 8)),
        ((100, 3), 1.0, (100, 3)),
        ((32, 64), 1.5, (48, 96)),
    ],
)
def test_a_width_rounds_to_eights_and_takes_at_most_a_tenth_away(
    channels: tuple[int, ...], width: float, expected: tuple[int, ...]
) -> None:
    assert scaled(channels, width) == expected


@pytest.mark.parametrize("name", ["student", "conv_plain", "conv_depthwise", "conv_group", "course_student"])
def test_a_narrow_network_is_the_one_with_the_channels_written_out(name: str) -> None:
    channels = plugins.arguments(Kind.MODEL, name)["channels"]
    half = tuple(max(8, number // 2) for number in channels)
    if name == "course_student":
        half = tuple(number // 2 if 3 <= index < 7 else number for index, number in enumerate(channels))
    narrow, wide = num_params(build_body(choice(name, width=0.5))), num_params(build_body(choice(name)))
    written = num_params(build_body(choice(name, channels=half)))
    assert narrow == written if name != "student" else narrow < written < wide  # its stem and last layer shrink as well


@pytest.mark.parametrize("name", ["student", "conv_plain", "mobilenet_v2", "mobilenet_v3", "shufflenet_v2"])
def test_a_width_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match=f"model '{name}' cannot be built: width is 0.0; allowed: "):
        build_body(choice(name, width=0.0))


def test_a_depth_that_is_no_resnet_is_refused() -> None:
    with pytest.raises(SpecError, match="depth is 18; allowed: 6n"):
        build_body(choice("resnet_cifar", depth=18))


def test_the_parameter_free_shortcut_drops_pixels_and_pads_channels() -> None:
    shortcut = plugins.load(Kind.MODEL, "resnet_cifar").Shortcut(2, 2)
    maps = torch.arange(32.0).view(1, 2, 4, 4)
    out = shortcut(maps)
    assert out.shape == (1, 4, 2, 2)
    assert out[0, :, 0, 1].tolist() == [0.0, 2.0, 18.0, 0.0]


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("mobilenet_v2", {"stem_stride": 1}),
        ("mobilenet_v3", {"stem_stride": 1}),
        ("shufflenet_v2", {"stem_stride": 1, "max_pool": False}),
    ],
)
def test_a_stem_that_keeps_the_map_costs_time_and_no_parameters(name: str, args: dict[str, Any]) -> None:
    assert num_params(build_body(choice(name, **args))) == num_params(build_body(choice(name)))
    assert num_macs(choice(name, **args)) > 2 * num_macs(choice(name))


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
