"""What a person sees while a sweep runs: a live table on a terminal, one line per event elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweeps.board import Board, Line, Phase
from sweeps.forecast import Forecasts, format_seconds
from trainers.shown import one_line

STYLES = {Phase.DONE: "green", Phase.RUNNING: "cyan", Phase.FAILED: "bold red", Phase.BLOCKED: "yellow"}

URGENT_FIRST = (Phase.FAILED, Phase.RUNNING, Phase.BLOCKED, Phase.WAITING, Phase.DONE)

FEW_JOBS, SECONDS_BETWEEN_FORECASTS = 500, 1.0
"""An estimate of the whole sweep looks at every job: for up to so many at every event, else so often."""


class Progress(Protocol):
    """What the execution tells; every call names a run id of the plan."""

    def started(self, run: str) -> None:
        """A job was given its resources."""

    def epoch(self, run: str, epoch: int, validation_accuracy: float | None, epoch_seconds: float) -> None:
        """A job finished an epoch."""

    def ended(self, run: str, phase: Phase, note: str) -> None:
        """A job is done, failed or blocked, and why."""


class BoardProgress:
    """Keeps a board up to date and shows every event through `show`; remembers what was foreseen of the whole sweep."""

    def __init__(self, board: Board, show: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.board, self._show, self._clock, self._start = board, show, clock, clock()
        self.forecasts = Forecasts()
        self._foresee()

    def started(self, run: str) -> None:
        """A job was given its resources."""
        self.board.started(run)
        self._say(run, "started")

    def epoch(self, run: str, epoch: int, validation_accuracy: float | None, epoch_seconds: float) -> None:
        """A job finished an epoch."""
        self.board.epoch(run, epoch, validation_accuracy, epoch_seconds)
        left = format_seconds(self.board.job_seconds_left(run))
        accuracy = "" if validation_accuracy is None else f", validation {validation_accuracy:.1%}"
        self._say(run, f"epoch {epoch}/{self.board.lines[run].job.num_epochs}{accuracy}, {left} left")

    def ended(self, run: str, phase: Phase, note: str) -> None:
        """A job is done, failed or blocked, and why."""
        self.board.ended(run, phase, note)
        self._say(run, f"{phase.value} {note}".strip())

    def summary(self) -> str:
        """How good the estimates of the whole sweep were, now that it is over."""
        return self.forecasts.against(self._clock() - self._start)

    def _foresee(self) -> float:
        elapsed, left = self._clock() - self._start, self.board.seconds_left()
        self.forecasts.add(elapsed, left)
        return left

    def _say(self, run: str, event: str) -> None:
        elapsed = self._clock() - self._start
        is_due = len(self.board.lines) <= FEW_JOBS or elapsed >= self.forecasts.last.at + SECONDS_BETWEEN_FORECASTS
        left = self._foresee() if is_due else max(0.0, self.forecasts.last.total - elapsed)
        done, total = self.board.count(Phase.DONE), len(self.board.lines)
        self._show(
            f"[{format_seconds(elapsed)}] {self.board.lines[run].job.name}: {event} "
            f"({done}/{total} jobs done, sweep {format_seconds(left)} left)"
        )


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
        reasons = [Text(one_line(f"{line.job.name}: {line.note}"), style=STYLES[Phase.FAILED]) for line in failed[:3]]
        return Group(table, *reasons, Text(self._totals(len(self._board.lines) - len(lines)), style="bold"))

    def _totals(self, num_hidden: int) -> str:
        counts = [f"{self._board.count(phase)} {phase.value}" for phase in Phase if self._board.count(phase)]
        hidden = f" ({num_hidden} not shown)" if num_hidden else ""
        elapsed = format_seconds(time.monotonic() - self._start)
        return f"{', '.join(counts)}{hidden}; {elapsed} gone, about {format_seconds(self._board.seconds_left())} left"


def _most_interesting(lines: list[Line], most: int) -> list[Line]:
    order = {phase: place for place, phase in enumerate(URGENT_FIRST)}
    chosen = sorted(range(len(lines)), key=lambda index: order[lines[index].phase])[:most]
    return [lines[index] for index in sorted(chosen)]


def shown_name(name: str, width: int) -> str:
    """A job's name for a table of this width: that of a grid's point on two lines where it would take half of it."""
    name = one_line(name)
    return name.replace("/", "/\n  ") if len(name) > width // 2 else name


def _cells(line: Line, seconds_left: float | None, width: int) -> tuple[Text | ProgressBar, ...]:
    epochs = line.job.num_epochs
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
