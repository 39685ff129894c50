"""A moving average of a network's weights: smoother than the last step's, and often better.

Polyak and Juditsky 1992; Tarvainen and Valpola 2017, arXiv 1703.01780 (batch-norm statistics are averaged as well).
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from trainers.network import Network

Place = tuple[nn.Module, str]
"""A module, and the name of one of its tensors: a user's module may put another tensor there at every step."""


class Average:
    """The average, itself a network, to be updated after every step; its decay rises to the one that is given.

    Else a short training would keep its start. Formula and state are those of torch's AveragedModel, which waits for
    the device at every step, to read how many there were.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network, self._decay, self._num_steps = deepcopy(network), decay, 0
        pairs = list(zip(_places(self.network), _places(network), strict=True))
        pairs = list({id(_owned(pair[0])): pair for pair in pairs}.values())  # a tensor in two places is one
        self._moved = [pair for pair in pairs if _at(pair[0]).is_floating_point()]
        self._copied = [pair for pair in pairs if not _at(pair[0]).is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the network's weights as they are now; at the first step, be them."""
        averages, current = _sides(self._moved)
        if self._num_steps == 0:
            torch._foreach_copy_(averages, current)
        else:
            share = 1 - min(self._decay, (1 + self._num_steps) / (10 + self._num_steps))
            torch._foreach_lerp_(averages, current, share)
        if self._copied:
            torch._foreach_copy_(*_sides(self._copied))
        self._num_steps += 1

    def state(self) -> dict[str, Tensor]:
        """All that changes, to be saved."""
        named = {f"module.{name}": values for name, values in self.network.state_dict().items()}
        return {"n_averaged": torch.tensor(self._num_steps), **named}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up what `state` gave."""
        named = {name.removeprefix("module."): values for name, values in state.items() if name != "n_averaged"}
        self.network.load_state_dict(named)
        self._num_steps = int(state["n_averaged"])


def _places(network: nn.Module) -> list[Place]:
    modules = list(network.modules())
    parameters = [(module, name) for module in modules for name, _ in module.named_parameters(recurse=False)]
    return parameters + [(module, name) for module in modules for name, _ in module.named_buffers(recurse=False)]


def _owned(place: Place) -> Tensor:
    values: Tensor = getattr(*place)
    return values


def _at(place: Place) -> Tensor:
    return _owned(place).detach()


def _sides(pairs: list[tuple[Place, Place]]) -> tuple[list[Tensor], list[Tensor]]:
    return [_at(average) for average, _ in pairs], [_at(current) for _, current in pairs]
