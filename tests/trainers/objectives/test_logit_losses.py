"""dkd, dist and funmatch against their formulas in numpy, their identities and their limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from trainers.objectives import cross_entropy, dist, dkd, funmatch, kd

Array = npt.NDArray[np.float64]
STUDENT = np.array([[2.0, -1.0, 0.5, 0.0], [0.1, 0.2, -0.3, 1.5], [-2.0, 3.0, 1.0, 0.0]])
TEACHER = np.array([[1.0, 0.0, -0.5, 2.0], [0.3, -0.2, 0.9, 1.1], [0.0, 4.0, -1.0, 0.5]])
LABELS = np.array([0, 3, 2])
MIXED = np.array([[0.7, 0.3, 0.0, 0.0], [0.0, 0.0, 0.4, 0.6], [0.0, 0.0, 1.0, 0.0]])


def softmax(logits_NK: Array) -> Array:
    exponentials: Array = np.exp(logits_NK)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def kl(one: Array, other: Array) -> float:
    """KL(one || other) of rows of probabilities, mean over rows."""
    return float((one * np.log(one / other)).sum(axis=1).mean())


def hard_term(logits_NK: Array) -> float:
    return float(-np.log(softmax(logits_NK)[np.arange(len(LABELS)), LABELS]).mean())


def parts_of(plug_in: Any, student: Any = STUDENT, teacher: Any = TEACHER, targets: Any = LABELS, **args: Any) -> Any:
    """The loss and its parts in double precision, as numbers."""
    tensors = (torch.as_tensor(student), torch.as_tensor(teacher), torch.as_tensor(targets))
    return {name: part.item() for name, part in plug_in.build(**args)(*tensors).items()}


def gradient(plug_in: Any, part: str, teacher: Array, **args: Any) -> Array:
    logits_NK = torch.tensor(STUDENT, requires_grad=True)
    plug_in.build(**args)(logits_NK, torch.tensor(teacher), torch.tensor(LABELS))[part].backward()
    assert logits_NK.grad is not None
    return logits_NK.grad.numpy()


# Decoupled knowledge distillation


def decoupled_by_hand(temperature: float) -> tuple[float, float]:
    """T^2 TCKD and T^2 NCKD, picture by picture."""
    target, others = [], []
    for student_K, teacher_K, label in zip(STUDENT, TEACHER, LABELS, strict=True):
        q, p = (softmax(logits_K[None] / temperature)[0] for logits_K in (student_K, teacher_K))
        target.append(kl(np.array([[p[label], 1 - p[label]]]), np.array([[q[label], 1 - q[label]]])))
        q_rest, p_rest = (np.delete(values, label) / (1 - values[label]) for values in (q, p))
        others.append(kl(p_rest[None], q_rest[None]))
    return temperature**2 * float(np.mean(target)), temperature**2 * float(np.mean(others))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 8.0), (0.0, 2.0), (3.0, 0.0), (0.0, 0.0)])
def test_dkd_equals_its_formula(temperature: float, alpha: float, beta: float) -> None:
    hard, (target, others) = hard_term(STUDENT), decoupled_by_hand(temperature)
    expected = {"loss": hard + alpha * target + beta * others, "cross_entropy": hard}
    expected |= {"target_distillation": target, "other_distillation": others}
    parts = parts_of(dkd, temperature=temperature, alpha=alpha, beta=beta)
    assert parts == pytest.approx(expected, abs=1e-12)


def test_the_golden_values_of_dkd_stand() -> None:
    # numpy, from the paper's formulas, with T = 4, alpha = 1, beta = 8
    golden = {"loss": 4.366856699423, "cross_entropy": 1.013096924889}
    golden |= {"target_distillation": 0.350779553879, "other_distillation": 0.375372527582}
    assert parts_of(dkd) == pytest.approx(golden, abs=1e-9)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_hintons_divergence_is_the_target_part_and_the_others_times_the_teachers_doubt(
    temperature: float, row: int
) -> None:
    one = slice(row, row + 1)
    batch = (STUDENT[one], TEACHER[one], LABELS[one])
    whole = parts_of(kd, *batch, temperature=temperature)["distillation"]
    parts = parts_of(dkd, *batch, temperature=temperature)
    doubt = 1 - softmax(TEACHER[one] / temperature)[0, LABELS[row]]
    assert whole == pytest.approx(parts["target_distillation"] + doubt * parts["other_distillation"], abs=1e-12)


def test_dkd_of_two_classes_has_no_others_and_is_hintons() -> None:
    batch = (STUDENT[:, :2], TEACHER[:, :2], np.array([0, 1, 1]))
    parts = parts_of(dkd, *batch, temperature=2.0)
    assert parts["other_distillation"] == pytest.approx(0, abs=1e-12)
    assert parts["target_distillation"] == pytest.approx(parts_of(kd, *batch, temperature=2.0)["distillation"])


# DIST


def pearson_by_hand(temperature: float) -> tuple[float, float]:
    q, p = softmax(STUDENT / temperature), softmax(TEACHER / temperature)
    pairs = (zip(q, p, strict=True), zip(q.T, p.T, strict=True))
    inter, intra = (np.mean([1 - np.corrcoef(one, other)[0, 1] for one, other in rows]) for rows in pairs)
    return temperature**2 * float(inter), temperature**2 * float(intra)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize(("beta", "gamma"), [(1.0, 1.0), (0.0, 2.0), (2.0, 0.0)])
def test_dist_equals_its_formula(temperature: float, beta: float, gamma: float) -> None:
    hard, (inter, intra) = hard_term(STUDENT), pearson_by_hand(temperature)
    expected = {"loss": hard + beta * inter + gamma * intra, "cross_entropy": hard}
    expected |= {"inter_distillation": inter, "intra_distillation": intra}
    parts = parts_of(dist, temperature=temperature, beta=beta, gamma=gamma)
    assert parts == pytest.approx(expected, abs=1e-10)


def test_the_golden_values_of_dist_stand() -> None:
    # numpy.corrcoef of softmax probabilities, with T = 4, beta = gamma = 1
    golden = {"loss": 20.231139865836, "cross_entropy": 1.013096924889}
    golden |= {"inter_distillation": 8.102626699753, "intra_distillation": 11.115416241194}
    assert parts_of(dist) == pytest.approx(golden, abs=1e-9)


@pytest.mark.parametrize("smoothing", [0.1, 0.9])
def test_dist_does_not_mind_scale_and_offset_of_the_teachers_probabilities(smoothing: float) -> None:
    # p -> (1 - e) p + e / K is scale and offset in one, and stays a distribution
    smoothed = 4.0 * np.log((1 - smoothing) * softmax(TEACHER / 4.0) + smoothing / 4)
    assert parts_of(dist, teacher=smoothed) == pytest.approx(parts_of(dist), abs=1e-9)
    assert parts_of(kd, teacher=smoothed) != pytest.approx(parts_of(kd), abs=1e-2)


def test_a_student_that_correlates_fully_has_no_distance_and_one_against_it_two() -> None:
    same = parts_of(dist, student=TEACHER + 3.0)
    assert (same["inter_distillation"], same["intra_distillation"]) == pytest.approx((0, 0), abs=1e-12)
    # probabilities (p, 1 - p) against (1 - p, p): correlation -1 along rows and columns
    two = np.log(np.array([[0.9, 0.1], [0.3, 0.7], [0.4, 0.6]]))
    turned = parts_of(dist, student=two, teacher=two[:, ::-1].copy(), targets=np.array([0, 1, 0]), temperature=1.0)
    assert (turned["inter_distillation"], turned["intra_distillation"]) == pytest.approx((2, 2), abs=1e-12)


@pytest.mark.parametrize("student", [torch.zeros(3, 4), torch.ones(3, 1) * torch.tensor([3.0, -1.0, 0.0, 1.0])])
def test_a_student_without_any_relation_is_at_distance_one_and_has_a_finite_gradient(student: Tensor) -> None:
    logits_NK = student.clone().requires_grad_()
    parts = dist.build()(logits_NK, torch.tensor(TEACHER).float(), torch.tensor(LABELS))
    parts["loss"].backward()
    assert parts["intra_distillation"].item() == pytest.approx(16)
    assert logits_NK.grad is not None and logits_NK.grad.isfinite().all()


# Function matching


@pytest.mark.parametrize("temperature", [1.0, 5.0])
def test_funmatch_is_kd_that_listens_to_the_teacher_alone(temperature: float) -> None:
    loss = parts_of(funmatch, temperature=temperature)
    assert loss == pytest.approx({"loss": loss["loss"], "distillation": loss["loss"]})
    q, p = softmax(STUDENT / temperature), softmax(TEACHER / temperature)
    assert loss["loss"] == pytest.approx(temperature**2 * kl(p, q), abs=1e-12)
    assert loss["loss"] == pytest.approx(parts_of(kd, temperature=temperature, weight=1.0)["loss"], abs=1e-12)


def test_the_golden_value_of_funmatch_stands() -> None:
    assert parts_of(funmatch)["loss"] == pytest.approx(0.420363665935, abs=1e-9)  # numpy, T = 1


def test_funmatch_looks_at_no_labels() -> None:
    assert parts_of(funmatch, targets=(LABELS + 1) % 4) == parts_of(funmatch) == parts_of(funmatch, targets=MIXED)


# All of them


AGREEING = [(dkd, "target_distillation"), (dkd, "other_distillation"), (funmatch, "distillation")]
AGREEING += [(dist, "inter_distillation"), (dist, "intra_distillation")]


@pytest.mark.parametrize(("plug_in", "part"), AGREEING)
def test_a_student_that_agrees_with_its_teacher_has_no_gradient_and_another_has(plug_in: Any, part: str) -> None:
    np.testing.assert_allclose(gradient(plug_in, part, STUDENT + 7.0, temperature=2.0), 0, atol=1e-9)
    assert np.abs(gradient(plug_in, part, TEACHER, temperature=2.0)).max() > 1e-3


@pytest.mark.parametrize("plug_in", [cross_entropy, kd, dist])
def test_soft_targets_are_a_weighted_mean_of_hard_ones(plug_in: Any) -> None:
    whole = parts_of(plug_in, targets=MIXED)["cross_entropy"]
    assert whole == pytest.approx(float(-(MIXED * np.log(softmax(STUDENT))).sum(axis=1).mean()), abs=1e-12)
    assert parts_of(plug_in, targets=np.eye(4)[LABELS]) == pytest.approx(parts_of(plug_in), abs=1e-12)


@pytest.mark.parametrize("plug_in", [dkd, dist, funmatch])
@pytest.mark.parametrize("size", [1e2, 1e4])
def test_extreme_logits_stay_finite(plug_in: Any, size: float) -> None:
    student = torch.tensor([[size, -size, 0.0], [0.0, size, -size]], requires_grad=True)
    teacher = torch.tensor([[-size, size, 0.0], [0.0, -size, size]])
    loss = plug_in.build(temperature=1.0)(student, teacher, torch.tensor([1, 1]))["loss"]
    loss.backward()
    assert loss.isfinite()
    assert student.grad is not None and student.grad.isfinite().all()


@pytest.mark.parametrize(
    ("plug_in", "args", "message"),
    [
        *((plug_in, {"temperature": 0.0}, "temperature is 0.0; allowed: above 0") for plug_in in (dkd, dist, funmatch)),
        (funmatch, {"temperature": float("nan")}, "temperature is nan; allowed: above 0"),
        (dkd, {"alpha": -1.0}, "alpha is -1.0 and beta is 8.0; allowed: 0 or more"),
        (dkd, {"beta": -1.0}, "alpha is 1.0 and beta is -1.0; allowed: 0 or more"),
        (dist, {"gamma": -0.5}, "beta is 1.0 and gamma is -0.5; allowed: 0 or more"),
    ],
)
def test_arguments_out_of_range_are_named_with_what_is_allowed(plug_in: Any, args: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plug_in.build(**args)
