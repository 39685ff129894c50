"""Run directories -> runs.parquet and curves.parquet: `python -m analysis.gather STORE`.

Finished runs whose files did not change since the last time are not read again; the others are read by all processors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from analysis import seen
from analysis.command import existing_store, exit_code
from analysis.evidence import planned_jobs
from analysis.facts import FACTS_SCHEMA, read_facts
from analysis.placing import curves_table, runs_table
from analysis.signature import are_unchanged
from analysis.tables import CURVES_SCHEMA, RUNS_SCHEMA, count_line, to_table
from analysis.words import counted
from analysis.workers import in_chunks, workers
from trainers.result import PlanRecord
from trainers.shown import Parser
from trainers.storage import Store

__all__ = ["CURVES_SCHEMA", "RUNS_SCHEMA", "Tables", "gather"]

FactsAndCurves = tuple[pa.Table, pa.Table]


@dataclass(frozen=True, kw_only=True)
class Tables:
    """One row per run (RUNS_SCHEMA), and one per run and epoch (CURVES_SCHEMA)."""

    runs: pa.Table
    curves: pa.Table


def gather(store: Store, plans: Sequence[PlanRecord] | None = None) -> Tables:
    """Read all runs and plans of a store and write its two tables; a damaged file never stops it."""
    planned = planned_jobs(store.plans() if plans is None else plans)
    facts, curves = _read(store, store.run_ids(), planned)
    runs, curves = runs_table(store, facts, planned), curves_table(curves, planned)
    seen.save(store, facts, {"runs": runs, "curves": curves})
    return Tables(runs=runs, curves=curves)


def _read(store: Store, runs: Sequence[str], planned: Mapping[str, object]) -> FactsAndCurves:
    """Facts and curves of all runs, sorted by run id; those that have no folder yet are only named."""
    with workers(len(runs)) as pool:
        parts = list(_unchanged(store, pool))
        known = {run for facts, _ in parts for run in facts["run_id"].to_pylist()}
        left = [run for run in runs if run not in known]
        parts += in_chunks(pool, read_facts, str(store.root), left, "reading runs")
    begun = set(runs)
    waiting = ({"run_id": run, "num_attempts": 0, "is_finished": False} for run in planned if run not in begun)
    facts = pa.concat_tables([*(facts for facts, _ in parts), to_table(waiting, FACTS_SCHEMA)])
    curves = pa.concat_tables([*(curves for _, curves in parts), CURVES_SCHEMA.empty_table()])
    return facts.sort_by("run_id"), curves.take(pc.sort_indices(curves["run_id"]))


def _unchanged(store: Store, pool: ProcessPoolExecutor | None) -> Iterator[FactsAndCurves]:
    """Facts and curves of the runs that need not be read again, if there are any."""
    earlier = seen.load(store)
    if earlier is None:
        return
    noted = earlier.runs()
    verdicts = [same for part in in_chunks(pool, are_unchanged, str(store.root), noted) for same in part]
    try:
        yield earlier.facts_and_curves([run for (run, *_), same in zip(noted, verdicts, strict=True) if same])
    except (OSError, pa.ArrowException):
        return


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: exit code 0, or 2 with one line on stderr."""
    parser = Parser(prog="python -m analysis.gather", description=__doc__)
    parser.add_argument("store", metavar="STORE", help="the folder that run_all.py --store was given")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _print_tables(existing_store(options.store)))


def _print_tables(store: Store) -> None:
    tables = gather(store)
    print(
        f"{store.table_file('runs')} and {store.table_file('curves').name}: {counted(tables.curves.num_rows, 'epoch')}"
    )
    print(count_line(tables.runs["status"].to_pylist(), shows_zero_unfinished=True))


if __name__ == "__main__":
    raise SystemExit(main())
