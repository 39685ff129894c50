"""The size of a network: parameters and multiply-accumulates, counted without computing anything."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from types import ModuleType

import msgspec
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from trainers import plugins
from trainers.errors import PluginError, SpecError
from trainers.network import build_empty
from trainers.plugins import Kind
from trainers.spec import Choice, canonical_json, to_dict
from trainers.titles import model_title


def num_params(network: nn.Module) -> int:
    """Parameters of a network, all of them; buffers (batch-norm statistics) do not count."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_params(model: Choice) -> int:
    """Parameters of the network that a model's file builds, without its memory."""
    return num_params(build_empty(model))


def num_macs(model: Choice) -> int:
    """Multiply-accumulates of convolutions and linear layers for one picture (torch counts 2 flops for each).

    SpecError for a network of ours that cannot take pictures of its size: most often they are halved away.
    PluginError for a user's, in which anything may be wrong. A process counts every network once.
    """
    return _num_macs(plugins.load(Kind.MODEL, model.name), canonical_json(to_dict(model)))


@cache
def _num_macs(module: ModuleType, text: str) -> int:
    """Of a network as JSON; `module`, which builds it, is another object once a user's file has changed."""
    model = msgspec.json.decode(text, type=Choice)
    size = int(model.args["image_size"])  # type: ignore[arg-type]
    body = build_empty(model).eval()
    try:
        with (
            plugins.calling(Kind.MODEL, model.name, "forward"),
            torch.device("meta"),
            FlopCounterMode(display=False) as counter,
        ):
            body(torch.empty(1, 3, size, size))
    except PluginError as error:
        if plugins.is_users_own(Kind.MODEL, model.name):
            raise
        why = " ".join(str(error.__cause__).split())
        raise SpecError(
            f"model {model_title(model)} cannot take pictures of {size} pixels ({why}); "
            "use a larger --image-size or another model"
        ) from error
    return int(counter.get_total_flops()) // 2


def check_networks(models: Iterable[Choice]) -> tuple[tuple[Choice, int, int], ...]:
    """Each different network with its multiply-accumulates and its parameters.

    SpecError for the first that cannot be built or cannot take its pictures.
    """
    different = {canonical_json(to_dict(model)): model for model in models}
    return tuple((model, num_macs(model), count_params(model)) for model in different.values())
