"""What `--plan` and `--list` print."""

from __future__ import annotations

import textwrap
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.words import format_seconds
from sweeps.api import Planned
from sweeps.budget import ROLES
from sweeps.labels import num_jobs
from sweeps.plan import Decision
from sweeps.recipes import RECIPES
from trainers import plugins
from trainers.plugin_folder import read_folder, use
from trainers.plugins import Kind
from trainers.shown import one_line, printable
from trainers.texts import check_text

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
    table.add_column("takes", no_wrap=True, justify="right")
    if budget is not None:
        table.add_column("parameters", no_wrap=True, justify="right")
    table.add_column("runs")
    table.add_column("why", overflow="fold")
    for run, decision in planned.decisions.items():
        params = [] if budget is None else [_params(planned, run, budget)]
        first, last = _cells(planned, decision, console.width)
        table.add_row(*first, *params, *last)
    console.print(table)
    for line in _notes(planned):
        print(one_line(line))


def _cells(planned: Planned, decision: Decision, width: int) -> tuple[list[Text], list[Text]]:
    """The cells before and after the parameters."""
    job = decision.job
    parents = ", ".join(planned.sweep.plan.by_id[parent].name for parent in job.parents)
    verdict = Text("yes", style="bold") if decision.will_run else Text("no", style="dim")
    seconds = planned.outlook.seconds.get(job.id)
    takes = "" if seconds is None else f"~{format_seconds(seconds)}"
    also = f"; also: {', '.join(job.also)}" if job.also else ""
    return [Text(shown_name(job.name, width)), Text(job.role.value), Text(one_line(parents)), Text(takes)], [
        verdict,
        Text(one_line(decision.reason + also)),
    ]


def _params(planned: Planned, run: str, budget: int) -> Text:
    """A count; over the budget it is marked; `?` while the classes are not known; nothing where no budget is."""
    if not planned.num_params and planned.decisions[run].job.role in ROLES:
        return Text("?")
    params = planned.num_params.get(run)
    if params is None:
        return Text("")
    return Text(f"OVER {params:,}", style="bold red") if params > budget else Text(f"{params:,}")


def _notes(planned: Planned) -> list[str]:
    decisions, budget = planned.decisions.values(), planned.sweep.request.budget_params
    num_runs = sum(decision.will_run for decision in decisions)
    notes = [planned.sweep.grid_note] if planned.sweep.grid_note else []
    notes += [f"{job.name} would be written once, {job.about}" for job in planned.logits]
    if planned.num_params and budget is not None:
        num_over = sum(params > budget for params in planned.num_params.values())
        notes.append(
            f"{num_jobs(num_over)} over --budget-params {budget:,}" + ("; a run refuses this" if num_over else "")
        )
    done = len(decisions) - num_runs
    notes.append(
        f"{num_jobs(len(decisions))}, {num_runs} would run, {done} {'is' if done == 1 else 'are'} done; "
        f"store {planned.store.root}"
    )
    if planned.outlook.words:
        notes.append(planned.outlook.words)
    if not planned.sweep.is_prepared:
        is_counted = budget is None or planned.sweep.knows_classes
        notes.append(UNPREPARED + ("" if is_counted else ", and how many parameters the networks have"))
    return notes


def show_list(plugin_folder: str | None) -> None:
    """All plug-ins and recipes: of a sweep all that it says of itself, of the others the first line."""
    if plugin_folder is not None:
        check_text("--plugins", plugin_folder)
        use(read_folder(Path(plugin_folder)))
    for kind in Kind:
        print(f"{kind.noun}s ({kind.value.replace('.', '/')}/):")
        for name in plugins.names(kind):
            text = plugins.docstring(kind, name)
            yours = f" (yours: {plugins.source_file(kind, name)})" if plugins.is_users_own(kind, name) else ""
            if kind is Kind.SWEEP:
                lines = "\n".join(map(printable, textwrap.indent(text, "    ").splitlines()))
                print(f"  {one_line(name + yours)}\n{lines}\n")
            else:
                print(printable(f"  {name:16} {(text.splitlines() or [''])[0]}{yours}"))
    print("recipes (sweeps/recipes.py):")
    for name, recipe in RECIPES.items():
        print(f"  {name:16} {recipe.about}")


def shown_name(name: str, width: int) -> str:
    """A job's name for a table of this width: that of a grid's point on two lines where it would take half of it."""
    name = one_line(name)
    return name.replace("/", "/\n  ") if len(name) > width // 2 else name
