"""What runs get right and wrong: `class_accuracy`, `confusion` and `agreement`, made when a report asks for them.

Not at every gathering or ranking: they need every prediction of the runs that are looked at. Each prediction is read
once; afterwards `answers.parquet` and the agreements of last time are enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.agreement import agreements_of
from analysis.answers import answers_of, marked, weights_of
from analysis.stats import Integers
from analysis.tables import Row, table_rows, to_list, write_tables
from trainers.errors import CorruptFileError
from trainers.result import Status
from trainers.storage import Store

CLASS_ACCURACY_SCHEMA = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("group_id", pa.string()),
        pa.field("label", pa.string()),
        pa.field("seed", pa.int64()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("class_index", pa.int64(), nullable=False),
        pa.field("class_name", pa.string()),
        pa.field("accuracy", pa.float64(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
    ]
)
"""One row per run, split and class, of its `n` labelled pictures; a name is null if the data is gone."""

CONFUSION_SCHEMA = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("group_id", pa.string()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("true_class", pa.int64(), nullable=False),
        pa.field("predicted_class", pa.int64(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
    ]
)
"""One row per run, split and pair of classes that occurs (index of the class, as in `class_accuracy`)."""

_BITS = 32
_OF_RUN = ("run_id", "group_id", "label", "seed", "data_fingerprint")


@dataclass(frozen=True, kw_only=True)
class Details:
    """The three tables, and the finished runs whose predictions cannot be read."""

    class_accuracy: pa.Table
    confusion: pa.Table
    agreement: pa.Table
    unreadable: tuple[str, ...]


def write_details(store: Store, runs: pa.Table) -> Details:
    """Read what is new among the predictions of these runs (RUNS_SCHEMA), and write the three tables."""
    finished = runs.filter(pc.equal(runs["status"], Status.OK.value))
    answers = answers_of(store, weights_of(finished, set(to_list(finished["run_id"]))))
    rows = {row["run_id"]: row for row in table_rows(finished, _OF_RUN)}
    cells = [_cells(rows[answer["run_id"]], answer) for answer in _each(answers)]
    confusion = _joined((_confusion(*cell) for cell in cells), CONFUSION_SCHEMA)
    names = {data: _class_names(store, data) for data in {row["data_fingerprint"] for row in rows.values()}}
    of_classes = _joined((_class_accuracy(*cell, names) for cell in cells), CLASS_ACCURACY_SCHEMA)
    agreement = agreements_of(store, finished)
    tables = {"class_accuracy": of_classes, "confusion": confusion, "agreement": marked(agreement)}
    write_tables({store.table_file(name): table for name, table in tables.items()})
    unreadable = tuple(sorted(set(rows) - set(to_list(answers["run_id"]))))
    return Details(class_accuracy=of_classes, confusion=confusion, agreement=agreement, unreadable=unreadable)


def _each(answers: pa.Table) -> Iterator[Row]:
    names = ("run_id", "split", "labels", "predicted")
    for values in zip(*(answers[name] for name in names), strict=True):
        run, split, labels, predicted = values
        yield {
            "run_id": run.as_py(),
            "split": split.as_py(),
            "labels": labels.values.to_numpy(),
            "predicted": predicted.values.to_numpy(),
        }


def _cells(run: Row, answer: Row) -> tuple[Row, Integers, Integers, Integers]:
    """Run and split, and the cells of the confusion matrix that are not empty: true class, predicted class, count."""
    is_labelled = answer["labels"] >= 0
    labels, predicted = (answer[name][is_labelled].astype(np.int64) for name in ("labels", "predicted"))
    pairs, counts = np.unique((labels << _BITS) + predicted, return_counts=True)  # far sooner than of rows
    return run | {"split": answer["split"]}, pairs >> _BITS, pairs & ((1 << _BITS) - 1), counts


def _confusion(of: Row, true: Integers, predicted: Integers, counts: Integers) -> dict[str, Any]:
    columns = {"true_class": true, "predicted_class": predicted, "count": counts}
    return _repeated(of, CONFUSION_SCHEMA, len(true)) | columns


def _class_accuracy(
    of: Row, true: Integers, predicted: Integers, counts: Integers, names: Mapping[str | None, tuple[str, ...]]
) -> dict[str, Any]:
    classes, place = np.unique(true, return_inverse=True)
    n = np.bincount(place, weights=counts)
    right = np.bincount(place, weights=counts * (true == predicted))
    known = dict(enumerate(names[of["data_fingerprint"]]))
    own_names = [known.get(number) for number in classes.tolist()]
    columns = {"class_index": classes, "class_name": own_names, "accuracy": right / n, "n": n.astype(np.int64)}
    return _repeated(of, CLASS_ACCURACY_SCHEMA, len(classes)) | columns


def _repeated(of: Row, schema: pa.Schema, number: int) -> dict[str, Any]:
    """What all rows of one run and split have in common."""
    return {name: [of[name]] * number for name in schema.names if name in of}


def _joined(parts: Iterator[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    tables = [pa.table([pa.array(part[field.name], field.type) for field in schema], schema=schema) for part in parts]
    return pa.concat_tables([schema.empty_table(), *tables]).combine_chunks()


def _class_names(store: Store, fingerprint: str | None) -> tuple[str, ...]:
    """None of data that was pruned, or whose description is damaged."""
    try:
        return store.manifest(fingerprint).class_names if fingerprint is not None else ()
    except CorruptFileError:
        return ()
