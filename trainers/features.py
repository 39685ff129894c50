"""Feature maps inside any convolutional network: the last one of every resolution, found by running it without data.

Shapes: N pictures, C channels, H = W pixels of a map.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainers.errors import SpecError
from trainers.network import Network, build_empty
from trainers.spec import Choice


def stage_names(model: Choice) -> tuple[str, ...]:
    """The modules whose outputs (N, C, H, W) end each resolution above one pixel, shallow to deep; none for others.

    Where a module runs several times, its last run counts. A block that changes the resolution in its middle
    (an inverted residual of stride 2) ends the old one there, behind its expansion.
    """
    last_run: dict[str, int] = {}
    size = int(model.args["image_size"])  # type: ignore[arg-type]
    body = build_empty(model).eval()
    for name, module in body.named_modules():
        module.register_forward_hook(_noting_size(name, last_run))
    with torch.device("meta"), torch.no_grad():
        body(torch.empty(1, 3, size, size))
    ends = {pixels: name for name, pixels in last_run.items() if name and pixels > 1}
    return tuple(ends[pixels] for pixels in sorted(ends, reverse=True))


def _noting_size(name: str, last_run: dict[str, int]) -> Callable[[nn.Module, Any, Any], None]:
    """A hook that keeps the pixels per side of a module's output, the latest run last."""

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        last_run.pop(name, None)
        if isinstance(output, Tensor) and output.ndim == 4:
            last_run[name] = output.shape[-1]

    return note


class FeatureNetwork(nn.Module):
    """A network that gives its logits (N, K) and the feature maps at the end of its stages, shallow to deep."""

    def __init__(self, network: Network, model: Choice) -> None:
        super().__init__()
        self.network = network
        self._maps: dict[str, Tensor | None] = dict.fromkeys(stage_names(model))
        if not self._maps:
            raise SpecError(f"model {model.name!r} has no feature maps; use an objective on logits")
        for name in self._maps:
            network.body.get_submodule(name).register_forward_hook(_keeping(self._maps, name))

    def forward(self, images_NCHW: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the network once."""
        logits_NK = self.network(images_NCHW)
        maps = tuple(maps_NCHW.float() for maps_NCHW in self._maps.values() if maps_NCHW is not None)
        self._maps.update(dict.fromkeys(self._maps))
        return logits_NK, maps


def _keeping(maps: dict[str, Tensor | None], name: str) -> Callable[[nn.Module, Any, Tensor], None]:
    """A hook that knows the maps alone: one that knew the network would keep it in memory after its training."""

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        maps[name] = output

    return keep
