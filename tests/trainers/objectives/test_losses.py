"""Losses against closed forms, limits, and figures computed with numpy from the formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from trainers.objectives import cross_entropy, kd

Array = npt.NDArray[np.float64]
STUDENT = np.array([[2.0, -1.0, 0.5, 0.0], [0.1, 0.2, -0.3, 1.5], [-2.0, 3.0, 1.0, 0.0]])
TEACHER = np.array([[1.0, 0.0, -0.5, 2.0], [0.3, -0.2, 0.9, 1.1], [0.0, 4.0, -1.0, 0.5]])
LABELS = np.array([0, 3, 2])


def probabilities(logits_NK: Array) -> Array:
    exponentials: Array = np.exp(logits_NK)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def hard_term(logits_NK: Array, labels_N: npt.NDArray[np.int64], smoothing: float = 0.0) -> float:
    num_classes = logits_NK.shape[1]
    wanted = np.eye(num_classes)[labels_N] * (1 - smoothing) + smoothing / num_classes
    return float(-(wanted * np.log(probabilities(logits_NK))).sum() / len(labels_N))


def soft_term(student_NK: Array, teacher_NK: Array, temperature: float) -> float:
    """T^2 KL(teacher || student), summed over classes, mean over pictures."""
    p, q = probabilities(teacher_NK / temperature), probabilities(student_NK / temperature)
    return float(temperature**2 * (p * np.log(p / q)).sum() / len(student_NK))


def torch_of(values: Array, requires_grad: bool = False) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=requires_grad)


def distil(student: Array, teacher: Array, labels: npt.NDArray[np.int64] = LABELS, **args: Any) -> dict[str, float]:
    parts = kd.build(**args)(torch_of(student), torch_of(teacher), torch.from_numpy(labels))
    return {name: part.item() for name, part in parts.items()}


def gradient_of(part: str, student: Array, teacher: Array, **args: Any) -> Array:
    logits_NK = torch_of(student, requires_grad=True)
    kd.build(**args)(logits_NK, torch_of(teacher), torch.from_numpy(LABELS))[part].backward()
    assert logits_NK.grad is not None
    return logits_NK.grad.numpy()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_equals_its_formula(smoothing: float) -> None:
    objective = cross_entropy.build(label_smoothing=smoothing)
    parts = objective(torch_of(STUDENT), None, torch.from_numpy(LABELS))
    assert parts["loss"].item() == pytest.approx(hard_term(STUDENT, LABELS, smoothing), abs=1e-12)


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_the_classes() -> None:
    loss = cross_entropy.build()(torch.zeros(3, 4), None, torch.from_numpy(LABELS))["loss"]
    assert loss.item() == pytest.approx(np.log(4), abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
@pytest.mark.parametrize("weight", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_distillation_equals_its_formula(temperature: float, weight: float, smoothing: float) -> None:
    hard, soft = hard_term(STUDENT, LABELS, smoothing), soft_term(STUDENT, TEACHER, temperature)
    parts = distil(STUDENT, TEACHER, temperature=temperature, weight=weight, label_smoothing=smoothing)
    expected = {"loss": (1 - weight) * hard + weight * soft, "cross_entropy": hard, "distillation": soft}
    assert parts == pytest.approx(expected, abs=1e-10)


def test_the_golden_values_of_distillation_stand() -> None:
    # numpy, from the formula of Hinton et al. 2015, section 2, with T = 4 and a = 0.5
    assert distil(STUDENT, TEACHER, temperature=4.0) == pytest.approx(
        {"loss": 0.821504369193, "cross_entropy": 1.013096924889, "distillation": 0.629911813497}, abs=1e-9
    )


def test_weight_zero_is_cross_entropy_and_the_soft_term_is_still_reported_with_its_square() -> None:
    parts = distil(STUDENT, TEACHER, temperature=4.0, weight=0.0)
    assert parts["loss"] == pytest.approx(hard_term(STUDENT, LABELS), abs=1e-12)
    assert parts["distillation"] == pytest.approx(soft_term(STUDENT, TEACHER, 4.0), abs=1e-10)


def test_a_student_that_agrees_with_its_teacher_has_no_soft_gradient() -> None:
    gradient = gradient_of("distillation", STUDENT, STUDENT + 7.0, temperature=3.0)
    np.testing.assert_allclose(gradient, 0, atol=1e-12)
    assert distil(STUDENT, STUDENT + 7.0, temperature=3.0)["distillation"] == pytest.approx(0, abs=1e-12)


def test_the_soft_gradient_is_t_times_the_difference_of_probabilities() -> None:
    # Hinton et al. 2015, eq. 2 (times T^2, mean over the batch)
    temperature = 5.0
    difference = probabilities(STUDENT / temperature) - probabilities(TEACHER / temperature)
    gradient = gradient_of("distillation", STUDENT, TEACHER, temperature=temperature)
    np.testing.assert_allclose(gradient, temperature * difference / len(STUDENT), atol=1e-12)


def test_hot_distillation_tends_to_matching_logits() -> None:
    # Hinton et al. 2015, eq. 4: for zero-mean logits 1/(K T^2) (z - v), here times T^2 and over the batch
    student, teacher = (z - z.mean(axis=1, keepdims=True) for z in (STUDENT, TEACHER))
    limit = (student - teacher) / (student.shape[1] * len(student))
    gradient = gradient_of("distillation", student, teacher, temperature=1e4)
    np.testing.assert_allclose(gradient, limit, atol=1e-4)


def test_the_mean_is_over_pictures_and_not_over_classes() -> None:
    once = distil(STUDENT, TEACHER)
    twice = distil(np.repeat(STUDENT, 2, axis=0), np.repeat(TEACHER, 2, axis=0), np.repeat(LABELS, 2))
    assert once == pytest.approx(twice, abs=1e-10)
    # four classes that nobody believes in add nothing; `mean` instead of `batchmean` would halve the term
    unlikely = np.full_like(STUDENT, -1e4)
    wide = distil(np.hstack([STUDENT, unlikely]), np.hstack([TEACHER, unlikely]))
    assert wide["distillation"] == pytest.approx(once["distillation"], abs=1e-9)


def test_extreme_logits_stay_finite() -> None:
    student, teacher = torch.tensor([[1e4, -1e4]], requires_grad=True), torch.tensor([[-1e4, 1e4]])
    loss = kd.build(temperature=1.0)(student, teacher, torch.tensor([1]))["loss"]
    loss.backward()
    assert loss.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0; allowed: above 0"),
        ({"temperature": float("nan")}, "temperature is nan; allowed: above 0"),
        ({"weight": 1.5}, "weight is 1.5; allowed: 0 to 1"),
        ({"weight": -0.1}, "weight is -0.1; allowed: 0 to 1"),
    ],
)
def test_arguments_out_of_range_are_named_with_what_is_allowed(args: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kd.build(**args)
