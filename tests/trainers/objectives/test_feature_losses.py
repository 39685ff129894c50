"""attention and hint against hand-computed maps, numpy, and their invariances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trainers.objectives import attention, hint

LOGITS, LABELS = torch.zeros(2, 4), torch.tensor([0, 3])
HARD = float(np.log(4))  # cross-entropy of equal logits


def maps(*shapes: tuple[int, int, int], seed: int = 0) -> list[Tensor]:
    """Stages of two pictures, each (C, H, W), shallow to deep."""
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(2, *shape, generator=draw) for shape in shapes]


def attended(student: list[Tensor], teacher: list[Tensor], **args: Any) -> dict[str, float]:
    parts = attention.build(**args)(LOGITS, None, LABELS, student, teacher)
    return {name: part.item() for name, part in parts.items()}


def pooled(maps_NCHW: Tensor, size: int) -> np.ndarray[Any, Any]:
    """Mean over square blocks."""
    values, block = maps_NCHW.double().numpy(), maps_NCHW.shape[-1] // size
    return values.reshape(*values.shape[:2], size, block, size, block).mean(axis=(3, 5))


def distance(student: Tensor, teacher: Tensor, size: int) -> float:
    """By numpy, the sum over channels as the paper has it."""
    normal = []
    for maps_NCHW in (student, teacher):
        squares_NP = (pooled(maps_NCHW, size) ** 2).sum(axis=1).reshape(len(maps_NCHW), -1)
        normal.append(squares_NP / np.linalg.norm(squares_NP, axis=1, keepdims=True))
    return float(((normal[0] - normal[1]) ** 2).mean())


def test_attention_of_two_by_two_maps_by_hand() -> None:
    student = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]]])  # squares sum to 1 0 0 1
    teacher = torch.tensor([[[[2.0, 0.0], [0.0, 0.0]]]])  # 4 0 0 0
    half = 1 / np.sqrt(2)
    expected = ((half - 1) ** 2 + half**2) / 4
    parts = attention.build(attention_weight=3.0)(LOGITS[:1], None, LABELS[:1], [student], [teacher])
    assert parts["attention"].item() == pytest.approx(expected, abs=1e-7)
    assert parts["loss"].item() == pytest.approx(HARD + 3 * expected, abs=1e-6)
    assert parts["cross_entropy"].item() == pytest.approx(HARD, abs=1e-6)


@pytest.mark.parametrize("num_stages", [1, 2, 3, 9])
def test_attention_matches_stages_from_the_deepest_and_averages_the_larger_down(num_stages: int) -> None:
    student = maps((3, 16, 16), (4, 8, 8), (5, 4, 4), (6, 2, 2))
    teacher = maps((7, 8, 8), (8, 4, 4), (9, 4, 4), seed=1)
    pairs = [(-1, 2), (-2, 4), (-3, 8)][:num_stages]
    expected = sum(distance(student[stage], teacher[stage], size) for stage, size in pairs)
    parts = attended(student, teacher, num_stages=num_stages)
    assert parts["attention"] == pytest.approx(expected, rel=1e-5)
    assert parts["loss"] == pytest.approx(HARD + 1000 * expected, rel=1e-5)


def test_attention_of_equal_maps_is_nothing_and_their_scale_does_not_matter() -> None:
    student, teacher = maps((4, 4, 4), (8, 2, 2)), maps((4, 4, 4), (8, 2, 2), seed=1)
    assert attended(student, student)["attention"] == pytest.approx(0, abs=1e-12)
    scaled = [maps_NCHW * scale for maps_NCHW, scale in zip(student, (0.01, 300.0), strict=True)]
    assert attended(student, scaled)["attention"] == pytest.approx(0, abs=1e-10)
    assert attended(scaled, teacher)["attention"] == pytest.approx(attended(student, teacher)["attention"], rel=1e-5)


def test_the_golden_values_of_attention_stand() -> None:
    # numpy, from the formula, over sine waves
    student, teacher = (torch.sin(torch.arange(2 * 3 * 16.0) * rate).view(2, 3, 4, 4) for rate in (0.7, 1.3))
    assert attended([student], [teacher])["attention"] == pytest.approx(0.003086198171, abs=1e-7)


def test_attention_moves_the_student_and_maps_of_nothing_stay_finite() -> None:
    student = [stage.requires_grad_() for stage in maps((4, 4, 4), (8, 2, 2))]
    silent = torch.zeros(2, 4, 4, 4, requires_grad=True)
    objective = attention.build()
    for stages in (student, [silent, student[1]]):
        objective(LOGITS, None, LABELS, stages, maps((4, 4, 4), (8, 2, 2), seed=1))["loss"].backward()
    assert all(stage.grad is not None and stage.grad.abs().max() > 0 for stage in student)
    assert silent.grad is not None and silent.grad.isfinite().all()


# Hint


def fitted(student: list[Tensor], teacher: list[Tensor], **args: Any) -> hint.Hint:
    built = hint.build(**args)
    assert isinstance(built, hint.Hint)
    built.initialize(student, teacher)
    return built


@pytest.mark.parametrize(("stage", "size"), [(-1, 2), (-2, 4)])
def test_hint_equals_its_formula_for_a_projection_set_by_hand(stage: int, size: int) -> None:
    student, teacher = maps((3, 8, 8), (2, 2, 2)), maps((4, 4, 4), (5, 4, 4), seed=1)
    objective = fitted(student, teacher, stage=stage, hint_weight=7.0)
    weight = objective.projection.weight.detach().double().numpy()[:, :, 0, 0]
    bias = objective.projection.bias.detach().double().numpy()
    projected = np.einsum("oc,nchw->nohw", weight, pooled(student[stage], size)) + bias[None, :, None, None]
    expected = float(((projected - pooled(teacher[stage], size)) ** 2).mean())
    parts = objective(LOGITS, None, LABELS, student, teacher)
    assert parts["hint"].item() == pytest.approx(expected, rel=1e-5)
    assert parts["loss"].item() == pytest.approx(HARD + 7 * expected, rel=1e-5)


def test_the_golden_value_of_hint_stands() -> None:
    student = [torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])]
    teacher = [torch.tensor([[[[2.0, 4.0], [6.0, 9.0]], [[0.0, 0.0], [0.0, 0.0]]]])]
    objective = fitted(student, teacher, stage=-1)
    with torch.no_grad():
        objective.projection.weight.copy_(torch.tensor([2.0, 0.5]).view(2, 1, 1, 1))
        objective.projection.bias.copy_(torch.tensor([0.0, -1.0]))
    # 2 x misses by 0 0 0 1, 0.5 x - 1 by 0.5 0 0.5 1: squares sum to 2.5 over 8 values
    assert objective(LOGITS[:1], None, LABELS[:1], student, teacher)["hint"].item() == 0.3125


def test_a_projection_that_reproduces_the_teacher_leaves_no_hint() -> None:
    student = maps((3, 4, 4))
    objective = fitted(student, maps((5, 4, 4)), stage=-1)
    teacher = [objective.projection(student[0]).detach()]
    assert objective(LOGITS, None, LABELS, student, teacher)["hint"].item() == pytest.approx(0, abs=1e-12)


def test_the_hint_moves_student_and_projection() -> None:
    student = [stage.requires_grad_() for stage in maps((3, 4, 4))]
    objective = fitted(student, maps((5, 4, 4)), stage=-1)
    objective(LOGITS, None, LABELS, student, maps((5, 4, 4), seed=1))["loss"].backward()
    moved = [student[0], *objective.parameters()]
    assert len(moved) == 3
    assert all(tensor.grad is not None and tensor.grad.abs().max() > 0 for tensor in moved)


def test_a_stage_that_one_of_them_lacks_is_named() -> None:
    with pytest.raises(ValueError, match=r"stage is -3; student and teacher have 4 and 2; allowed: -1 \(the deepest\)"):
        fitted(maps(*[(3, 4, 4)] * 4), maps(*[(3, 4, 4)] * 2), stage=-3)


@pytest.mark.parametrize(
    ("plug_in", "args", "message"),
    [
        (attention, {"attention_weight": -1.0}, "attention_weight is -1.0; allowed: 0 or more"),
        (attention, {"num_stages": 0}, "num_stages is 0; allowed: 1 or more"),
        (hint, {"hint_weight": -1.0}, "hint_weight is -1.0; allowed: 0 or more"),
        (hint, {"stage": 0}, "stage is 0; allowed: -1 "),
    ],
)
def test_arguments_out_of_range_are_named_with_what_is_allowed(plug_in: Any, args: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plug_in.build(**args)


@pytest.mark.parametrize("plug_in", [attention, hint])
def test_soft_targets_are_a_weighted_mean_of_hard_ones(plug_in: Any) -> None:
    student, teacher = maps((3, 4, 4), (2, 2, 2)), maps((4, 4, 4), (5, 2, 2), seed=1)
    objective = plug_in.build()
    if plug_in is hint:
        objective.initialize(student, teacher)
    logits_NK = torch.tensor([[2.0, -1.0, 0.5, 0.0], [0.1, 0.2, -0.3, 1.5]])
    targets_NK = torch.tensor([[0.7, 0.3, 0.0, 0.0], [0.0, 0.0, 0.4, 0.6]])
    logarithms = np.log(np.exp(logits_NK.numpy()) / np.exp(logits_NK.numpy()).sum(axis=1, keepdims=True))
    seen = objective(logits_NK, None, targets_NK, student, teacher)["cross_entropy"].item()
    assert seen == pytest.approx(float(-(targets_NK.numpy() * logarithms).sum(axis=1).mean()), abs=1e-6)
