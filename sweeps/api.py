"""The command as functions, for notebooks and scripts: plan, run, gather, rank.

    from sweeps.api import run
    outcome = run(sweep="report", store="petite-store")
    outcome.ranking

`plan` gives a Planned, `run` an Outcome; `gather` a Gathered (`.runs`, `.curves`) and `rank` a Ranking (`.ranking`,
`.gains`, `.runs`) of what a store holds; all tables are pandas'. All options of the command line are keyword
arguments of the same names (`Options` in `sweeps/request.py`), with underscores. Wrong input raises SweepError, with
the line that the command prints.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from analysis.api import gather, rank
from analysis.feed import Feed, check_logs, fed
from sweeps.labels import num_jobs
from sweeps.request import Options, read_options
from trainers.errors import DamagedDataError, SpecError, StoreError
from trainers.shown import one_line
from trainers.storage import Store
from trainers.texts import check_text

if TYPE_CHECKING:
    import pandas as pd

    from sweeps.logits_job import LogitsJob
    from sweeps.outlook import Outlook
    from sweeps.plan import Decision
    from sweeps.sweep import Sweep

__all__ = ["Options", "Outcome", "Planned", "gather", "plan", "rank", "run"]

STORE = "petite-store"


@dataclass(frozen=True, kw_only=True, repr=False)
class Planned:
    """A sweep before it runs: `decisions` by run id; `num_params` by run id, {} unless a budget asks for them.

    `logits` are of teachers and would be written once for several students; `outlook` has the estimated seconds of what
    would run, and sums them up in words.
    """

    sweep: Sweep
    store: Store
    decisions: Mapping[str, Decision]
    num_params: Mapping[str, int]
    outlook: Outlook
    logits: tuple[LogitsJob, ...] = ()

    def __repr__(self) -> str:
        num_runs = sum(decision.will_run for decision in self.decisions.values())
        planned = f"{num_jobs(len(self.decisions))}, {num_runs} would run"
        return f"Planned({self.sweep.request.sweep}: {planned}; store {self.store.root})"

    @property
    def jobs(self) -> pd.DataFrame:
        """One row per job: what it waits for, whether it would run, and why."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for run, decision in self.decisions.items():
            job, by_id = decision.job, self.sweep.plan.by_id
            parents = [by_id[parent].name for parent in job.parents]
            row = {"job": job.name, "role": job.role.value, "waits_for": parents, "will_run": decision.will_run}
            counts = {"num_params": self.num_params.get(run), "estimated_seconds": self.outlook.seconds.get(run)}
            rows.append({**row, "reason": decision.reason, **counts, "run_id": run})
        return pd.DataFrame(rows)


@dataclass(frozen=True, kw_only=True, repr=False)
class Outcome:
    """What a run came to: groups in order, gains of distillation, and the runs behind them, failed ones too.

    `num_not_started` jobs were kept back by `max_hours`. `report` is a line that says where the page is, or why not.
    """

    sweep: Sweep
    store: Store
    ranking: pd.DataFrame
    gains: pd.DataFrame
    runs: pd.DataFrame
    num_not_started: int = 0
    report: str = ""

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {status}" for status, number in self.runs["status"].value_counts().items())
        return f"Outcome({self.sweep.request.sweep}: {num_jobs(len(self.runs))}, {counts}; store {self.store.root})"

    @property
    def is_complete(self) -> bool:
        """Whether every job of the plan is done."""
        return bool((self.runs["status"] == "ok").all())


