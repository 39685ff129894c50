"""A store as tables: its runs, its plans, and what takes how much room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial

from rich.console import Console
from rich.table import Table

from analysis.evidence import Evidence, read_store, status_of
from analysis.inventory import known_runs
from analysis.prune import KnownRun
from analysis.words import age_text, count_text, counted, size_text
from trainers.errors import PlanError
from trainers.files import children, subfolders
from trainers.removal import real_place, size_bytes
from trainers.result import PlanRecord
from trainers.shown import one_line
from trainers.storage import Store
from trainers.titles import data_title, model_title

WIDTH_OF_A_FILE = 1000
"""Columns for a table that goes to no terminal: one line per row."""

_COLUMNS = ("run", "job", "role", "model", "data", "status", "val. %", "params", "size", "age")
_NUMBERS = ("val. %", "params", "size", "age")


def print_runs(store: Store, plan_id: str | None, now: float) -> None:
    """A row per run, of a plan or of all, and what takes how much room; PlanError if there is no such plan."""
    plans = store.plans()
    evidence = read_store(store, plans)
    runs = known_runs(store, evidence, plans, now)
    chosen = _in_order(plans, runs) if plan_id is None else _of_plan(plans, plan_id)
    print_table(_run_table(store, [run for run in chosen if run in runs], evidence, runs))
    missing = sum(run not in runs for run in chosen)
    if missing:
        print(f"{counted(missing, 'run')} of the plan {'is' if missing == 1 else 'are'} not in the store")
    if plan_id is None:
        print("\n".join(_totals(store)))


def _of_plan(plans: Sequence[PlanRecord], plan_id: str) -> list[str]:
    by_id = {plan.plan_id: plan for plan in plans}
    if plan_id not in by_id:
        raise PlanError(f"unknown plan {plan_id!r}; have: {', '.join(by_id) or 'none'}")
    return [job.run_id for job in by_id[plan_id].jobs]


def _in_order(plans: Sequence[PlanRecord], runs: Mapping[str, KnownRun]) -> list[str]:
    """The latest plan first, in its own order; then runs in no plan, the youngest first."""
    planned = [job.run_id for plan in reversed(plans) for job in plan.jobs]
    rest = sorted((run for run in runs if not runs[run].plans), key=lambda run: runs[run].age_seconds)
    return [run for run in dict.fromkeys((*planned, *rest)) if run in runs]


def _run_table(
    store: Store, chosen: Sequence[str], evidence: Mapping[str, Evidence], runs: Mapping[str, KnownRun]
) -> Table:
    table = make_table(_COLUMNS, _NUMBERS)
    length, title = _id_length(list(runs)), cache(partial(data_title, store))
    for run in chosen:
        known, result = evidence[run], evidence[run].result
        table.add_row(
            one_line(run[:length]),
            one_line(f"{known.job.label}@{known.job.seed}" if known.job else "(in no plan)"),
            known.job.role.value if known.job else "",
            one_line(model_title(known.spec.model)) if known.spec else "?",
            one_line(title(known.spec.data)) if known.spec else "?",
            status_of(run, evidence),
            f"{100 * result.best_validation_accuracy:.2f}" if result else "",
            count_text(result.num_params if result else None),
            size_text(size_bytes(store.run_folder(run))),
            age_text(runs[run].age_seconds),
        )
    return table


def _id_length(runs: Sequence[str]) -> int:
    """So many characters, 6 at least, tell all run ids apart."""
    return next((length for length in range(6, 12) if len({run[:length] for run in runs}) == len(runs)), 12)


def _totals(store: Store) -> Iterator[str]:
    """What takes how much room, by the folders of the store."""
    for name in subfolders(store.root):
        folder = store.root / name
        number = sum(path.name != "requests" and not path.name.startswith(".") for path in children(folder))
        yield f"{one_line(name):10} {counted(number, 'entry', 'entries'):>14}  {size_text(size_bytes(folder)):>9}"
    yield f"{'in all':10} {'':14}  {size_text(size_bytes(real_place(store.root))):>9}  {one_line(store.root)}"


def print_plans(store: Store) -> None:
    """A row per plan, the latest first."""
    plans = store.plans()
    evidence = read_store(store, plans)
    table = make_table(("plan", "planned", "sweep", "data", "jobs", "done", "command"), ("jobs", "done"))
    for plan in reversed(plans):
        done = sum(evidence[job.run_id].result is not None for job in plan.jobs)
        moment = plan.planned_at[:16].replace("T", " ")
        names = (plan.plan_id, moment, plan.sweep, plan.data_name)
        table.add_row(*map(one_line, names), str(len(plan.jobs)), str(done), one_line(plan.command))
    print_table(table)


def make_table(titles: Sequence[str], numbers: Sequence[str]) -> Table:
    """An empty table without lines; numbers do not fold."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold underline")
    for title in titles:
        is_number = title in numbers
        table.add_column(title, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    return table


def print_table(table: Table) -> None:
    """As wide as the terminal; a file or a pipe has no width."""
    width = None if Console().is_terminal else WIDTH_OF_A_FILE
    Console(width=width, markup=False, highlight=False, emoji=False).print(table)
