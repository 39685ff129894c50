"""What every loss file promises; a new file is held to it without an edit here."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from trainers import plugins
from trainers.plugins import Kind

OBJECTIVES = plugins.names(Kind.OBJECTIVE)
TAUGHT = [name for name in OBJECTIVES if plugins.constant(Kind.OBJECTIVE, name, "NEEDS_TEACHER", False)]
FLAGS = ("NEEDS_FEATURES", "NEEDS_HARD_LABELS", "NEEDS_MIXUP")
LABELS = torch.tensor([0, 1, 2, 3, 4, 0])


def says(name: str, flag: str) -> Any:
    return plugins.constant(Kind.OBJECTIVE, name, flag, False)


def objective(name: str) -> Any:
    return plugins.load(Kind.OBJECTIVE, name).build(**plugins.resolve(Kind.OBJECTIVE, name, {}))


def outputs(seed: int) -> tuple[Tensor, list[Tensor]]:
    """Logits (6, 5), and three stages of feature maps, whose channels differ from seed to seed."""
    draw = torch.Generator().manual_seed(seed)
    logits_NK = torch.randn(6, 5, generator=draw)
    return logits_NK, [torch.randn(6, 3 + seed, size, size, generator=draw) for size in (8, 4, 2)]


def loss(name: str, targets: Tensor = LABELS, *, is_taught: bool = True) -> tuple[dict[str, Tensor], list[Tensor]]:
    """The loss and its parts as a training asks for them, and what of the student it may have looked at."""
    (student, maps), (teacher, teacher_maps) = outputs(0), outputs(1)
    teaches = is_taught and name in TAUGHT
    stages = (maps, teacher_maps if teaches else []) if says(name, "NEEDS_FEATURES") else ()
    seen = [tensor.requires_grad_() for tensor in (student, *maps)]
    built = objective(name)
    if hasattr(built, "initialize"):
        built.initialize(*stages)
    return built(student, teacher if teaches else None, targets, *stages), seen


@pytest.mark.parametrize("name", OBJECTIVES)
def test_its_defaults_give_a_finite_scalar_named_loss(name: str) -> None:
    parts, _ = loss(name)
    assert parts["loss"].requires_grad
    for part in parts.values():
        assert part.shape == ()
        assert part.isfinite()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_loss_moves_the_student(name: str) -> None:
    parts, (logits_NK, *maps) = loss(name)
    parts["loss"].backward()
    assert logits_NK.grad is not None
    assert logits_NK.grad.abs().max() > 0
    assert any(stage.grad is not None for stage in maps) is says(name, "NEEDS_FEATURES")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_it_takes_mixed_targets_unless_it_says_that_it_needs_hard_labels(name: str) -> None:
    targets = torch.nn.functional.one_hot(LABELS, 5).float().lerp(torch.full((6, 5), 0.2), 0.5)
    if not says(name, "NEEDS_HARD_LABELS"):
        assert loss(name, targets)[0]["loss"].isfinite()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_it_says_of_itself_is_true_or_false_and_no_contradiction(name: str) -> None:
    assert all(says(name, flag) in (True, False) for flag in FLAGS)
    assert not (says(name, "NEEDS_HARD_LABELS") and says(name, "NEEDS_MIXUP"))
    assert name in TAUGHT or not says(name, "NEEDS_FEATURES")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_it_says_whether_it_needs_a_teacher(name: str) -> None:
    assert plugins.constant(Kind.OBJECTIVE, name, "NEEDS_TEACHER", None) in (True, False)


@pytest.mark.parametrize("name", TAUGHT)
def test_without_the_teacher_it_needs_it_refuses(name: str) -> None:
    with pytest.raises(ValueError, match="teacher"):
        loss(name, is_taught=False)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_its_docstring_names_a_source(name: str) -> None:
    assert re.search(r"\b(19|20)\d\d\b.*arXiv|arXiv.*\d{4}\.\d{4}", plugins.docstring(Kind.OBJECTIVE, name), re.DOTALL)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_its_arguments_are_literals_that_a_plan_can_read(name: str) -> None:
    values = plugins.resolve(Kind.OBJECTIVE, name, {}).values()
    assert all(isinstance(value, (bool, int, float, str, tuple)) for value in values)
