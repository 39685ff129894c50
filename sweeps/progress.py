"""What a person sees while a sweep runs: a screen on a terminal or in a notebook, lines of events elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live

from analysis.overview import Phase
from analysis.screen import screen
from analysis.words import format_seconds
from sweeps.board import Board
from sweeps.event_lines import EventLines, Weight
from sweeps.forecast import Forecasts
from sweeps.notebook import NotebookScreen
from sweeps.step import Step

FEW_JOBS, SECONDS_BETWEEN_FORECASTS = 500, 1.0
"""An estimate of the whole sweep looks at every job: for up to so many at every event, else so often."""

MOST_SHARE = 0.05
"""Of the time, that estimates and screens of thousands of jobs may take."""


class Progress(Protocol):
    """What the execution tells; every call names a run id of the plan."""

    def started(self, run: str) -> None:
        """A job was given its resources."""

    def elsewhere(self, run: str, place: str) -> None:
        """A job could start, but another driver, there, is at it."""

    def epoch(self, run: str, step: Step) -> None:
        """A job finished an epoch."""

    def ended(self, run: str, phase: Phase, note: str) -> None:
        """A job is done, failed or blocked, and why."""


class BoardProgress:
    """Keeps a board up to date and says events through `show`; remembers what was foreseen of the whole sweep."""

    def __init__(self, board: Board, show: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.board, self._clock, self._start = board, clock, clock()
        self._lines = EventLines(show, clock)
        self.forecasts, self._forecast_due = Forecasts(), 0.0
        self._foresee()

    def started(self, run: str) -> None:
        """A job was given its resources."""
        self.board.started(run)
        self._say(run, Weight.STEP, "started", lambda: "started")

    def elsewhere(self, run: str, place: str) -> None:
        """A job could start, but another driver, there, is at it."""
        self.board.elsewhere(run, place)
        self._say(run, Weight.STEP, Phase.ELSEWHERE.value, lambda: f"left to {place}")

    def epoch(self, run: str, step: Step) -> None:
        """A job finished an epoch."""
        self.board.epoch(run, step)
        self._say(run, Weight.EPOCH, "epoch", lambda: self._epoch(run))

    def ended(self, run: str, phase: Phase, note: str) -> None:
        """A job is done, failed or blocked, and why."""
        self.board.ended(run, phase, note)
        weight = Weight.FAILURE if phase is Phase.FAILED else Weight.STEP
        self._say(run, weight, phase.value, lambda: f"{phase.value} {note}".strip())

    def summary(self) -> str:
        """How good the estimates of the whole sweep were, now that it is over; first what was not said yet."""
        self._lines.flush(self._totals)
        return self.forecasts.against(self._clock() - self._start)

    def _epoch(self, run: str) -> str:
        line = self.board.lines[run]
        accuracy = "" if line.validation_accuracy is None else f", validation {line.validation_accuracy:.1%}"
        speed = "" if line.images_per_second is None else f", {line.images_per_second:,.0f} images/s"
        left = format_seconds(self.board.job_seconds_left(run))
        return f"epoch {line.num_epochs_done}/{line.job.num_epochs}{accuracy}{speed}, {left} left"

    def _foresee(self) -> None:
        """Where there are many jobs, a small share of the time goes into estimates."""
        elapsed, left = self._clock() - self._start, self.board.seconds_left()
        self.forecasts.add(elapsed, left)
        took = self._clock() - self._start - elapsed
        is_many = len(self.board.lines) > FEW_JOBS
        self._forecast_due = elapsed + (max(SECONDS_BETWEEN_FORECASTS, took / MOST_SHARE) if is_many else 0.0)

    def _say(self, run: str, weight: Weight, what: str, event: Callable[[], str]) -> None:
        if self._clock() - self._start >= self._forecast_due:
            self._foresee()
        name = self.board.lines[run].job.name
        self._lines.event(weight, what, lambda: f"{self._time()} {name}: {event()} {self._totals()}", self._totals)

    def _time(self) -> str:
        return f"[{format_seconds(self._clock() - self._start)}]"

    def _totals(self) -> str:
        left = max(0.0, self.forecasts.last.total - (self._clock() - self._start))
        done, total = self.board.count(Phase.DONE), len(self.board.lines)
        return f"({done}/{total} jobs done, sweep {format_seconds(left)} left)"


class Screen:
    """The board as a screen, made anew as often as a small share of the time allows."""

    def __init__(self, board: Board, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._board, self._title, self._clock = board, title, clock
        self._shown, self._size, self._due = Group(), (0, 0), 0.0

    def render(self, width: int, height: int, is_last: bool = False) -> Group:
        """What is shown now, in at most `height` lines; the last time as it really stands."""
        begun = self._clock()
        if is_last or begun >= self._due or self._size != (width, height):
            self._shown, self._size = screen(self._board.overview(self._title), width, height), (width, height)
            self._due = begun + (self._clock() - begun) / MOST_SHARE
        return self._shown


class LiveTable:
    """The screen of a board on a terminal, which is redrawn; use as a context manager."""

    def __init__(self, board: Board, console: Console, title: str = "sweep") -> None:
        self._screen, self._console = Screen(board, title), console
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=2, transient=True)

    def __enter__(self) -> LiveTable:
        self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.__exit__(None, None, None)

    def render(self) -> Group:
        """As large as the terminal."""
        return self._screen.render(self._console.width, self._console.height - 1)


def live_view(board: Board, console: Console, title: str) -> AbstractContextManager[object] | None:
    """What shows a board where something can be redrawn: a terminal, or a notebook; None elsewhere."""
    if console.is_jupyter:
        return NotebookScreen(Screen(board, title).render)
    is_terminal = console.is_terminal and not console.is_dumb_terminal
    return LiveTable(board, console, title) if is_terminal else None
