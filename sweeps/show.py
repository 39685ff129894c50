"""What `--plan` and `--list` print."""

from __future__ import annotations

import textwrap
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweeps.api import Planned
from sweeps.plan import Decision
from sweeps.progress import shown_name
from sweeps.recipes import RECIPES
from trainers import plugins
from trainers.plugin_folder import read_folder, use
from trainers.plugins import Kind

WIDTH_OF_A_FILE = 1000
"""Columns for a table that goes to no terminal."""

UNPREPARED = "the data is not prepared yet: a run prepares it first, and only then is it known what is done already"


def show_plan(planned: Planned, console: Console) -> None:
    """Every job, what it waits for, whether it would run, and why; with a budget also its parameters."""
    console = console if console.is_terminal else Console(width=WIDTH_OF_A_FILE)
    budget = planned.sweep.request.budget_params
    table = Table(box=None, padding=(0, 1))
    for title in ("job", "role", "waits for"):
        table.add_column(title, no_wrap=title != "waits for", overflow="fold")
    if planned.num_params:
        table.add_column("parameters", no_wrap=True, justify="right")
    table.add_column("runs")
    table.add_column("why", overflow="fold")
    for run, decision in planned.decisions.items():
        params = [_params(planned.num_params.get(run), budget)] if planned.num_params else []
        first, last = _cells(planned, decision, console.width)
        table.add_row(*first, *params, *last)
    console.print(table)
    for line in _notes(planned):
        print(line)


def _cells(planned: Planned, decision: Decision, width: int) -> tuple[list[Text], list[Text]]:
    """The cells before and after the parameters."""
    job = decision.job
    parents = ", ".join(planned.sweep.plan.by_id[parent].name for parent in job.parents)
    verdict = Text("yes", style="bold") if decision.will_run else Text("no", style="dim")
    also = f"; also: {', '.join(job.also)}" if job.also else ""
    return [Text(shown_name(job.name, width)), Text(job.role.value), Text(parents)], [
        verdict,
        Text(decision.reason + also),
    ]


def _params(params: int | None, budget: int | None) -> Text:
    """A count; over the budget it is marked."""
    if params is None:
        return Text("")
    is_over = budget is not None and params > budget
    return Text(f"OVER {params:,}", style="bold red") if is_over else Text(f"{params:,}")


def _notes(planned: Planned) -> list[str]:
    decisions, budget = planned.decisions.values(), planned.sweep.request.budget_params
    num_runs = sum(decision.will_run for decision in decisions)
    notes = [planned.sweep.grid_note] if planned.sweep.grid_note else []
    if planned.num_params and budget is not None:
        num_over = sum(params > budget for params in planned.num_params.values())
        notes.append(
            f"{num_over} jobs are over --budget-params {budget:,}" + ("; a run refuses them" if num_over else "")
        )
    done = len(decisions) - num_runs
    notes.append(f"{len(decisions)} jobs, {num_runs} would run, {done} are done; store {planned.store.root}")
    if not planned.sweep.is_prepared:
        notes.append(UNPREPARED + ("" if budget is None else ", and how many parameters the networks have"))
    return notes


def show_list(plugin_folder: str | None) -> None:
    """All plug-ins and recipes: of a sweep all that it says of itself, of the others the first line."""
    if plugin_folder is not None:
        use(read_folder(Path(plugin_folder)))
    for kind in Kind:
        print(f"{kind.noun}s ({kind.value.replace('.', '/')}/):")
        for name in plugins.names(kind):
            text = plugins.docstring(kind, name)
            yours = f" (yours: {plugins.source_file(kind, name)})" if plugins.is_users_own(kind, name) else ""
            if kind is Kind.SWEEP:
                print(f"  {name}{yours}\n{textwrap.indent(text, '    ')}\n")
            else:
                print(f"  {name:16} {(text.splitlines() or [''])[0]}{yours}")
    print("recipes (sweeps/recipes.py):")
    for name, recipe in RECIPES.items():
        print(f"  {name:16} {recipe.about}")