def plan(*, store: str | Path = STORE, **options: Unpack[Options]) -> Planned:
    """What `run` would do with the same arguments, and why. Writes nothing, prepares nothing, starts nothing.

    Gives a Planned: `.jobs`, a table with one row per job, its estimated seconds included, and, with `budget_params`,
    `.num_params`.
    """
    from sweeps.budget import count_params
    from sweeps.history import read_history
    from sweeps.outlook import look_ahead
    from sweeps.share_logits import share_logits
    from sweeps.sweep import data_or_placeholder, make_sweep, with_plugins

    request, execution = read_options(options)
    check_logs(execution.log)
    request = with_plugins(request, None)
    place = _store(store)
    place.check_version()
    sweep = make_sweep(place, request, data_or_placeholder(place))
    num_params = count_params(sweep.plan) if request.budget_params is not None and sweep.knows_classes else {}
    decisions = sweep.decisions(place)
    to_run = {run for run, decision in decisions.items() if decision.will_run}
    shared = share_logits(sweep.plan, to_run, execution.teacher_logits, sweep.num_images)
    outlook = look_ahead(shared, to_run, sweep.num_images, read_history(place), execution)
    return Planned(
        sweep=sweep,
        store=place,
        decisions=decisions,
        num_params=num_params,
        outlook=outlook,
        logits=shared.logits,
    )


def run(*, store: str | Path = STORE, command: str | None = None, **options: Unpack[Options]) -> Outcome:
    """Train what is left of a sweep, then gather, rank and write its page; blocks until that is done.

    Gives an Outcome: the tables `.ranking`, `.gains` and `.runs`, and `.is_complete`; jobs that fail are in its
    `runs`, not raised. Progress is printed unless `quiet=True`. Ray is started for the call, unless nothing is left,
    `serial=True`, or the process is connected to a Ray already. Interrupted, it can be called again and goes on.
    `command` is what the plan's record says it was made by.
    """
    from rich.console import Console

    from analysis.rank import write_ranking
    from sweeps.budget import check_budget
    from sweeps.company import silent
    from sweeps.driver import carry_out, introduce, preparation_line
    from sweeps.report import write_page
    from sweeps.sweep import naming_users_files, prepared_sweep, with_plugins

    started = time.monotonic()
    request, execution = read_options(options)
    check_logs(execution.log)
    say = silent if execution.quiet else _say
    place = _store(store)
    request = with_plugins(request, place)
    place.open()
    feeds = [Feed(place, text, _say) for text in execution.log]
    command = command or f"sweeps.api.run(store={str(store)!r}, **{options!r})"

    def attempt() -> tuple[Sweep, int]:
        sweep = prepared_sweep(place, request, preparation_line(say))
        check_budget(sweep.plan, request.budget_params)
        introduce(sweep, place, say)
        with fed(feeds, sweep.record(command)):
            return sweep, carry_out(sweep, place, execution, Console(), say, started, command)

    with naming_users_files(request, place):
        try:
            sweep, num_not_started = attempt()
        except DamagedDataError as error:
            say(f"{error}; the data is prepared anew")
            sweep, num_not_started = attempt()
    written = write_ranking(place, plan_id=sweep.plan.plan_id)
    report = "" if execution.no_report else write_page(place, sweep.plan.plan_id)
    return Outcome(
        sweep=sweep,
        store=place,
        ranking=written.ranking,
        gains=written.gains,
        runs=written.runs,
        num_not_started=num_not_started,
        report=report,
    )


def _store(store: str | Path) -> Store:
    """SpecError for what is no path of a folder."""
    if not isinstance(store, (str, Path)):
        raise SpecError(f"store is {store!r}; allowed: str | Path, a folder")
    check_text("store", str(store))
    if not str(store).strip():
        raise SpecError(f"store is {str(store)!r}; give a folder, as --store petite-store")
    opened = Store(store)
    if isinstance(opened.root, Path):
        _check_folder(opened.root)
    return opened


def _check_folder(root: Path) -> None:
    """StoreError if something other than a folder is there; a plan writes nothing and would not notice."""
    try:
        os.lstat(root)
        why = "" if os.path.isdir(root) else "it is no folder"
    except FileNotFoundError:
        return
    except OSError as error:
        why = str(error.strerror)
    if why:
        raise StoreError(f"store {root} cannot be written ({why}); choose another with --store")


def _say(message: str) -> None:
    """Print; once nobody reads any more (`| head`, a full disk under a log), silently, and the sweep goes on."""
    try:
        print(one_line(message), flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
