"""What a person sees while a sweep runs: a live table on a terminal, one line per event elsewhere.

`Board` keeps the state and estimates; it is told the time, so that it can be tested.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweeps.plan import Job, Plan


class Phase(StrEnum):
    """Where a job is, in the words of the table."""

    DONE = "done"
    RUNNING = "running"
    WAITING = "waiting"
    FAILED = "FAILED"
    BLOCKED = "BLOCKED"


STYLES = {Phase.DONE: "green", Phase.RUNNING: "cyan", Phase.FAILED: "bold red", Phase.BLOCKED: "yellow"}


@dataclass
class Line:
    """One job as the board knows it; seconds per epoch are None until one was seen."""

    job: Job
    phase: Phase = Phase.WAITING
    num_epochs_done: int = 0
    validation_accuracy: float | None = None
    epoch_seconds: float | None = None
    note: str = ""

    @property
    def num_epochs_left(self) -> int:
        """Epochs still to train."""
        return 0 if self.phase not in (Phase.WAITING, Phase.RUNNING) else self.job.spec.epochs - self.num_epochs_done


class Board:
    """The state of every job and how long the rest will take."""

    def __init__(self, plan: Plan, done: Iterable[str], num_slots: int, epoch_cost: Callable[[Job], float]) -> None:
        self._plan, self._num_slots, self._epoch_cost = plan, max(1, num_slots), epoch_cost
        finished = set(done)
        self.lines = {
            job.id: Line(job=job, phase=Phase.DONE, note="was done") if job.id in finished else Line(job=job)
            for job in plan.jobs
        }

    def count(self, phase: Phase) -> int:
        """How many jobs are in a phase."""
        return sum(line.phase is phase for line in self.lines.values())

    def seconds_left(self) -> float | None:
        """Estimate for the whole sweep: the longest chain, or all work over the slots; None before any epoch."""
        if not any(line.epoch_seconds for line in self.lines.values()):
            return None
        rest = {run: self.job_seconds_left(run) or 0.0 for run in self.lines}
        chains = self._plan.longest_paths(lambda job: rest[job.id])
        return max([sum(rest.values()) / self._num_slots, *chains.values()])

    def job_seconds_left(self, run: str) -> float | None:
        """Estimate for one job from its own epochs, else from those of others, scaled by cost."""
        line = self.lines[run]
        per_epoch = line.epoch_seconds or self._typical_epoch_seconds(line)
        return None if per_epoch is None else per_epoch * line.num_epochs_left

    def _typical_epoch_seconds(self, line: Line) -> float | None:
        seen = [other for other in self.lines.values() if other.epoch_seconds is not None]
        alike = [other for other in seen if other.job.label == line.job.label] or seen
        if not alike:
            return None
        units = [(other.epoch_seconds or 0.0) / self._epoch_cost(other.job) for other in alike]
        return sum(units) / len(units) * self._epoch_cost(line.job)


class Progress(Protocol):
    """What the execution tells; every call names a run id of the plan."""

    def started(self, run: str) -> None:
        """A job was given its resources."""

    def epoch(self, run: str, epoch: int, validation_accuracy: float, epoch_seconds: float) -> None:
        """A job finished an epoch."""

    def ended(self, run: str, phase: Phase, note: str) -> None:
        """A job is done, failed or blocked, and why."""


CHEAP_SECONDS, SHARE_OF_ESTIMATES = 0.001, 0.02
"""An estimate of the sweep's end that takes longer (there are thousands of jobs) may take this share of the time."""


