"""An overview on a screen of any size: what failed, what runs, who holds up whom, what is done.

What fails and runs comes first; with thousands of jobs the rest is counted by label, so that it stays one screen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from analysis.at_work import table_of
from analysis.fitting import MOST_NAMES, Line, comma_separated, fitted, listed, naming, said, shortened
from analysis.overview import AT_WORK, Glance, Overview, Phase
from analysis.words import counted, format_seconds

STYLES = {Phase.FAILED: "bold red", Phase.BLOCKED: "yellow", Phase.ELSEWHERE: "magenta", Phase.DONE: "green"}

MARK = "*"
"""Before what the longest path needs next."""

LINES_PER_FAILURE = 8
"""Of a screen, for each failure that it tells of by itself."""


def screen(overview: Overview, width: int, height: int) -> Group:
    """As many lines as fit; at least the totals, what failed and one job that runs."""
    upper = [*_head(overview, width), *_troubles(overview, width, max(1, height // LINES_PER_FAILURE))]
    running, elsewhere = overview.of_phase(Phase.RUNNING), _elsewhere(overview, width)
    done = [_done(overview, width)] if overview.counts[Phase.DONE] else []
    rest = max(3, height - 1 - len(upper))
    below = rest - len(elsewhere) - len(done)
    waiting = _waiting(overview, width, max(3, below // 2, below - len(running) - 3))
    lower = [*elsewhere, *waiting, *done]
    table, used = table_of(overview, running, width, max(3, rest - len(lower)))
    lower = lower[: max(0, rest - used)]  # the totals count them
    spare = rest - used - len(lower)
    above = fitted(upper, len(upper) + spare)
    spare -= len(above) - len(upper)
    return Group(_bar(overview, width), *above, *table, *fitted(lower, len(lower) + spare))


def counts_line(overview: Overview) -> str:
    """`27 jobs: 12 done, 2 running, 13 waiting`."""
    counts = [f"{overview.counts[phase]:,} {phase.value}" for phase in Phase if overview.counts[phase]]
    return f"{counted(len(overview.jobs), 'job')}: {', '.join(counts)}"


def percent(share: float) -> str:
    """Rounded down, so that it says 100 only when nothing is left."""
    return f"{int(100 * share + 1e-9)} %"


def _bar(overview: Overview, width: int) -> RenderableType:
    """Title, bar, share and times on one line."""
    elapsed, left = format_seconds(overview.elapsed_seconds), format_seconds(overview.seconds_left)
    is_over = not any(overview.counts[phase] for phase in (*AT_WORK, Phase.WAITING))
    times = f"{elapsed} gone" + ("" if is_over else f", about {left} left")
    share, title = percent(overview.share_done), shortened(overview.title, width // 4)
    bar_width = max(5, width - cell_len(title) - len(share) - len(times) - 6)
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(4):
        grid.add_column(no_wrap=True)
    bar = ProgressBar(total=1.0, completed=overview.share_done, width=bar_width)
    grid.add_row(Text(title, style="bold"), bar, Text(share), Text(times, style="bold"))
    return grid


def _head(overview: Overview, width: int) -> list[Line]:
    return [said("", counts_line(overview), width, "bold"), *(said("", remark, width) for remark in overview.remarks)]


def _troubles(overview: Overview, width: int, most: int) -> list[Line]:
    """What failed, with the reason, and what that blocks."""
    failed, blocked = overview.of_phase(Phase.FAILED), list(overview.blocked.items())
    lines = [said("FAILED ", f"{job.name}: {job.note}", width, STYLES[Phase.FAILED]) for job in failed[:most]]
    if len(failed) > most:
        lines.append(naming(f"FAILED too, {len(failed) - most:,}: ", failed[most:], width, STYLES[Phase.FAILED]))
    for note, jobs in blocked[:most]:
        start = f"BLOCKED {shortened(note, width // 2)}, {len(jobs):,}: "
        lines.append(naming(start, jobs, width, STYLES[Phase.BLOCKED]))
    others = [job for _, jobs in blocked[most:] for job in jobs]
    if others:
        lines.append(naming(f"BLOCKED by others, {len(others):,}: ", others, width, STYLES[Phase.BLOCKED]))
    return lines


def _elsewhere(overview: Overview, width: int) -> list[Line]:
    """What other drivers are at, by driver."""
    places: dict[str, list[Glance]] = {}
    for job in overview.of_phase(Phase.ELSEWHERE):
        places.setdefault(job.place, []).append(job)
    return [
        naming(f"  {shortened(place, width // 2)} is at {len(jobs):,}: ", jobs, width, STYLES[Phase.ELSEWHERE])
        for place, jobs in places.items()
    ]


def _waiting(overview: Overview, width: int, room: int) -> list[Line]:
    """Who holds up whom, the longest path first; what is ready; the longest path itself."""
    ready = [job for job in overview.ready if job.id not in overview.held_up]
    tail = [naming(f"  ready, {len(ready):,}: ", ready, width)] if ready else []
    tail += [_path(overview, width)] if len(overview.longest_path) > 1 else []
    groups = [[overview.jobs[head]] for head in overview.held_up]
    if len(groups) > room - len(tail):
        groups = _by_kind(groups)
    groups.sort(key=lambda heads: -max(overview.path_seconds.get(head.id, 0.0) for head in heads))
    most = max(1, room - len(tail) - (len(groups) > room - len(tail)))
    lines = [_held(overview, heads, width) for heads in groups[:most]]
    rest = [head for heads in groups[most:] for head in heads]
    if rest:
        held = {job: None for head in rest for job in overview.held_up[head.id]}
        start = f"  {counted(len(rest), 'more')} hold up {len(held):,}: "
        lines.append(Line(forms=([start + listed([overview.jobs[job] for job in held], width - len(start))],)))
    return [*lines, *tail]


def _by_kind(groups: Iterable[list[Glance]]) -> list[list[Glance]]:
    kinds: dict[str, list[Glance]] = {}
    for heads in groups:
        for head in heads:
            kinds.setdefault(head.kind, []).append(head)
    return list(kinds.values())


def _held(overview: Overview, heads: Sequence[Glance], width: int) -> Line:
    """`* teacher@0 (62 %) holds up 3: ...`; several of one label are counted."""
    held = list(dict.fromkeys(job for head in heads for job in overview.held_up[head.id]))
    mark = MARK if overview.longest_path[0] in {head.id for head in heads} else " "
    verb = "holds" if len(heads) == 1 else "hold"
    start = f"{mark} {_holder(heads, width)} {verb} up {len(held):,}: "
    return naming(start, [overview.jobs[job] for job in held], width)


def _holder(heads: Sequence[Glance], width: int) -> str:
    if len(heads) == 1:
        share = percent(heads[0].share_done)
        is_new = not heads[0].num_epochs_done
        state = share if heads[0].phase is not Phase.WAITING else "ready" if is_new else f"{share}, ready"
        return f"{shortened(heads[0].name, width // 3)} ({state})"
    at_work = sum(head.phase is not Phase.WAITING for head in heads)
    state = f"{at_work:,} started" if at_work else "ready"
    return f"{shortened(heads[0].kind, width // 4)} x {len(heads):,} ({state})"


def _path(overview: Overview, width: int) -> Line:
    """The chain that decides how long it takes at least."""
    names = [overview.jobs[job].name for job in overview.longest_path]
    seconds = overview.path_seconds[overview.longest_path[0]]
    start = f"{MARK} longest path" + (f", {format_seconds(seconds)}: " if seconds else ": ")
    whole = said(start, " > ".join(names), width, "dim")
    between = f"> {len(names) - 2} more > " if len(names) > 2 else "> "
    short = said(start, f"{names[0]} {between}{names[-1]}", width)
    return Line(forms=(whole.forms[0], short.forms[-1]), style="dim")


def _done(overview: Overview, width: int) -> Line:
    """What is done, with its accuracy: by name, by label, or counted."""
    done = overview.of_phase(Phase.DONE)
    start = f"  done, {len(done):,}: "
    forms = [[f"{job.name}{_accuracies([job])}" for job in done]] if len(done) <= MOST_NAMES else []
    forms += [words] if len(words := _kinds_done(overview, done)) <= MOST_NAMES else []
    flown = (comma_separated(start, some, width) for some in forms)
    return Line(forms=(*flown, [start + listed(done, width - len(start))]), style=STYLES[Phase.DONE])


def _kinds_done(overview: Overview, done: Sequence[Glance]) -> list[str]:
    """`student 3 of 9 (61.0 to 67.9 %)`: how far each label is."""
    totals, of_kind = Counter(job.kind for job in overview.jobs.values()), dict[str, list[Glance]]()
    for job in done:
        of_kind.setdefault(job.kind, []).append(job)
    return [f"{kind} {len(jobs):,} of {totals[kind]:,}{_accuracies(jobs)}" for kind, jobs in of_kind.items()]


def _accuracies(jobs: Sequence[Glance]) -> str:
    known = [f"{100 * job.best_accuracy:.1f}" for job in jobs if job.best_accuracy is not None]
    if not known:
        return ""
    low, high = min(known, key=float), max(known, key=float)
    return f" ({low} %)" if low == high else f" ({low} to {high} %)"
