"""Learning rates against their formulas, step by step."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from trainers.optim import build_optimizer, build_schedule
from trainers.spec import Optimizer, OptimizerName, Schedule, ScheduleName

PEAK, NUM_STEPS = 0.2, 40


def rates(schedule: Schedule, num_steps: int = NUM_STEPS) -> list[float]:
    """The learning rate that each step uses, and the one after the last."""
    choice = Optimizer(name=OptimizerName.SGD, lr=PEAK, weight_decay=0.0)
    optimizer = build_optimizer(choice, nn.Linear(1, 1).parameters())
    moved = build_schedule(schedule, optimizer, num_steps)
    seen = [optimizer.param_groups[0]["lr"]]
    for _ in range(num_steps):
        optimizer.step()
        moved.step()
        seen.append(optimizer.param_groups[0]["lr"])
    return seen


def test_a_constant_rate_stays_at_the_peak() -> None:
    assert rates(Schedule(name=ScheduleName.CONSTANT)) == [PEAK] * (NUM_STEPS + 1)


def test_cosine_falls_from_the_peak_to_zero() -> None:
    expected = [PEAK / 2 * (1 + math.cos(math.pi * step / NUM_STEPS)) for step in range(NUM_STEPS + 1)]
    assert rates(Schedule(name=ScheduleName.COSINE)) == pytest.approx(expected, abs=1e-9)


def test_one_cycle_rises_from_a_25th_to_the_peak_and_falls_to_nearly_nothing() -> None:
    seen = rates(Schedule(name=ScheduleName.ONE_CYCLE, warmup_fraction=0.3))
    peak_step = 0.3 * (NUM_STEPS + 1) - 1  # torch counts total_steps from 1

    def expected(step: int) -> float:
        if step <= peak_step:
            return PEAK + (PEAK / 25 - PEAK) / 2 * (1 + math.cos(math.pi * step / peak_step))
        fall = (step - peak_step) / (NUM_STEPS - peak_step)
        lowest = PEAK / 25 / 1e4
        return lowest + (PEAK - lowest) / 2 * (1 + math.cos(math.pi * fall))

    assert seen == pytest.approx([expected(step) for step in range(NUM_STEPS + 1)], abs=1e-9)
    assert seen[0] == pytest.approx(PEAK / 25)
    assert max(seen) == pytest.approx(PEAK, rel=0.01)
    assert seen[-1] < PEAK / 1e5


@pytest.mark.parametrize("name", list(ScheduleName))
@pytest.mark.parametrize("warmup", [0.0, 0.5])
def test_every_schedule_lasts_for_a_training_of_a_single_step(name: ScheduleName, warmup: float) -> None:
    seen = rates(Schedule(name=name, warmup_fraction=warmup), num_steps=1)
    assert all(math.isfinite(rate) and 0 <= rate <= PEAK * (1 + 1e-9) for rate in seen)


def test_adamw_first_step_is_the_rate_against_the_sign_after_decoupled_decay() -> None:
    weight = nn.Parameter(torch.tensor([2.0, -3.0]))
    optimizer = build_optimizer(Optimizer(name=OptimizerName.ADAMW, lr=0.1, weight_decay=0.5), [weight])
    weight.grad = torch.tensor([0.7, -20.0])
    optimizer.step()
    # w (1 - lr * decay) - lr * m_hat / sqrt(v_hat), and m_hat / sqrt(v_hat) is the gradient's sign at first
    assert weight.tolist() == pytest.approx([2 * 0.95 - 0.1, -3 * 0.95 + 0.1], abs=1e-6)


def test_sgd_with_nesterov_momentum_follows_its_recursion() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    optimizer = build_optimizer(Optimizer(name=OptimizerName.SGD, lr=0.1, weight_decay=0.01, momentum=0.9), [weight])
    value, velocity = 1.0, 0.0
    for gradient in (0.5, -0.25, 1.0):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        decayed = gradient + 0.01 * value
        velocity = decayed if gradient == 0.5 else 0.9 * velocity + decayed
        value -= 0.1 * (decayed + 0.9 * velocity)
        assert weight.item() == pytest.approx(value, abs=1e-6)


def test_sgd_without_momentum_is_plain_descent() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    optimizer = build_optimizer(Optimizer(name=OptimizerName.SGD, lr=0.1, weight_decay=0.0), [weight])
    for expected in (0.95, 0.90):
        weight.grad = torch.tensor([0.5])
        optimizer.step()
        assert weight.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", list(OptimizerName))
@pytest.mark.parametrize("decays", [True, False])
def test_without_a_gradient_only_what_decays_shrinks(name: OptimizerName, decays: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    for parameter in network.parameters():
        parameter.data.fill_(2.0)
        parameter.grad = torch.zeros_like(parameter)
    choice = Optimizer(name=name, lr=0.1, weight_decay=0.5, decays_norm_and_bias=decays)
    build_optimizer(choice, network.parameters()).step()
    shrunk = {key for key, parameter in network.named_parameters() if not (parameter == 2.0).all()}
    matrices = {"0.weight", "3.weight"}
    assert shrunk == (set(dict(network.named_parameters())) if decays else matrices)
    assert all(network.get_parameter(key).flatten()[0].item() == pytest.approx(2 * 0.95) for key in shrunk)


@pytest.mark.parametrize("schedule", list(ScheduleName))
def test_both_groups_of_parameters_follow_the_schedule(schedule: ScheduleName) -> None:
    choice = Optimizer(name=OptimizerName.ADAMW, lr=PEAK, weight_decay=0.1, decays_norm_and_bias=False)
    optimizer = build_optimizer(choice, nn.Linear(2, 2).parameters())
    moved = build_schedule(Schedule(name=schedule, warmup_fraction=0.3), optimizer, NUM_STEPS)
    for _ in range(NUM_STEPS):
        one, other = (group["lr"] for group in optimizer.param_groups)
        assert one == other
        optimizer.step()
        moved.step()
