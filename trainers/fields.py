"""A spec field by field: the dotted keys that a user writes, `optimizer.lr`, and which of them may be set."""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import EnumType
from typing import Any, get_type_hints

from trainers.errors import SpecError
from trainers.spec import (
    Augment,
    Choice,
    Normalization,
    Optimizer,
    OptimizerName,
    Precision,
    RunSpec,
    Schedule,
    ScheduleName,
    from_dict,
    to_dict,
    typed,
)


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


_NOTHING = Choice(name="")
EXAMPLE = RunSpec(
    data="none",
    model=_NOTHING,
    objective=_NOTHING,
    optimizer=Optimizer(name=OptimizerName.SGD, lr=1.0, weight_decay=0.0),
    schedule=Schedule(name=ScheduleName.CONSTANT),
    augment=Augment(),
    normalize=Normalization.NONE,
    epochs=1,
    batch_size=2,
    precision=Precision.FLOAT32,
    seed=0,
    view_seed=0,
)
"""A spec in which every field can be tried by itself: none forbids a value of another."""

WORDS = {bool: "true or false, in small letters", int: "a whole number", float: "a number"}


def _check_finite(key: str, value: object) -> None:
    """SpecError for infinity and for what is no number, alone or in a list."""
    for one in value if isinstance(value, (list, tuple)) else (value,):
        if isinstance(one, float) and not math.isfinite(one):
            raise SpecError(f"{key} is {value!r}; allowed: finite numbers")


def check_value(key: str, value: object) -> None:
    """SpecError for a value that a field can never have; of keys that are no field of ours it knows nothing."""
    outer, _, inner = key.partition(".")
    _check_finite(key, value)
    if key not in settable_keys(EXAMPLE) or outer in ("model", "objective"):
        return
    kind = get_type_hints(RunSpec)[outer]
    kind = get_type_hints(kind)[inner] if inner else kind
    typed(key, value, kind, ", ".join(kind) if isinstance(kind, EnumType) else WORDS[kind])
    content = to_dict(EXAMPLE)
    (content[outer] if inner else content)[inner or outer] = value
    from_dict(RunSpec, content)
