"""A spec field by field: the dotted keys that a user writes, `optimizer.lr`, and which of them may be set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trainers.spec import RunSpec, to_dict


def flatten(spec: RunSpec) -> dict[str, Any]:
    """Dotted key -> value, parents included; `args` is not part of a key: `model.strides`, `co_teachers.0.epochs`."""
    return dict(_flatten("", to_dict(spec)))


def _flatten(prefix: str, content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        name = prefix if key == "args" else f"{prefix}.{key}".lstrip(".")
        if key == "co_teachers":
            value = {str(index): teacher for index, teacher in enumerate(value)}
        if isinstance(value, dict):
            yield from _flatten(name, value)
        else:
            yield name, value


NOT_SETTABLE = (
    *("data", "seed", "teacher", "co_teachers", "init_run", "init_weights"),
    *("model.num_classes", "model.image_size"),
)
"""What follows from the data, the seeds or other jobs."""


def settable_keys(spec: RunSpec) -> tuple[str, ...]:
    """The dotted keys that a user may set for this run."""
    own = flatten(spec.without_parents())
    return tuple(key for key in own if key not in NOT_SETTABLE and not key.startswith("init_weights."))
