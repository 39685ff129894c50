"""A plan driven by a clock of its own instead of Ray: the same frontier and ledger, given durations. Pure.

A failing machine is back at once; what ran there goes on from its last whole epoch, after a start-up.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import heappop, heappush

from sweeps.admission import Ledger
from sweeps.frontier import Frontier
from sweeps.graph import children_of, longest_paths
from sweeps.resources import Resources

SECONDS_PER_DAY = 86_400.0


class Policy(StrEnum):
    """Which ready job starts first."""

    LONGEST_PATH = "longest-path"
    FIFO = "fifo"
    STAGES = "stages"


@dataclass(frozen=True, kw_only=True)
class Task:
    """One job: what it waits for and asks for, and the seconds that it takes, in epochs and besides."""

    id: str
    request: Resources
    epoch_seconds: float
    num_epochs: int = 1
    extra_seconds: float = 0.0
    parents: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Of the whole job, undisturbed."""
        return self.num_epochs * self.epoch_seconds + self.extra_seconds


@dataclass(frozen=True, kw_only=True)
class World:
    """Machines, and what goes wrong with them: `startup_seconds` is what a new process costs its first job."""

    machines: tuple[Resources, ...]
    max_concurrent: int | None = None
    failures_per_day: float = 0.0
    startup_seconds: float = 0.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """How a plan came out: when its last job ended, what was computed in vain, and how often jobs began again."""

    makespan_seconds: float
    lost_seconds: float = 0.0
    num_restarts: int = 0


def simulate(tasks: Sequence[Task], world: World, policy: Policy = Policy.LONGEST_PATH) -> Simulated:
    """Run tasks, in an order in which parents come first, until all are done; each must fit on a machine."""
    clock = _Clock(tasks, world)
    cost = (lambda task: task.seconds) if policy is Policy.LONGEST_PATH else (lambda task: 0.0)
    for stage in _stages(tasks) if policy is Policy.STAGES else [tasks]:
        clock.run(stage, cost)
    return Simulated(makespan_seconds=clock.now, lost_seconds=clock.lost_seconds, num_restarts=clock.num_restarts)


def lower_bound(tasks: Sequence[Task], machines: Sequence[Resources]) -> float:
    """Seconds that no schedule can beat: the longest chain, or all work on CPUs or GPUs over how many there are."""
    by_id = {task.id: task for task in tasks}
    children = children_of(list(by_id), {task.id: task.parents for task in tasks})
    chains = longest_paths(list(by_id), [children], lambda run: by_id[run].seconds)
    return max([shared_work(tasks, machines), *chains.values()])


def shared_work(tasks: Sequence[Task], machines: Sequence[Resources]) -> float:
    """Seconds for which the scarcer kind of device would be busy, all of them all the time."""
    cpus, gpus = sum(machine.cpus for machine in machines), sum(machine.gpus for machine in machines)
    on_cpus = sum(task.seconds * task.request.cpus for task in tasks) / cpus
    return max(on_cpus, sum(task.seconds * task.request.gpus for task in tasks) / gpus if gpus else 0.0)


def tail_bound(tasks: Sequence[Task], machines: Sequence[Resources]) -> float:
    """A tighter bound: what has a chain of so many seconds below it must be done so many seconds before the end."""
    by_id = {task.id: task for task in tasks}
    children = children_of(list(by_id), {task.id: task.parents for task in tasks})
    paths = longest_paths(list(by_id), [children], lambda run: by_id[run].seconds)
    tails = sorted(((paths[task.id] - task.seconds, task) for task in tasks), key=lambda pair: -pair[0])
    cpus, gpus = (sum(getattr(machine, name) for machine in machines) for name in ("cpus", "gpus"))
    bound = lower_bound(tasks, machines)
    on_cpus = on_gpus = 0.0
    for tail, task in tails:
        on_cpus += task.seconds * task.request.cpus / cpus
        on_gpus += task.seconds * task.request.gpus / gpus if gpus else 0.0
        bound = max(bound, tail + on_cpus, tail + on_gpus)
    return bound