class BoardProgress:
    """Keeps a board up to date and shows every event through `show` (a line) or `refresh` (the table)."""

    def __init__(self, board: Board, show: Callable[[str], None]) -> None:
        self.board, self._show, self._start = board, show, time.monotonic()
        self._left, self._ask_again = "?", self._start

    def started(self, run: str) -> None:
        """A job was given its resources."""
        line = self.board.lines[run]
        line.phase = Phase.RUNNING
        self._say(line, "started")

    def epoch(self, run: str, epoch: int, validation_accuracy: float, epoch_seconds: float) -> None:
        """A job finished an epoch."""
        line = self.board.lines[run]
        line.num_epochs_done, line.validation_accuracy = epoch, validation_accuracy
        line.epoch_seconds = epoch_seconds
        left = format_seconds(self.board.job_seconds_left(run))
        self._say(line, f"epoch {epoch}/{line.job.spec.epochs}, validation {validation_accuracy:.1%}, {left} left")

    def ended(self, run: str, phase: Phase, note: str) -> None:
        """A job is done, failed or blocked, and why."""
        line = self.board.lines[run]
        line.phase, line.note = phase, note
        self._say(line, f"{phase.value} {note}".strip())

    def _say(self, line: Line, event: str) -> None:
        done, total = self.board.count(Phase.DONE), len(self.board.lines)
        elapsed = format_seconds(time.monotonic() - self._start)
        self._show(f"[{elapsed}] {line.job.name}: {event} ({done}/{total} jobs done, sweep {self._sweep_left()} left)")

    def _sweep_left(self) -> str:
        """The board's estimate, asked for as often as it is cheap."""
        asked = time.monotonic()
        if asked >= self._ask_again:
            self._left = format_seconds(self.board.seconds_left())
            took = time.monotonic() - asked
            self._ask_again = asked + took / SHARE_OF_ESTIMATES if took > CHEAP_SECONDS else asked
        return self._left


class LiveTable:
    """The board as a table that a terminal redraws; use as a context manager."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board, self._console, self._start = board, console, time.monotonic()
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=2, transient=True)

    def __enter__(self) -> LiveTable:
        self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.__exit__(None, None, None)

    def render(self) -> Group:
        """The table and a line of totals; what is done and waiting is folded when there is no room."""
        width, room = self._console.width, max(4, self._console.size.height - 6)
        is_broken = any("\n" in shown_name(line.job.name, width) for line in self._board.lines.values())
        lines = _most_interesting(list(self._board.lines.values()), room // 2 if is_broken else room)
        table = Table(box=None, padding=(0, 1))
        for title in ("job", "state", "epochs", "", "validation", "left"):
            table.add_column(
                title, no_wrap=title != "state", justify="left" if title in ("job", "state", "") else "right"
            )
        for line in lines:
            table.add_row(*_cells(line, self._board.job_seconds_left(line.job.id), width))
        failed = [line for line in self._board.lines.values() if line.phase is Phase.FAILED]
        reasons = [Text(f"{line.job.name}: {line.note}", style=STYLES[Phase.FAILED]) for line in failed[:3]]
        return Group(table, *reasons, Text(self._totals(len(self._board.lines) - len(lines)), style="bold"))

    def _totals(self, num_hidden: int) -> str:
        counts = [f"{self._board.count(phase)} {phase.value}" for phase in Phase if self._board.count(phase)]
        hidden = f" ({num_hidden} not shown)" if num_hidden else ""
        elapsed = format_seconds(time.monotonic() - self._start)
        return f"{', '.join(counts)}{hidden}; {elapsed} gone, about {format_seconds(self._board.seconds_left())} left"


def _most_interesting(lines: list[Line], most: int) -> list[Line]:
    order = (Phase.FAILED, Phase.RUNNING, Phase.BLOCKED, Phase.WAITING, Phase.DONE)
    chosen = sorted(lines, key=lambda line: order.index(line.phase))[:most]
    return [line for line in lines if line in chosen]


def shown_name(name: str, width: int) -> str:
    """A job's name for a table of this width: that of a grid's point on two lines where it would take half of it."""
    return name.replace("/", "/\n  ") if len(name) > width // 2 else name


def _cells(line: Line, seconds_left: float | None, width: int) -> tuple[Text | ProgressBar, ...]:
    epochs = line.job.spec.epochs
    done = epochs if line.phase is Phase.DONE else line.num_epochs_done
    accuracy = "" if line.validation_accuracy is None else f"{line.validation_accuracy:.1%}"
    left = format_seconds(seconds_left) if line.phase in (Phase.RUNNING, Phase.WAITING) else ""
    return (
        Text(shown_name(line.job.name, width)),
        Text(line.phase.value, style=STYLES.get(line.phase, "dim")),
        Text(f"{done}/{epochs}"),
        ProgressBar(total=epochs, completed=done, width=12),
        Text(accuracy),
        Text(left),
    )


def format_seconds(seconds: float | None) -> str:
    """`1:05:09`, `5:09`; `?` when unknown."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
