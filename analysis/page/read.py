"""All tables that a page is made of, written anew where they derive from runs that changed."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.answers import ANSWERS_SCHEMA, earlier_table
from analysis.details import write_details
from analysis.rank import Ranked
from trainers.files import readable
from trainers.storage import Store


@dataclass(frozen=True, kw_only=True)
class Tables:
    """`runs` are those that were ranked, `all_runs` those of the store; the rest is named as in `<store>/tables`."""

    ranking: pa.Table
    gains: pa.Table
    runs: pa.Table
    all_runs: pa.Table
    curves: pa.Table
    claims: pa.Table
    class_accuracy: pa.Table
    confusion: pa.Table
    agreement: pa.Table
    answers: pa.Table


def read_tables(store: Store, ranked: Ranked) -> Tables:
    """What `ranked` has just written, and what the predictions of its runs say."""
    details = write_details(store, ranked.runs)
    runs, curves, claims = (pq.read_table(readable(store.table_file(name))) for name in ("runs", "curves", "claims"))
    return Tables(
        ranking=ranked.ranking,
        gains=ranked.gains,
        runs=ranked.runs,
        all_runs=runs,
        curves=curves,
        claims=claims,
        class_accuracy=details.class_accuracy,
        confusion=details.confusion,
        agreement=details.agreement,
        answers=earlier_table(store, "answers", ANSWERS_SCHEMA),
    )
