"""Watch a sweep from another terminal, also afterwards: `python -m analysis.watch STORE`. Writes nothing."""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from analysis.command import existing_store, exit_code
from analysis.lookout import Lookout, is_over
from analysis.overview import OPEN, Glance, Overview, Phase
from analysis.screen import counts_line, percent, screen
from analysis.standings import best_lines
from analysis.words import format_seconds
from trainers.errors import SpecError
from trainers.shown import Parser, one_line

LINES_OF_A_FILE = 100
"""Of a state that goes to no terminal."""

RANKING_SECONDS = 20.0
"""How long the end of a sweep is given to be ranked."""

MOST_EVENTS = 10
"""Lines at each look, where no terminal can be redrawn."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: exit code 0, 2 with one line on stderr, or 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return exit_code(lambda: _watch(options))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m analysis.watch", description="Watch a sweep; reads its store and writes nothing.")
    parser.add_argument("store", metavar="STORE", help="the folder, or s3://BUCKET/PREFIX, of run_all.py --store")
    parser.add_argument("--once", action="store_true", help="show how it stands and end")
    parser.add_argument("--every", type=float, default=5.0, metavar="SECONDS", help="between two looks (default 5)")
    parser.add_argument("--plan", metavar="ID", help="another plan than the latest")
    return parser


def _watch(options: argparse.Namespace) -> None:
    if not 0.1 <= options.every < math.inf:
        raise SpecError(f"--every is {options.every:g}; allowed: 0.1 seconds or more")
    store = existing_store(options.store, may_be_empty=not options.once)
    lookout, console = Lookout(store.root, options.plan), Console(highlight=False)
    if not options.once:
        _wait_for_a_plan(lookout, options.every)
    overview = lookout.look()
    patience = 0.0
    if not options.once and not is_over(overview, len(lookout.drivers.alive)):
        overview, patience = _follow(lookout, overview, console, options.every), RANKING_SECONDS
    height = console.height if console.is_terminal else LINES_OF_A_FILE
    console.print(screen(overview, console.width, height))
    if is_over(overview, len(lookout.drivers.alive)):
        for line in best_lines_of(lookout, patience):
            console.print(Text(line), soft_wrap=not console.is_terminal)


def best_lines_of(lookout: Lookout, patience: float) -> list[str]:
    """The best networks, once they are ranked: a driver does so last of all."""
    end = time.monotonic() + patience
    while not (lines := best_lines(lookout.store, lookout.plan)) and time.monotonic() < end:
        time.sleep(0.5)
    root, plan = one_line(lookout.store.root), lookout.plan.plan_id
    return lines or [f"not ranked yet: python -m analysis.rank {root} --plan {plan}"]


def _wait_for_a_plan(lookout: Lookout, every: float) -> None:
    """A sweep that has just begun prepares its data first."""
    is_told = False
    while not lookout.has_plan():
        if not is_told:
            _say(f"nothing is planned in {lookout.store.root} yet; waiting")
        is_told = True
        time.sleep(every)


def _follow(lookout: Lookout, overview: Overview, console: Console, every: float) -> Overview:
    """Look again and again until it is over; gives the last look."""
    with _shown(console) as show:
        show(overview)
        while not is_over(overview, len(lookout.drivers.alive)):
            time.sleep(every)
            overview = lookout.look()
            show(overview)
    return overview


@contextmanager
def _shown(console: Console) -> Iterator[Callable[[Overview], None]]:
    """What shows an overview: a screen that is redrawn, or lines of what has happened since the one before."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield Events().show
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda overview: live.update(_fitting(overview, console), refresh=True)


def _fitting(overview: Overview, console: Console) -> Group:
    return screen(overview, console.width, console.height - 1)


class Events:
    """Says what has happened between two looks, a line each, the totals where that is much."""

    def __init__(self) -> None:
        self._before: dict[str, Phase] = {}
        self._totals = ""

    def show(self, overview: Overview) -> None:
        """Nothing if nothing has happened; the first time the totals alone."""
        phases = {run: job.phase for run, job in overview.jobs.items()}
        new = [overview.jobs[run] for run, phase in phases.items() if self._before.get(run, phase) is not phase]
        for job in new if len(new) <= MOST_EVENTS else ():
            _say(f"{job.name}: {_event(job)}")
        totals = f"{counts_line(overview)}; {percent(overview.share_done)}"
        if totals != self._totals:
            left = f", about {format_seconds(overview.seconds_left)} left" if overview.of_phase(*OPEN) else ""
            _say(f"[{format_seconds(overview.elapsed_seconds)}] {totals}{left}")
        self._before, self._totals = phases, totals


def _event(job: Glance) -> str:
    accuracy = "" if job.best_accuracy is None or job.phase is not Phase.DONE else f" {100 * job.best_accuracy:.1f} %"
    return f"{job.phase.value}{accuracy} {job.note}".strip()


def _say(line: str) -> None:
    print(one_line(line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