def _stages(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """Tasks by their depth in the graph."""
    depth: dict[str, int] = {}
    for task in tasks:
        depth[task.id] = 1 + max((depth[parent] for parent in task.parents if parent in depth), default=-1)
    for level in range(max(depth.values(), default=-1) + 1):
        yield [task for task in tasks if depth[task.id] == level]


@dataclass
class _Running:
    """A task at work since `begun`, on a machine; `turn` tells an end that a failure made void."""

    task: Task
    machine: int
    begun: float
    num_epochs_done: int = 0
    turn: int = 0

    @property
    def ends_at(self) -> float:
        rest = self.task.num_epochs - self.num_epochs_done
        return self.begun + rest * self.task.epoch_seconds + self.task.extra_seconds


class _Clock:
    """Time, what runs, and what was lost."""

    def __init__(self, tasks: Sequence[Task], world: World) -> None:
        self.now, self.lost_seconds, self.num_restarts = 0.0, 0.0, 0
        self._tasks, self._world = {task.id: task for task in tasks}, world
        self._ledger = Ledger(world.machines)
        self._running: dict[str, _Running] = {}
        self._ends: list[tuple[float, str, int]] = []
        self._idle: Counter[tuple[int, Resources]] = Counter()
        self._random = random.Random(world.seed)
        self._next_failure = self._draw_failure(0.0)

    def run(self, tasks: Sequence[Task], cost: Callable[[Task], float]) -> None:
        """Run some tasks to their end; the machines are empty before and after."""
        frontier = Frontier(
            [task.id for task in tasks],
            {task.id: task.parents for task in tasks},
            lambda run: self._tasks[run].request,
            self._ledger,
            lambda run: cost(self._tasks[run]),
            max_concurrent=self._world.max_concurrent,
        )
        self._start(frontier)
        while self._running:
            at = min(self._ends[0][0], self._next_failure)
            self.now = at
            if at < self._ends[0][0]:
                self._fail(self._random.randrange(len(self._world.machines)))
            elif self._end(frontier):
                self._start(frontier)

    def _start(self, frontier: Frontier) -> None:
        while (run := frontier.start_next()) is not None:
            task, machine = self._tasks[run], frontier.machine_of(run)
            process = (machine, task.request)
            is_new = self._idle[process] == 0
            self._idle[process] -= not is_new
            begun = self.now + (self._world.startup_seconds if is_new else 0.0)
            self._go_on(_Running(task, machine, begun))

    def _go_on(self, running: _Running) -> None:
        self._running[running.task.id] = running
        heappush(self._ends, (running.ends_at, running.task.id, running.turn))

    def _end(self, frontier: Frontier) -> bool:
        """The next end; False for one that is void."""
        _, run, turn = heappop(self._ends)
        running = self._running.get(run)
        if running is None or running.turn != turn:
            return False
        del self._running[run]
        self._idle[running.machine, running.task.request] += 1
        frontier.end(run, is_ok=True)
        return True

    def _fail(self, machine: int) -> None:
        """All that runs there goes on from its last whole epoch, in new processes."""
        for running in [one for one in self._running.values() if one.machine == machine]:
            gone, epoch_seconds = max(0.0, self.now - running.begun), running.task.epoch_seconds
            left = running.task.num_epochs - running.num_epochs_done
            num_whole = min(left, int(gone // epoch_seconds)) if epoch_seconds else left
            self.lost_seconds += gone - num_whole * epoch_seconds
            self.num_restarts += 1
            running.num_epochs_done += num_whole
            running.turn += 1
            running.begun = self.now + self._world.startup_seconds
            self._go_on(running)
        for process in [one for one in self._idle if one[0] == machine]:
            del self._idle[process]
        self._next_failure = self._draw_failure(self.now)

    def _draw_failure(self, after: float) -> float:
        """When any machine fails next; each does at the same rate, whenever it last did."""
        rate = self._world.failures_per_day * len(self._world.machines) / SECONDS_PER_DAY
        return after + self._random.expovariate(rate) if rate else float("inf")
