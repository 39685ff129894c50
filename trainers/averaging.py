"""A moving average of a network's weights: smoother than the last step's, and often better.

Polyak and Juditsky 1992; Tarvainen and Valpola 2017, arXiv 1703.01780 (batch-norm statistics are averaged as well).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from trainers.network import Network

Tensors = tuple[Tensor, ...] | list[Tensor]


def averaged(network: Network, decay: float) -> AveragedModel:
    """An average to be updated after every step; `decay` is risen to, or a short training would keep its start."""

    def move(average: Tensors, current: Tensors, num_averaged: Tensor | int) -> None:
        num_steps = float(num_averaged)
        if average[0].is_floating_point():
            share = 1 - min(decay, (1 + num_steps) / (10 + num_steps))
            torch._foreach_lerp_(average, current, share)
        else:
            torch._foreach_copy_(average, current)

    return AveragedModel(network, multi_avg_fn=move, use_buffers=True)
