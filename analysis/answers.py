"""Which class each run gave to each picture: `answers.parquet`, of runs that were asked for, read once and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.families import Rightness
from analysis.predictions import Splits, read_all
from analysis.seen import code_digest
from analysis.stats import Floats
from analysis.tables import Row, to_list, to_table, write_tables
from trainers.files import readable
from trainers.result import Split
from trainers.storage import Store

ANSWERS_SCHEMA = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("weights_sha256", pa.string()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("labels", pa.list_(pa.int32()), nullable=False),
        pa.field("predicted", pa.list_(pa.int32()), nullable=False),
    ]
)
"""One row per run and split; the lists are in the order of the prepared pictures, a label of -1 is none."""

_KEY = b"petite.code"


def answers_of(store: Store, weights: Mapping[str, str | None]) -> pa.Table:
    """The answers (ANSWERS_SCHEMA) of runs, given with the hash of their weights; none of runs without predictions.

    What was read before is taken from the table of then, as long as a run has the same weights.
    """
    earlier = earlier_table(store, "answers", ANSWERS_SCHEMA)
    runs, hashes = to_list(earlier["run_id"]), to_list(earlier["weights_sha256"])
    present = set(store.run_ids())
    kept = [run in present and weights.get(run, known) == known for run, known in zip(runs, hashes, strict=True)]
    table = earlier.filter(pa.array(kept, pa.bool_()))
    read = set(to_list(table["run_id"]))
    missing = [run for run in weights if run not in read]
    rows = [row for run, splits in zip(missing, read_all(store, missing), strict=True) for row in _rows(run, splits)]
    if rows:
        table = pa.concat_tables(
            [table, to_table((row | {"weights_sha256": weights[row["run_id"]]} for row in rows), ANSWERS_SCHEMA)]
        )
        write_tables({store.table_file("answers"): marked(table)})
    return table.filter(pc.is_in(table["run_id"], value_set=pa.array(list(weights), pa.string())))


def _rows(run: str, splits: Splits) -> list[Row]:
    return [
        {"run_id": run, "split": split, "labels": found.labels_N, "predicted": found.predicted_N}
        for split, found in splits.items()
    ]


def earlier_table(store: Store, name: str, schema: pa.Schema) -> pa.Table:
    """A table as this very code wrote it (`marked`); an empty one if there is none, or it cannot be trusted."""
    try:
        file = readable(store.table_file(name))
        table = pq.read_table(file, page_checksum_verification=True, memory_map=False, partitioning=None)
    except (OSError, pa.ArrowException):
        return schema.empty_table()
    is_own = (table.schema.metadata or {}).get(_KEY) == code_digest().encode()
    return table.replace_schema_metadata() if is_own and table.schema.equals(schema) else schema.empty_table()


def marked(table: pa.Table) -> pa.Table:
    """The table with a note of the code that made it."""
    return table.replace_schema_metadata({_KEY: code_digest()})


def rightness_of(store: Store, runs: pa.Table) -> Rightness:
    """What families of these runs (RUNS_SCHEMA) ask for; nothing is read before, and nothing twice."""
    known: dict[str, Floats] = {}
    asked: set[str] = set()

    def rightness(wanted: Sequence[str]) -> Mapping[str, Floats]:
        left = set(wanted) - asked
        if left:
            asked.update(left)
            known.update(_right(answers_of(store, weights_of(runs, left))))
        return known

    return rightness


def weights_of(runs: pa.Table, wanted: Any) -> dict[str, str | None]:
    """The hash of the weights of those runs that are wanted."""
    pairs = zip(to_list(runs["run_id"]), to_list(runs["weights_sha256"]), strict=True)
    return {run: digest for run, digest in pairs if run in wanted}


def _right(answers: pa.Table) -> dict[str, Floats]:
    of_validation = answers.filter(pc.equal(answers["split"], Split.VALIDATION.value))
    return {
        run: np.equal(labels.values, predicted.values).astype(np.float64)
        for run, labels, predicted in zip(
            to_list(of_validation["run_id"]), of_validation["labels"], of_validation["predicted"], strict=True
        )
    }
