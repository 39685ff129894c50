"""What jobs are called, in words that a person reads and types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def point_label(label: str, values: Mapping[str, Any]) -> str:
    """The label of a grid's point: `student`, {"temperature": 4.0, "epochs": 3} -> `student/temperature=4,epochs=3`."""
    words = [f"{name}={_word(value)}" for name, value in values.items()]
    return f"{label}{',' if '/' in label else '/'}{','.join(words)}" if words else label


def short_name(key: str) -> str:
    """What a field is called in labels: `objective.temperature` -> `temperature`, `model.name` -> `model`."""
    return key.removesuffix(".name").rpartition(".")[2]


def num_jobs(number: int) -> str:
    """In words: `1 job`, `2 jobs`."""
    return f"{number} job{'' if number == 1 else 's'}"


def base_label(label: str) -> str:
    """The label without a grid's point: `student/temperature=4` -> `student`."""
    return label.partition("/")[0]


def _word(value: Any) -> str:
    """A value without the signs that patterns of labels need: 4.0 -> 4, [16, 32] -> 16-32."""
    if isinstance(value, (list, tuple)):
        return "-".join(map(_word, value))
    is_whole = isinstance(value, float) and value.is_integer()
    return value if isinstance(value, str) else json.dumps(int(value) if is_whole else value)
