"""What tells groups of one label apart: the fields in which their specs differ, as `--set` would name them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from analysis.tables import Row
from trainers.spec import canonical_json

_SEEDS = ("seed", "view_seed")
_PLUGINS = ("model", "objective")
_DATA = ("image_size", "train_images", "resize")


def mark_variants(rows: list[Row], specs: Mapping[str, dict[str, Any]]) -> None:
    """Fill in `variant` of the rows that share the names of label and data; `specs` are plain specs by group id."""
    alike: dict[tuple[str | None, str | None], list[Row]] = defaultdict(list)
    for row in rows:
        alike[row["label"], row["data_name"]].append(row)
    for (label, _), same in alike.items():
        if len(same) == 1:
            same[0]["variant"] = None
            continue
        known = {row["group_id"]: specs[row["group_id"]] | _of_data(row) for row in same if row["group_id"] in specs}
        differing = differences(known) if label is not None else {}
        for row in same:
            row["variant"] = differing.get(row["group_id"]) or None


def differences(specs: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """By group id, the fields whose values are not the same in all of these specs: `epochs=20, optimizer.lr=0.1`."""
    fields = {group: dict(_fields(spec)) for group, spec in specs.items()}
    keys = dict.fromkeys(key for of_group in fields.values() for key in of_group)
    differing = [key for key in keys if len({of_group.get(key) for of_group in fields.values()}) > 1]
    short = _texts(fields, [key for key in differing if not _follows_from_another(key, differing, fields)])
    return short if len(set(short.values())) == len(short) else _texts(fields, differing)


def _texts(fields: Mapping[str, Mapping[str, str]], keys: list[str]) -> dict[str, str]:
    return {
        group: ", ".join(f"{key}={of_group[key]}" for key in keys if key in of_group)
        for group, of_group in fields.items()
    }


def _of_data(row: Row) -> dict[str, Any]:
    """What made other data of the same pictures, besides their size, as far as it is known."""
    known = {"train_images": row["num_train_images"], "resize": row["resize"]}
    return {key: value for key, value in known.items() if value is not None}


def _follows_from_another(key: str, keys: list[str], fields: Mapping[str, Mapping[str, str]]) -> bool:
    """Where one group has no teacher at all, or another model, the fields inside say nothing more.

    Nor does a parent's field that is the same as the run's own, nor the fingerprint of data whose size differs.
    """
    parts = key.split(".")
    outer = [".".join(parts[:end]) for end in range(1, len(parts))]
    names = [f"{name}.name" for name in outer if name.rpartition(".")[2] in _PLUGINS]
    names += _DATA if key == "data" else ()
    own = [".".join(parts[start:]) for start in range(1, len(parts))]
    is_own = any(name in keys and all(of.get(name) == of.get(key) for of in fields.values()) for name in own)
    return is_own or any(name in keys and name != key for name in (*outer, *names))


def _fields(spec: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted key -> value as text; a parent goes by its model's name besides, weights by theirs."""
    for key, value in spec.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and "digest" in value:
            yield name, f"{value['name']} {value['digest'][:8]}"
        elif isinstance(value, Mapping):
            if "model" in value:
                yield name, str(value["model"]["name"])
            yield from _fields(value, prefix if key == "args" else f"{name}.")
        elif key == "co_teachers":
            yield name, str(len(value))
            yield from _fields({str(number): teacher for number, teacher in enumerate(value)}, f"{name}.")
        elif key not in _SEEDS:
            yield f"{prefix.removesuffix('model.')}{key}" if key == "image_size" else name, _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int else canonical_json(value)
