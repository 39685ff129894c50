"""What a step minimises: the spec's objective over a student's outputs and those of its teachers.

Shapes: B pictures of a batch, C channels, S pixels per side, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from trainers import plugins
from trainers.batches import Batch
from trainers.errors import SpecError
from trainers.features import FeatureNetwork
from trainers.network import Network
from trainers.plugins import Kind
from trainers.randomness import seeded
from trainers.saved import trained_network
from trainers.spec import RunSpec
from trainers.storage import Store
from trainers.teaching import DTYPES

Maps = tuple[Tensor, ...]
Outputs = tuple[Tensor, Maps]
"""Logits (B, K), and the feature maps (B, C, H, W) of the stages for objectives that need them."""


class Criterion:
    """The objective of one training, what it learns besides the student, and the teacher whose maps it compares."""

    def __init__(self, spec: RunSpec, store: Store, network: Network, device: torch.device) -> None:
        needs_maps = plugins.says(Kind.OBJECTIVE, spec.objective.name, "NEEDS_FEATURES")
        self._student = _outputs_of(network, spec, needs_maps)
        self._teacher: FeatureNetwork | None = None
        if needs_maps and spec.teacher is not None:
            self._teacher = FeatureNetwork(trained_network(spec.teacher, store).to(device), spec.teacher.model)
        self._dtype = DTYPES[spec.logits_dtype]
        self._objective = _build_objective(spec)
        if hasattr(self._objective, "initialize"):
            self._initialize(spec, network, device)

    def _initialize(self, spec: RunSpec, network: Network, device: torch.device) -> None:
        """Let the objective make what it learns, to fit the maps of one picture."""
        size = spec.model.args["image_size"]
        picture_BCHW = torch.zeros(1, 3, size, size, device=device)  # type: ignore[arg-type]
        network.eval()
        with torch.no_grad(), seeded("objective", spec.seed):
            maps, teacher_maps = self._student(picture_BCHW)[1], self._teach(picture_BCHW)[1]
            try:
                self._objective.initialize(maps, teacher_maps)
            except ValueError as error:
                raise SpecError(f"objective {spec.objective.name!r}: {error}") from error
        self._objective.to(device)

    @property
    def _module(self) -> nn.Module:
        return self._objective if isinstance(self._objective, nn.Module) else nn.Identity()

    def parameters(self) -> Iterable[nn.Parameter]:
        """What is trained beside the student, such as the projection of a hint; no part of its size."""
        return self._module.parameters()

    def state(self) -> dict[str, Tensor]:
        """The same, to be saved."""
        return self._module.state_dict()

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up what `state` gave."""
        self._module.load_state_dict(state)

    def __call__(
        self, batch: Batch, taught_BK: Tensor | None, precision: AbstractContextManager[Any]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The loss and its parts, each a scalar, and the student's logits (B, K); networks run inside `precision`.

        `taught_BK` are the teachers' logits; None without one, or if the teacher is asked here for its maps as well.
        """
        with precision:
            if self._teacher is not None:
                taught_BK, teacher_maps = self._teach(batch.images_BCHW)
            logits_BK, maps = self._student(batch.images_BCHW)
        extra = () if self._teacher is None else (maps, teacher_maps)
        return self._objective(logits_BK.float(), taught_BK, batch.targets, *extra), logits_BK

    def _teach(self, images_BCHW: Tensor) -> tuple[Tensor | None, Maps]:
        """Logits and maps of the teacher, which learns nothing from them."""
        if self._teacher is None:
            return None, ()
        with torch.no_grad():
            logits_BK, maps = self._teacher(images_BCHW)
        return logits_BK.to(self._dtype).float(), maps


def _outputs_of(network: Network, spec: RunSpec, needs_maps: bool) -> Callable[[Tensor], Outputs]:
    if needs_maps:
        return FeatureNetwork(network, spec.model)
    return lambda images_BCHW: (network(images_BCHW), ())


def _build_objective(spec: RunSpec) -> Any:
    try:
        return plugins.load(Kind.OBJECTIVE, spec.objective.name).build(**spec.objective.args)
    except (ValueError, TypeError) as error:
        raise SpecError(f"objective {spec.objective.name!r}: {error}") from error
