"""The analysis as functions, for notebooks and scripts; needs neither torch nor ray."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.command import existing_store

if TYPE_CHECKING:
    import pandas as pd

    from analysis.rank import Ranking


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """`runs` has one row per run, `curves` one per run and epoch (RUNS_SCHEMA, CURVES_SCHEMA in `analysis.tables`)."""

    runs: pd.DataFrame
    curves: pd.DataFrame


def gather(store: str | Path) -> Gathered:
    """Read all that a store holds, running and failed jobs too, and write its `runs` and `curves` tables.

    StoreError if there is no store.
    """
    from analysis.gather import gather as gather_tables

    tables = gather_tables(existing_store(store))
    return Gathered(runs=tables.runs.to_pandas(), curves=tables.curves.to_pandas())


def rank(store: str | Path, *, plan_id: str | None = None, all_runs: bool = False) -> Ranking:
    """Gather, then rank the latest plan of a store, another one, or every run; writes all of their tables.

    Gives `ranking`, `gains`, `comparisons`, `claims` and `runs`. StoreError if there is no store, PlanError if there is
    no such plan.
    """
    from analysis.rank import write_ranking

    return write_ranking(existing_store(store), plan_id=plan_id, all_runs=all_runs)
