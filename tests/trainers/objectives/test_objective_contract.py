"""What every loss file promises; a new file is held to it without an edit here."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trainers import plugins
from trainers.plugins import Kind

OBJECTIVES = plugins.names(Kind.OBJECTIVE)
Objective = Callable[[Tensor, Tensor | None, Tensor], dict[str, Tensor]]


def objective(name: str) -> Objective:
    built: Objective = plugins.load(Kind.OBJECTIVE, name).build(**plugins.resolve(Kind.OBJECTIVE, name, {}))
    return built


def batch(name: str) -> tuple[Tensor, Tensor | None, Tensor]:
    draw = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(6, 5, generator=draw, requires_grad=True) for _ in range(2))
    needs = plugins.constant(Kind.OBJECTIVE, name, "NEEDS_TEACHER", None)
    return student, teacher if needs else None, torch.tensor([0, 1, 2, 3, 4, 0])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_its_defaults_give_a_finite_scalar_named_loss(name: str) -> None:
    parts = objective(name)(*batch(name))
    assert parts["loss"].requires_grad
    for part in parts.values():
        assert part.shape == ()
        assert part.isfinite()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_loss_moves_the_student(name: str) -> None:
    student, teacher, labels = batch(name)
    objective(name)(student, None if teacher is None else teacher.detach(), labels)["loss"].backward()
    assert student.grad is not None
    assert student.grad.abs().max() > 0


@pytest.mark.parametrize("name", OBJECTIVES)
def test_it_says_whether_it_needs_a_teacher(name: str) -> None:
    assert plugins.constant(Kind.OBJECTIVE, name, "NEEDS_TEACHER", None) in (True, False)


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if plugins.load(Kind.OBJECTIVE, name).NEEDS_TEACHER])
def test_without_the_teacher_it_needs_it_refuses(name: str) -> None:
    student, _, labels = batch(name)
    with pytest.raises(ValueError, match="teacher"):
        objective(name)(student, None, labels)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_its_docstring_names_a_source(name: str) -> None:
    assert re.search(r"\b(19|20)\d\d\b.*arXiv|arXiv.*\d{4}\.\d{4}", plugins.docstring(Kind.OBJECTIVE, name), re.DOTALL)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_its_arguments_are_literals_that_a_plan_can_read(name: str) -> None:
    values = plugins.resolve(Kind.OBJECTIVE, name, {}).values()
    assert all(isinstance(value, (bool, int, float, str, tuple)) for value in values)
