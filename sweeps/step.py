"""An epoch of a job that is over, as a trial tells the pass, the pass its progress, and the progress its board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Step:
    """An epoch of a job is over; only a training has a validation accuracy and a speed."""

    epoch: int
    epoch_seconds: float
    is_last: bool = False
    validation_accuracy: float | None = None
    images_per_second: float | None = None


def step_of(result: Mapping[str, Any]) -> Step:
    """What a trial reported, among what Tune adds to it."""
    return Step(**{field.name: result[field.name] for field in fields(Step)})
