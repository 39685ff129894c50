"""The derived tables: their columns, and how they are written so that a reader never meets half a file.

Any of them may be deleted; `python -m analysis.rank STORE` makes them again. Accuracies are
fractions in 0..1, times are ISO 8601 in UTC, null means "not known" (the run has no result).
"""

from __future__ import annotations

import io
import os
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.stats import mean_of
from trainers.errors import StoreError
from trainers.files import identity_of
from trainers.remote import Place, RemotePath
from trainers.result import Status

if TYPE_CHECKING:
    import pandas as pd

UNFINISHED = "unfinished"
"""The status of a job that has not ended: it waits, runs, was interrupted, or has a damaged file."""

STATUSES = (Status.OK.value, Status.FAILED.value, Status.BLOCKED.value, UNFINISHED)

_ALL_DIFFERENT = ("run_id", "log_path", "spec_json", "weights_sha256", "signature")
"""Columns of which a dictionary would save nothing."""

Row = dict[str, Any]
Identity = tuple[int | str, ...]
"""Of a file as it lies there: changes whenever it is written."""

RUNS_SCHEMA = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("group_id", pa.string()),
        pa.field("plan_id", pa.string()),
        pa.field("sweep", pa.string()),
        pa.field("label", pa.string()),
        pa.field("role", pa.string()),
        pa.field("seed", pa.int64()),
        pa.field("view_seed", pa.int64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("blocked_by", pa.string()),
        pa.field("log_path", pa.string()),
        pa.field("model", pa.string()),
        pa.field("objective", pa.string()),
        pa.field("data_name", pa.string()),
        pa.field("data_fingerprint", pa.string()),
        pa.field("image_size", pa.int64()),
        pa.field("resize", pa.string()),
        pa.field("epochs", pa.int64()),
        pa.field("batch_size", pa.int64()),
        pa.field("optimizer", pa.string()),
        pa.field("lr", pa.float64()),
        pa.field("precision", pa.string()),
        pa.field("teacher_run_id", pa.string()),
        pa.field("teacher_group_id", pa.string()),
        pa.field("teacher_label", pa.string()),
        pa.field("initialized_from", pa.string()),
        pa.field("best_epoch", pa.int64()),
        pa.field("best_validation_accuracy", pa.float64()),
        pa.field("last_validation_accuracy", pa.float64()),
        pa.field("test_accuracy", pa.float64()),
        pa.field("train_accuracy", pa.float64()),
        pa.field("num_params", pa.int64()),
        pa.field("num_macs", pa.int64()),
        pa.field("size_bytes", pa.int64()),
        pa.field("num_train_images", pa.int64()),
        pa.field("num_validation_images", pa.int64()),
        pa.field("num_test_images", pa.int64()),
        pa.field("train_seconds", pa.float64()),
        pa.field("images_per_second", pa.float64()),
        pa.field("latency_seconds", pa.float64()),
        pa.field("num_attempts", pa.int64()),
        pa.field("has_mixed_environment", pa.bool_()),
        pa.field("reads_logits", pa.bool_()),
        pa.field("host", pa.string()),
        pa.field("device", pa.string()),
        pa.field("hardware", pa.string()),
        pa.field("num_threads", pa.int64()),
        pa.field("torch_version", pa.string()),
        pa.field("git_commit", pa.string()),
        pa.field("git_is_dirty", pa.bool_()),
        pa.field("started_at", pa.string()),
        pa.field("finished_at", pa.string()),
        pa.field("weights_sha256", pa.string()),
        pa.field("spec_json", pa.string()),
    ]
)
"""One row per run: every run id under the store or in a plan. Plan columns are those of the latest plan naming it."""

CURVES_SCHEMA = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("group_id", pa.string()),
        pa.field("label", pa.string()),
        pa.field("seed", pa.int64()),
        pa.field("epoch", pa.int64(), nullable=False),
        pa.field("train_loss", pa.float64()),
        pa.field("loss_parts", pa.map_(pa.string(), pa.float64())),
        pa.field("train_accuracy", pa.float64()),
        pa.field("validation_loss", pa.float64()),
        pa.field("validation_accuracy", pa.float64()),
        pa.field("learning_rate", pa.float64()),
        pa.field("images_per_second", pa.float64()),
        pa.field("epoch_seconds", pa.float64()),
        pa.field("reads_logits", pa.bool_()),
    ]
)
"""One row per run and epoch (counted from 1), of unfinished runs too."""


