"""The table of what runs: a bar, the accuracy so far, speed and the time left of every job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from analysis.fitting import broken_name, listed, shortened
from analysis.overview import Glance, Overview
from analysis.words import format_seconds

WIDE = 120
"""So many columns have room for what is nice to know."""

LEAST_BAR, MOST_BAR, GAP = 4, 40, 2


def table_of(overview: Overview, jobs: Sequence[Glance], width: int, room: int) -> tuple[list[RenderableType], int]:
    """A table of some jobs, what of them is not shown, and how many lines that takes."""
    if not jobs:
        return [], 0
    columns = _columns(overview, jobs, width)
    taken = sum(GAP + max(map(cell_len, [title, *cells])) for title, cells in columns)
    names = _names(overview, jobs, width - taken - GAP - LEAST_BAR - GAP)
    shown = _that_fit(overview, jobs, names, room)
    name_width = max(cell_len(line) for job in shown for line in names[job.id].split("\n"))
    table = _empty([title for title, _ in columns])
    bar_width = min(MOST_BAR, width - taken - name_width - GAP - GAP)
    for place, job in enumerate(jobs):
        if job in shown:
            bar = ProgressBar(total=1.0, completed=job.share_done, width=bar_width)
            table.add_row(Text(names[job.id], style="cyan"), bar, *(Text(cells[place]) for _, cells in columns))
    used = 1 + sum(names[job.id].count("\n") + 1 for job in shown)
    hidden = [job for job in jobs if job not in shown]
    if not hidden:
        return [table], used
    start = f"  and {len(hidden):,} more: "
    return [table, Text(start + listed(hidden, width - len(start)), style="dim")], used + 1


def _empty(titles: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("  running", no_wrap=True)
    table.add_column("", no_wrap=True)
    for title in titles:
        table.add_column(title, justify="left" if title == "on" else "right", no_wrap=True)
    return table


def _names(overview: Overview, jobs: Sequence[Glance], width: int) -> dict[str, str]:
    """By id, with a mark before what the longest path needs next."""
    first = overview.longest_path[:1]
    names = {job.id: broken_name(job.name, max(10, width - 2)).replace("\n", "\n  ") for job in jobs}
    return {run: f"{'*' if run in first else ' '} {name}" for run, name in names.items()}


def _that_fit(overview: Overview, jobs: Sequence[Glance], names: Mapping[str, str], room: int) -> list[Glance]:
    """The jobs with the longest paths below them for which there is room, in order; one at least."""
    lines = {job.id: names[job.id].count("\n") + 1 for job in jobs}
    room -= 1 if sum(lines.values()) < room else 2  # the titles, and the line of what is hidden
    chosen = set[str]()
    for job in sorted(jobs, key=lambda job: -overview.path_seconds.get(job.id, 0.0)):
        room -= lines[job.id]
        if chosen and room < 0:
            break
        chosen.add(job.id)
    return [job for job in jobs if job.id in chosen]


def _columns(overview: Overview, jobs: Sequence[Glance], width: int) -> list[tuple[str, list[str]]]:
    """Titles and cells: what matters most in any width, the rest where there is room."""
    seconds = [overview.job_seconds.get(job.id) for job in jobs]
    columns = [
        ("epoch", [f"{job.num_epochs_done}/{'?' if job.num_epochs is None else job.num_epochs}" for job in jobs]),
        ("valid. %", [_percent(job.validation_accuracy) for job in jobs]),
        ("images/s", ["" if job.images_per_second is None else f"{job.images_per_second:,.0f}" for job in jobs]),
        ("left", [_seconds(one) for one in seconds]),
    ]
    if width >= WIDE:
        held = [len(overview.held_up.get(job.id, ())) for job in jobs]
        columns.insert(2, ("best %", [_percent(job.best_accuracy) for job in jobs]))
        columns.append(("s/epoch", ["" if job.epoch_seconds is None else f"{job.epoch_seconds:,.1f}" for job in jobs]))
        columns.append(("runs for", [_seconds(job.running_seconds) for job in jobs]))
        columns.append(("holds up", [f"{number:,}" if number else "" for number in held]))
        columns.append(("role", [shortened(job.role, 12) for job in jobs]))
    if len({job.place for job in jobs}) > 1 or (width >= WIDE and jobs[0].place):
        columns.append(("on", [shortened(job.place, 12 if width < WIDE else 30) for job in jobs]))
    return columns


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else format_seconds(seconds)
