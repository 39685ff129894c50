"""The size of a network: parameters and multiply-accumulates, counted without computing anything."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from trainers.network import build_empty
from trainers.spec import Choice


def num_params(network: nn.Module) -> int:
    """Parameters of a network, all of them; buffers (batch-norm statistics) do not count."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_params(model: Choice) -> int:
    """Parameters of the network that a model's file builds, without its memory."""
    return num_params(build_empty(model))


def num_macs(model: Choice) -> int:
    """Multiply-accumulates of convolutions and linear layers for one picture (torch counts 2 flops for each)."""
    size = int(model.args["image_size"])  # type: ignore[arg-type]
    body = build_empty(model).eval()
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        body(torch.empty(1, 3, size, size))
    return int(counter.get_total_flops()) // 2