def to_table(rows: Iterable[Row], schema: pa.Schema) -> pa.Table:
    """A table with exactly the schema's columns; what a row does not have is null."""
    listed = list(rows)
    columns = [to_column((row.get(field.name) for row in listed), field.type) for field in schema]
    return pa.table(columns, schema=schema)


def to_column(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
    """An array of a type; text as UTF-8 can hold it."""
    listed = list(values)
    try:
        return pa.array(listed, kind)
    except UnicodeEncodeError:
        return pa.array(map(_encodable, listed), kind)


def from_frame(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """A DataFrame in the schema's types, with null for whatever pandas has as missing."""
    return pa.Table.from_pandas(frame, schema=schema, preserve_index=False)


def to_rows(frame: pd.DataFrame, schema: pa.Schema) -> list[Row]:
    """Rows of a DataFrame in the schema's types, with None for whatever pandas has as missing."""
    return table_rows(from_frame(frame, schema))


def table_rows(table: pa.Table, names: Sequence[str] | None = None) -> list[Row]:
    """Rows of a table, or of some of its columns."""
    chosen = table.schema.names if names is None else names
    columns = [to_list(table[name]) for name in chosen]
    return [dict(zip(chosen, values, strict=True)) for values in zip(*columns, strict=True)]


def to_list(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column, None for null: `to_pylist`, ten times sooner for text and numbers."""
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_primitive(kind)):
        return list(column.to_pylist())
    if pa.types.is_string(kind) or not column.null_count:
        return list(column.to_numpy().tolist())
    values = list(pc.fill_null(column, pa.scalar(0).cast(kind)).to_numpy().tolist())
    for index in np.flatnonzero(column.is_null().to_numpy()):
        values[index] = None
    return values


def group_label(runs: Sequence[Row]) -> str | None:
    """The label of runs that differ by seeds alone; without its point where they are points of a grid of view seeds."""
    labels = list(dict.fromkeys(run["label"] for run in runs if run["label"] is not None))
    bases = {label.partition("/")[0] for label in labels}
    return labels[0] if len(labels) == 1 or len(bases) > 1 else next(iter(bases), None)


def by_seed(runs: Sequence[Row], column: str) -> dict[int, float]:
    """One value per seed: runs that share one (other view seed, other teacher's seed) are averaged.

    They are no independent evidence of what another seed would give.
    """
    values: defaultdict[int, list[float]] = defaultdict(list)
    for run in runs:
        if run[column] is not None:
            values[run["seed"]].append(run[column])
    return {seed: mean_of(same) for seed, same in values.items()}


def count_line(statuses: Sequence[str], *, shows_zero_unfinished: bool = False) -> str:
    """What stands beside every ranking: `8 ok, 1 failed, 2 blocked`, and the unfinished if there are any."""
    is_shown = {UNFINISHED: shows_zero_unfinished or UNFINISHED in statuses}
    return ", ".join(f"{statuses.count(status)} {status}" for status in STATUSES if is_shown.get(status, True))


def write_tables(tables: Mapping[Place, pa.Table]) -> dict[Place, Identity]:
    """Write Parquet files, each as one step; gives what they are where they lie.

    StoreError if that cannot be done.
    """
    with ThreadPoolExecutor(len(tables)) as threads:
        return dict(zip(tables, threads.map(_write_table, tables, tables.values()), strict=True))


def _write_table(file: Place, table: pa.Table) -> Identity:
    if isinstance(file, RemotePath):
        content = io.BytesIO()
        _write_parquet(table, content)
        file.write_bytes(content.getvalue())
        return identity_of(file)
    aside = file.with_name(f".writing-{uuid.uuid4().hex}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _write_parquet(table, aside)
        found = identity_of(aside)
        os.replace(aside, file)
        return found
    except OSError as error:
        raise StoreError(f"{file} cannot be written ({error}); free some space or copy the store") from error
    finally:
        aside.unlink(missing_ok=True)


def _write_parquet(table: pa.Table, to: Path | io.BytesIO) -> None:
    repeated = [name for name in table.schema.names if name not in _ALL_DIFFERENT]
    pq.write_table(table, to, compression="zstd", use_dictionary=repeated, write_page_checksum=True)


def _encodable(value: Any) -> Any:
    """Text as UTF-8 can hold it: a message may quote a file name that is not valid UTF-8."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
