"""Optimizers and learning-rate schedules by the names in a spec, all torch's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn, optim
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from trainers.spec import Optimizer, OptimizerName, Schedule, ScheduleName


def build_optimizer(choice: Optimizer, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """AdamW with torch's default betas, or SGD with Nesterov momentum; fused where the device has it."""
    groups = _groups(choice, list(parameters))
    if choice.name is OptimizerName.ADAMW:
        return optim.AdamW(groups, lr=choice.lr, weight_decay=choice.weight_decay, fused=True)
    has_momentum = choice.momentum > 0
    return optim.SGD(
        groups,
        lr=choice.lr,
        momentum=choice.momentum,
        nesterov=has_momentum,
        weight_decay=choice.weight_decay,
        fused=True,
    )


def _groups(choice: Optimizer, parameters: list[nn.Parameter]) -> list[dict[str, Any]]:
    """All parameters, or those of one dimension (biases, scales of norms) apart and without decay.

    Goyal et al. 2017, arXiv 1706.02677, section 5.3; He et al. 2018, arXiv 1812.01187, section 3.1.
    """
    if choice.decays_norm_and_bias:
        return [{"params": parameters}]
    weights = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    return [{"params": weights}, {"params": vectors, "weight_decay": 0.0}]


def build_schedule(choice: Schedule, optimizer: optim.Optimizer, num_steps: int) -> LRScheduler:
    """Moves the learning rate once per step, `num_steps` in all.

    Cosine falls to 0 (Loshchilov and Hutter 2016, arXiv 1608.03983, without restarts); one-cycle rises for
    `warmup_fraction` and falls to nearly 0 (Smith and Topin 2017, arXiv 1708.07120, momentum left alone).
    """
    if choice.name is ScheduleName.COSINE:
        return CosineAnnealingLR(optimizer, T_max=num_steps)
    if choice.name is ScheduleName.ONE_CYCLE:
        peak, warmup = optimizer.param_groups[0]["lr"], choice.warmup_fraction
        if warmup * (num_steps + 1) == 1:  # the very first step is the peak: torch would divide by a rise of 0 steps
            warmup *= 1 - 1e-9
        return OneCycleLR(optimizer, peak, total_steps=num_steps + 1, pct_start=warmup, cycle_momentum=False)
    return ConstantLR(optimizer, factor=1.0, total_iters=0)
