"""Memory that runs short: what tells it, fewer jobs at a time, and the end of it where a job is alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeps.memory import ALONE, Crowd, Deaths, oom_kills
from sweeps.passes import Pass, Setup
from sweeps.plan import Plan, make_plan
from sweeps.resources import Resources, default_resources
from sweeps.step import Step
from sweeps.tries import run_passes
from trainers.result import Cause, Failure
from trainers.storage import Store, now

RAY_OF_ANY_DEATH = (
    "The actor died unexpectedly before finishing this task. Its worker process has died. There are some potential "
    "root causes. (1) The process is killed by SIGKILL by OOM killer due to high memory usage. (2) ray stop is called."
)
RAY_OF_ITS_MONITOR = "Task was killed due to the node running low on memory. Memory on the node was 15.2GB / 16.0GB"


class Told:
    """Progress of which nobody wants to know."""

    def started(self, run: str) -> None: ...

    def elsewhere(self, run: str, place: str) -> None: ...

    def epoch(self, run: str, step: Step) -> None: ...

    def ended(self, run: str, phase: Any, note: str) -> None: ...


class Machine:
    """Runs as many jobs at once as there may be, in no time; memory is enough for `holds` of them, and none is let go.

    `ran` is how many ran at once, at every start of one.
    """

    def __init__(self, store: Store, make_result: Any, holds: int) -> None:
        self.store, self.make_result, self.holds = store, make_result, holds
        self.passes: list[int] = []

    def execute(self, work: Pass) -> None:
        frontier = work.frontier()
        while batch := self._started(frontier, work):
            self.passes.append(len(batch))
            for place, run in enumerate(batch):
                self._end(run, is_ok=place < self.holds)
                frontier.end(run, is_ok=work.on_end(run))

    def _started(self, frontier: Any, work: Pass) -> list[str]:
        batch = []
        while (run := frontier.start_next()) is not None:
            work.on_start(run)
            batch.append(run)
        return batch

    def _end(self, run: str, *, is_ok: bool) -> None:
        attempt = self.store.begin_attempt(run)
        if is_ok:
            self.store.finish(attempt, self.make_result(self.store.spec(run), attempt=attempt.token, files={}))
        else:
            failure = Failure(
                reason="MemoryError", is_permanent=False, log_path="", failed_at=now(), cause=Cause.MEMORY
            )
            attempt.write_failure(failure)


@pytest.fixture
def plan(make_job: Any) -> Plan:
    return make_plan([make_job(f"job{number}", lr=0.1 * number) for number in range(1, 9)])


def carry_out(plan: Plan, world: Machine) -> list[str]:
    """Runs all of a plan on a machine of 8 slots; gives what was said."""
    for job in plan.jobs:
        world.store.write_spec(job.spec)
    said: list[str] = []
    setup = Setup(resources=default_resources(has_gpu=False), machines=(Resources(cpus=8),))
    run_passes(plan, world.store, set(plan.by_id), setup, Told(), Crowd(said.append).watching(world.execute))
    return said


def test_half_as_many_run_at_once_after_each_pass_without_memory_until_all_are_done(
    plan: Plan, tmp_path: Path, make_result: Any
) -> None:
    world = Machine(Store(tmp_path), make_result, holds=2)
    said = carry_out(plan, world)
    assert world.passes == [8, 4, 2, 2], "8 at once leave 6, of which 4 at once leave 4, and two at a time are held"
    assert all(world.store.result(job.id) for job in plan.jobs)
    assert [line.partition(" (")[0] for line in said] == [
        "out of memory with up to 8 jobs at a time",
        "out of memory with up to 4 jobs at a time",
    ]
    assert said[0].endswith("(job3@0 and 5 more); from now on at most 4 at a time")


def test_what_runs_out_of_memory_alone_fails_for_good_and_says_why(
    plan: Plan, tmp_path: Path, make_result: Any
) -> None:
    world = Machine(Store(tmp_path), make_result, holds=0)
    said = carry_out(plan, world)
    assert world.passes == [8, 4, 4, 2, 2, 2, 2, *[1] * 8]
    assert said[-1].endswith("at most 1 at a time")
    for job in plan.jobs:
        failure = world.store.state(job.id).failure
        assert failure is not None and failure.is_permanent and failure.cause is Cause.MEMORY
        assert failure.reason == f"{ALONE}: MemoryError"


def test_a_death_is_of_memory_if_the_kernel_counted_a_kill_or_rays_monitor_says_so() -> None:
    counts = iter([3, 3, 4, 4, 4, None])
    deaths = Deaths(lambda: next(counts))
    assert deaths.cause(RAY_OF_ANY_DEATH) is Cause.MACHINE
    assert deaths.cause(RAY_OF_ANY_DEATH) is Cause.MEMORY
    assert deaths.cause(RAY_OF_ANY_DEATH) is Cause.MACHINE
    assert deaths.cause(RAY_OF_ITS_MONITOR) is Cause.MEMORY
    assert deaths.cause(RAY_OF_ANY_DEATH) is Cause.MACHINE


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.events": "oom 5\noom_kill 2\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.events": "low 0\noom_kill 3\n"}, 3),
        ({"proc/self/cgroup": "4:memory:/x\n", "sys/fs/cgroup/memory/memory.oom_control": "oom_kill 4\n"}, 4),
        ({"proc/self/cgroup": "0::/gone\n", "proc/vmstat": "nr_free_pages 9\noom_kill 7\npgfree 1\n"}, 7),
        ({"proc/self/cgroup": "0::/\n", "proc/vmstat": "nr_free_pages 9\n"}, None),
        ({}, None),
    ],
)
def test_the_kernels_count_is_that_of_our_group_or_else_of_the_machine(
    tmp_path: Path, files: dict[str, str], count: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert oom_kills(tmp_path) == count


def test_a_job_that_died_without_memory_is_given_up_in_its_pass_and_another_death_is_not(
    plan: Plan, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    setup = Setup(resources=default_resources(has_gpu=False), machines=(Resources(cpus=8),))
    work = Pass(plan, set(plan.by_id), store, setup, Told())
    first, second, third = (job.id for job in plan.jobs[:3])
    for run in (first, second, third):
        work.on_start(run)
        store.begin_attempt(run)
    assert not work.on_death(first, Cause.MACHINE)
    assert store.state(first).failure is None
    assert work.on_death(second, Cause.MEMORY)
    assert not work.on_end(second)
    assert work.short_of_memory == {second}
    hung = Failure(reason="hung", is_permanent=False, log_path="", failed_at=now(), cause=Cause.HUNG)
    store.attempts(third)[-1].write_failure(hung)
    assert work.on_death(third, Cause.MACHINE)
    assert work.failures.keys() == {second}
