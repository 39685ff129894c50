"""A spec's network: fixed input normalisation, then the body that the model's file builds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from trainers import plugins
from trainers.errors import PluginError, SpecError
from trainers.plugins import Kind
from trainers.randomness import seeded
from trainers.spec import Choice, Normalization, RunSpec

CONSTANTS = {
    Normalization.NONE: ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    Normalization.IMAGENET: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and standard deviation per channel of pictures in 0..1; ImageNet's as torchvision's weights expect them."""


class Network(nn.Module):
    """Images (N, 3, S, S) in 0..1 -> logits (N, K). The state to save is the body's alone."""

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Module, normalize: Normalization) -> None:
        super().__init__()
        self.body = body
        for name, values in zip(("mean", "std"), CONSTANTS[normalize], strict=True):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Normalise, then run the body."""
        logits_NK: Tensor = self.body((images_NCHW - self.mean) / self.std)
        return logits_NK


def build_body(model: Choice) -> nn.Module:
    """The module that the model's file builds; SpecError if it refuses its arguments, PluginError if a user's fails."""
    args: dict[str, Any] = plugins.resolve(Kind.MODEL, model.name, dict(model.args))
    module = plugins.load(Kind.MODEL, model.name)
    try:
        with plugins.calling(Kind.MODEL, model.name, "build"):
            body = module.build(**args)
            if not isinstance(body, nn.Module):
                raise TypeError(f"it gives {type(body).__name__}, not nn.Module")
    except PluginError as error:
        if plugins.is_users_own(Kind.MODEL, model.name):
            raise
        raise SpecError(f"model {model.name!r} cannot be built: {error.__cause__}") from error
    return body


def build_network(spec: RunSpec) -> Network:
    """A freshly initialised network, the same for the same seed, in channels-last memory."""
    with seeded("initialisation", spec.seed):
        network = Network(build_body(spec.model), spec.normalize)
    return network.to(memory_format=torch.channels_last)


def build_empty(model: Choice) -> nn.Module:
    """The body's shapes without memory or values, on the meta device."""
    try:
        with torch.device("meta"):
            return build_body(model)
    except (SpecError, PluginError):  # initialisers that look at values (torchvision's RegNet) cannot run there
        with seeded("initialisation", 0):
            return build_body(model).to("meta")


def without_head(model: Choice, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A body's state without its classifier, which is new for every data set."""
    beginnings = tuple(f"{head}." for head in heads(model))
    return {name: value for name, value in state.items() if not name.startswith(beginnings)}


def heads(model: Choice) -> tuple[str, ...]:
    """The classifier's name: the file's HEAD or, without one, the modules that another number of classes changes."""
    named = plugins.constant(Kind.MODEL, model.name, "HEAD", None)
    if named is not None:
        return (named,)
    more = replace(model, args={**model.args, "num_classes": int(model.args["num_classes"]) + 1})  # type: ignore[arg-type]
    one, other = build_empty(model).state_dict(), build_empty(more).state_dict()
    return tuple(sorted({name.rpartition(".")[0] for name in one if _shape(one, name) != _shape(other, name)}))


def load_body(network: Network, model: Choice, state: dict[str, Tensor]) -> None:
    """Start from another network's body; SpecError if anything but the classifier does not fit."""
    _load(network, model, without_head(model, network.body.state_dict()), without_head(model, state))


def load_complete(network: Network, model: Choice, state: dict[str, Tensor]) -> None:
    """Take over another network, classifier included; SpecError if anything does not fit."""
    _load(network, model, network.body.state_dict(), state)


def _load(network: Network, model: Choice, wanted: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    names = {name for name in wanted.keys() | given.keys() if not name.endswith(".num_batches_tracked")}
    wrong = [name for name in sorted(names) if _form(wanted, name) != _form(given, name)]
    if wrong:
        raise SpecError(f"weights do not fit model {model.name!r}: {len(wrong)} tensors differ, first {wrong[0]!r}")
    network.body.load_state_dict(given, strict=False)


def _shape(state: dict[str, Tensor], name: str) -> torch.Size | None:
    return state[name].shape if name in state else None


def _form(state: dict[str, Tensor], name: str) -> tuple[torch.Size, bool] | None:
    """Shape, and whether the numbers are fractions."""
    return (state[name].shape, state[name].is_floating_point()) if name in state else None
