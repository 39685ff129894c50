"""What the runs of a store took, from its derived table; without a sound one there is no history."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from sweeps.estimates import History, Kind, Measured, network
from trainers.files import readable
from trainers.spec import Choice
from trainers.storage import Store

COLUMNS = (
    *("num_macs", "num_train_images", "epochs", "train_seconds", "device", "num_threads"),
    *("started_at", "finished_at", "spec_json"),
)
LATER_COLUMNS = ("reads_logits",)
"""That tables of an older version lack."""


@dataclass(frozen=True, kw_only=True)
class _Network:
    model: Choice


@dataclass(frozen=True, kw_only=True)
class _Spec:
    """The fields of a spec that decide how long a picture takes; the rest of the text is passed over."""

    model: Choice
    objective: Choice
    precision: str
    batch_size: int
    teacher: _Network | None = None
    co_teachers: tuple[_Network, ...] = ()


def read_history(store: Store) -> History:
    """The finished trainings of a store's `runs` table, as it was last gathered; none if it cannot be read."""
    try:
        with pq.ParquetFile(readable(store.table_file("runs"))) as file:
            names = [name for name in (*COLUMNS, *LATER_COLUMNS) if name in file.schema_arrow.names]
            rows = file.read(columns=names).to_pylist() if set(COLUMNS) <= set(names) else []
    except (OSError, pa.ArrowException, ValueError):
        return History()
    return History(runs=tuple(_measured(rows)))


def _measured(rows: list[dict[str, Any]]) -> Iterator[Measured]:
    decode = msgspec.json.Decoder(_Spec).decode
    for row in rows:
        try:
            num_seen = row["epochs"] * row["num_train_images"]
            seconds = row["train_seconds"] / num_seen
            spec = decode(row["spec_json"])
            if 0 < seconds < math.inf:
                yield _run(row, spec, seconds)
        except (
            TypeError,
            ValueError,
            KeyError,
            ZeroDivisionError,
            msgspec.MsgspecError,
        ):  # not finished, not trained, or alien
            continue


def _run(row: Mapping[str, Any], spec: _Spec, seconds_per_image: float) -> Measured:
    teachers = () if spec.teacher is None or row.get("reads_logits") else (spec.teacher, *spec.co_teachers)
    kind = Kind(
        network=network(spec.model),
        teachers=tuple(network(teacher.model) for teacher in teachers),
        objective=spec.objective.name,
        precision=spec.precision,
        batch_size=spec.batch_size,
    )
    return Measured(
        kind=kind,
        num_macs=int(row["num_macs"]),
        device=str(row["device"]),
        num_threads=int(row["num_threads"]),
        seconds_per_image=seconds_per_image,
        pixels=int(str(spec.model.args["image_size"])),
        extra_seconds=_extra_seconds(row),
        finished_at=str(row["finished_at"]),
    )


MOST_EXTRA_SECONDS = 3600.0
"""Besides its epochs; more means that the clock was set, or the machine slept, while the run was at work."""


def _extra_seconds(row: Mapping[str, Any]) -> float:
    """Of a run in one go; what an interrupted one took besides its epochs is not known."""
    begun, ended = (datetime.fromisoformat(row[name]) for name in ("started_at", "finished_at"))
    seconds = (ended - begun).total_seconds() - float(row["train_seconds"])
    return seconds if 0.0 <= seconds <= MOST_EXTRA_SECONDS else 0.0
