"""A store in a notebook: its tables as DataFrames, its charts as Altair's, and a ranking to look at.

import analysis
sweep = analysis.open("petite-store")
sweep.ranking; sweep.runs; sweep.curves; sweep.gains
sweep.pareto(); sweep.pareto("num_macs"); sweep.learning_curves()
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.cells import interval_text, latency_text, missing_text, model_size_text, rank_text
from analysis.command import existing_store
from analysis.tables import Row, count_line, table_rows
from analysis.words import count_text, counted
from trainers.errors import SpecError
from trainers.files import exists, readable
from trainers.shown import one_line
from trainers.storage import Store

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd


def open_store(root: str | Path, *, refresh: bool = False) -> OpenedStore:
    """Read-only where the tables are there; StoreError if there is no store, PlanError if nothing can be ranked."""
    store = existing_store(root)
    if refresh or not all(exists(store.table_file(name)) for name in ("runs", "curves", "ranking", "kd_gains")):
        from analysis.rank import ranked

        ranked(store, all_runs=not store.plans())
    return OpenedStore(store)


class OpenedStore:
    """What a store held when it was opened: `ranking` and `gains` are of what was ranked last, the rest of all runs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tables = {name: self._read(name) for name in ("runs", "curves", "ranking", "kd_gains")}

    def _read(self, name: str) -> pa.Table:
        return pq.read_table(readable(self._store.table_file(name)), partitioning=None)

    def table(self, name: str) -> pd.DataFrame:
        """Any other file of the store's `tables` by its name; SpecError if there is none."""
        if not exists(self._store.table_file(name)):
            raise SpecError(f"store {self._store.root} has no table {one_line(name)[:100]!r}")
        return _frame(self._read(name))

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run, failed and unfinished ones too."""
        return _frame(self._tables["runs"])

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row per run and epoch."""
        return _frame(self._tables["curves"])

    @cached_property
    def ranking(self) -> pd.DataFrame:
        """One row per group, best first: means over seeds with their intervals."""
        return _frame(self._tables["ranking"])

    @cached_property
    def gains(self) -> pd.DataFrame:
        """One row per distilled group: its difference to its scratch twin, paired by seed."""
        return _frame(self._tables["kd_gains"])

    def pareto(self, size: str = "num_params") -> alt.LayerChart | alt.FacetChart:
        """Validation accuracy against a size; SpecError, with those there are, for an unknown one."""
        from analysis.charts.look import WIDTH
        from analysis.charts.pareto import DATA, SIZES, pareto

        if size not in SIZES:
            raise SpecError(f"unknown size {one_line(size)[:100]!r}; have: {', '.join(SIZES)}")
        rows = [row for row in table_rows(self._tables["ranking"]) if row["rank"] is not None and row.get(size)]
        return pareto(size).properties(datasets={DATA: rows}, width=WIDTH)

    def learning_curves(self) -> alt.FacetChart:
        """Training and validation accuracy over epochs, a small chart for each of the first groups of the ranking."""
        from analysis.charts.curves import DATA, curves

        chart: alt.FacetChart = curves().properties(datasets={DATA: list(self._curve_rows())})
        return chart

    def _curve_rows(self) -> Iterator[Row]:
        from analysis.page.figures import MOST_CURVES, curve_rows
        from analysis.page.learning import learning_curves

        groups = table_rows(self._tables["ranking"], ("group_id", "label"))[:MOST_CURVES]
        names = {row["group_id"]: row["label"] or row["group_id"] for row in groups}
        order = {group: place for place, group in enumerate(names)}
        runs = [row for row in table_rows(self._tables["runs"]) if row["group_id"] in order]
        runs.sort(key=lambda run: order[run["group_id"]])
        return curve_rows(learning_curves(self._tables["curves"], runs), names)

    def __repr__(self) -> str:
        num_groups = self._tables["ranking"].num_rows
        statuses = count_line(self._tables["runs"]["status"].to_pylist())
        return f"{one_line(self._store.root)}: {counted(num_groups, 'group')} ranked; runs: {statuses}"

    def _repr_html_(self) -> str:
        """The ranking as a notebook shows it."""
        rows = table_rows(self._tables["ranking"])
        head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
        body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
        return f"<p>{html.escape(repr(self))}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _cells(row: Row) -> str:
    return "".join(f"<td>{html.escape(one_line(text(row)))}</td>" for text in _COLUMNS.values())


_COLUMNS: dict[str, Callable[[Row], str]] = {
    "rank": rank_text,
    "network": lambda row: " ".join(filter(None, (row["label"] or row["group_id"], row["variant"]))),
    "n": lambda row: str(row["n"]),
    "validation %": lambda row: interval_text(row, "validation_accuracy"),
    "test %": lambda row: interval_text(row, "test_accuracy"),
    "parameters": lambda row: count_text(row["num_params"]),
    "size": lambda row: model_size_text(row["size_bytes"]),
    "MACs": lambda row: count_text(row["num_macs"]),
    "latency": lambda row: latency_text(row["latency_seconds_mean"]),
    "not finished": missing_text,
}
