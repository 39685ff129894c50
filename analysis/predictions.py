"""What one run predicted for every picture, as its file says it; what cannot be trusted is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.facts import NUM_THREADS
from analysis.signature import is_remote
from trainers.errors import CorruptFileError, SweepError
from trainers.processes import num_cpus
from trainers.result import PREDICTIONS_SCHEMA
from trainers.storage import PREDICTIONS, Store

Labels = npt.NDArray[np.int32]
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Of one split: the pictures' labels, -1 where there is none, and what the network made of them."""

    labels_N: Labels
    logits_NK: Logits

    @property
    def predicted_N(self) -> Labels:
        """The class with the largest logit."""
        predicted_N: Labels = np.argmax(self.logits_NK, axis=1).astype(np.int32)
        return predicted_N


_RUNS_AT_ONCE = 64
Splits = Mapping[str, Predictions]


def read_all(store: Store, runs: Sequence[str]) -> Iterator[Splits]:
    """Predictions by split of each run in turn, empty where they cannot be read; several files at a time."""
    num_threads = NUM_THREADS if is_remote(str(store.root)) else num_cpus()
    with ThreadPoolExecutor(num_threads) as pool:
        for start in range(0, len(runs), _RUNS_AT_ONCE):  # what is read ahead is held in memory
            yield from pool.map(partial(_read_or_nothing, store), runs[start : start + _RUNS_AT_ONCE])


def _read_or_nothing(store: Store, run: str) -> Splits:
    try:
        return read_predictions(store, run)
    except (SweepError, OSError, pa.ArrowException):
        return {}


def read_predictions(store: Store, run: str) -> Splits:
    """Predictions by split; CorruptFileError, OSError or ArrowException if they are not there or not whole."""
    result = store.result(run)
    if result is None or PREDICTIONS not in result.files:
        raise CorruptFileError(f"run {run} has no predictions; run it again")
    file = store.verified_file(run, PREDICTIONS)
    table = pq.read_table(file, memory_map=False, partitioning=None)
    if not table.schema.equals(PREDICTIONS_SCHEMA):
        raise CorruptFileError(f"{file} has columns {table.schema.names}; expected {PREDICTIONS_SCHEMA.names}")
    return {
        split: _of_split(table.filter(pc.equal(table["split"], split)))
        for split in pc.unique(table["split"]).to_pylist()
    }


def _of_split(table: pa.Table) -> Predictions:
    logits = table["logits"].combine_chunks()
    values = logits.flatten().to_numpy(zero_copy_only=False)
    num_classes = len(values) // max(1, len(logits))
    if pc.any(pc.not_equal(pc.list_value_length(logits), num_classes)).as_py() or not num_classes:
        raise CorruptFileError("predictions have rows of different lengths")
    labels_N = table["label"].to_numpy().astype(np.int32)
    return Predictions(labels_N=labels_N, logits_NK=values.reshape(-1, num_classes))
