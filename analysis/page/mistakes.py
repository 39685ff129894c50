"""What networks get wrong: confusion matrices, and the pictures that most of them get wrong."""

from __future__ import annotations

import base64
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from analysis.tables import Row, table_rows
from trainers.errors import SweepError
from trainers.result import Split, Status
from trainers.storage import Store

EMBEDDED = "plates"
"""The data set that comes with the project, which anybody may be shown."""
MOST_CELLS = 60_000
"""Of all confusion matrices together: those of the best networks."""
MOST_PICTURES, MOST_PIXELS = 24, 96


def matrices(confusion: Iterable[Row], runs: Sequence[Row]) -> list[Row]:
    """Per run `cells` of the validation split, (true class, predicted class, count), in the order of the runs."""
    by_run: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for row in confusion:
        if row["split"] == Split.VALIDATION.value:
            by_run[row["run_id"]].append((row["true_class"], row["predicted_class"], row["count"]))
    found, left = [], MOST_CELLS
    for run in runs:
        cells = by_run.get(run["run_id"])
        if cells and len(cells) <= left:
            left -= len(cells)
            found.append({"run_id": run["run_id"], "data_fingerprint": run["data_fingerprint"], "cells": cells})
    return found


def hardest(answers: pa.Table, runs: Sequence[Row]) -> list[Row]:
    """Validation pictures that most of the best run of each group get wrong; all of the first ranked group's data.

    Each has `index`, `true_class`, `num_wrong`, `num_networks`, and `said`: the wrong class that most of them name.
    """
    best = pa.array(_best_runs(runs), pa.string())
    is_best = pc.and_(pc.is_in(answers["run_id"], value_set=best), pc.equal(answers["split"], Split.VALIDATION.value))
    chosen = table_rows(answers.filter(is_best), ("labels", "predicted"))
    if not chosen:
        return []
    labels = np.asarray(chosen[0]["labels"])
    predicted_MN = np.stack([row["predicted"] for row in chosen if len(row["predicted"]) == len(labels)])
    num_wrong_N = ((predicted_MN != labels) & (labels >= 0)).sum(axis=0)
    order = np.argsort(-num_wrong_N, kind="stable")[:MOST_PICTURES]
    return [_hard(int(index), labels, predicted_MN) for index in order if num_wrong_N[index]]


def _best_runs(runs: Sequence[Row]) -> list[str]:
    """Of each group of the first run's data, the run that is best on validation."""
    done = [run for run in runs if run["status"] == Status.OK.value]
    of_data = [run for run in done if run["data_fingerprint"] == done[0]["data_fingerprint"]]
    best: dict[str, Row] = {}
    for run in of_data:
        known = best.setdefault(run["group_id"], run)
        if run["best_validation_accuracy"] > known["best_validation_accuracy"]:
            best[run["group_id"]] = run
    return [run["run_id"] for run in best.values()]


def _hard(index: int, labels: npt.NDArray[Any], predicted_MN: npt.NDArray[Any]) -> Row:
    wrong = predicted_MN[predicted_MN[:, index] != labels[index], index]
    said = Counter(wrong.tolist()).most_common(1)[0][0]
    counts = {"num_wrong": len(wrong), "num_networks": len(predicted_MN)}
    return {"index": index, "true_class": int(labels[index]), "said": said, **counts}


def may_be_shown(data_name: str | None) -> bool:
    """Whether anybody may see the pictures: others are the user's own, to show only if asked to."""
    return data_name is not None and data_name.partition(":")[0] == EMBEDDED


def thumbnails(store: Store, fingerprint: str, hard: Sequence[Row]) -> list[Row]:
    """The same rows with `source`, a small PNG as a data URI; none if the prepared pictures are gone."""
    from trainers.pictures import load_split

    try:
        pictures, _ = load_split(store, fingerprint, Split.VALIDATION)
        pixels = pictures.take(np.asarray([row["index"] for row in hard], dtype=np.int64))
    except (SweepError, OSError, IndexError):
        return []
    return [{**row, "source": _data_uri(picture)} for row, picture in zip(hard, pixels, strict=True)]


def _data_uri(picture_HWC: npt.NDArray[np.uint8]) -> str:
    from PIL import Image

    image = Image.fromarray(picture_HWC)
    image.thumbnail((MOST_PIXELS, MOST_PIXELS))
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
