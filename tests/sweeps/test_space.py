"""Whether a sweep fits on the disk, and that none of its jobs starts once the disk is short."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sweeps.estimates import network
from sweeps.passes import Setup
from sweeps.plan import Plan, make_plan
from sweeps.resources import Resources, default_resources
from sweeps.space import NUM_CHECKPOINTS, RECORD_BYTES, Room, Sizes
from sweeps.step import Step
from sweeps.tries import run_passes
from trainers.errors import DiskFullError
from trainers.result import Cause, Failure
from trainers.spec import Role
from trainers.storage import Store, now

PARAMS, PICTURES = 1_000, 50
KEPT = RECORD_BYTES + PICTURES * (12 + 4 * 3) + 4 * PARAMS
MEANWHILE = NUM_CHECKPOINTS * 16 * PARAMS
"""By hand: of a job of 1,000 parameters that predicts 50 pictures of 3 classes."""


class Told:
    """Progress of which nobody wants to know."""

    def started(self, run: str) -> None: ...

    def elsewhere(self, run: str, place: str) -> None: ...

    def epoch(self, run: str, step: Step) -> None: ...

    def ended(self, run: str, phase: Any, note: str) -> None: ...


@pytest.fixture
def plan(make_job: Any) -> Plan:
    """A teacher, its student and a job alone."""
    teacher = make_job("teacher", role=Role.TEACHER)
    return make_plan([teacher, make_job("student", lr=0.1, teacher=teacher.spec), make_job("alone", lr=0.5)])


@pytest.fixture
def sizes(plan: Plan) -> Sizes:
    return Sizes(num_params={network(plan.jobs[0].spec.model): PARAMS}, num_pictures={"f00d": PICTURES})


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets every disk have so much room, in bytes."""

    def use(room: int) -> None:
        usage = SimpleNamespace(total=50_000_000, free=room + 1_000_000)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)

    return use


def test_needed_is_what_all_leave_and_the_checkpoints_of_those_at_work(plan: Plan, sizes: Sizes, make_job: Any) -> None:
    assert sizes.needed(plan.jobs, num_slots=2) == 3 * KEPT + 2 * MEANWHILE
    assert sizes.needed(plan.jobs, num_slots=9) == 3 * KEPT + 3 * MEANWHILE
    averaged = make_job("averaged", ema_decay=0.9)
    assert sizes.meanwhile(averaged) == NUM_CHECKPOINTS * 20 * PARAMS


def test_a_sweep_that_does_not_fit_is_refused_with_what_it_needs(plan: Plan, sizes: Sizes, disk: Any) -> None:
    room = Room(Path("/store"), sizes)
    needed = 3 * KEPT + MEANWHILE
    disk(needed)
    room.check_before(plan, plan.by_id, num_slots=1)
    disk(needed - 1)
    with pytest.raises(DiskFullError, match=f"needs about {needed:,} bytes and {needed - 1:,} are left at /store; "):
        room.check_before(plan, plan.by_id, num_slots=1)


class Disk:
    """Carries out passes in no time; the disk gets short after some jobs, or one of them finds it full."""

    def __init__(self, store: Store, make_result: Any, disk: Any) -> None:
        self.store, self.make_result, self.disk = store, make_result, disk
        self.short_after, self.full_for = 10**6, ""
        self.ran: list[str] = []

    def execute(self, work: Any) -> None:
        frontier = work.frontier()
        while (run := frontier.start_next()) is not None:
            work.on_start(run)
            self.ran.append(work.plan.by_id[run].label)
            attempt = self.store.begin_attempt(run)
            if self.ran[-1] == self.full_for:
                why = "no room for checkpoint; free some space"
                failure = Failure(reason=why, is_permanent=False, log_path="", failed_at=now(), cause=Cause.DISK)
                attempt.write_failure(failure)
            else:
                self.store.finish(attempt, self.make_result(self.store.spec(run), attempt=attempt.token, files={}))
            if len(self.ran) == self.short_after:
                self.disk(100)
            frontier.end(run, is_ok=work.on_end(run))


@pytest.fixture
def world(tmp_path: Path, make_result: Any, plan: Plan, disk: Any) -> Disk:
    disk(10**9)
    world = Disk(Store(tmp_path), make_result, disk)
    for job in plan.jobs:
        world.store.write_spec(job.spec)
    return world


def run(plan: Plan, world: Disk, room: Room) -> None:
    left = {job.id for job in plan.jobs if world.store.result(job.id) is None}
    setup = Setup(resources=default_resources(has_gpu=False), machines=(Resources(cpus=1),))
    run_passes(plan, world.store, left, setup, Told(), room.watching(world.execute), room.allows)


def test_no_job_starts_once_the_disk_is_short_and_all_do_with_a_new_start(
    plan: Plan, sizes: Sizes, disk: Any, world: Disk
) -> None:
    room = Room(world.store.root, sizes)
    world.short_after = 1
    run(plan, world, room)
    assert len(world.ran) == 1
    with pytest.raises(DiskFullError, match=r"stopped, (student|alone)@0 needs about .* 100 are left at .*; free some"):
        room.check()
    disk(10**9)
    room = Room(world.store.root, sizes)
    run(plan, world, room)
    room.check()
    assert sorted(world.ran) == ["alone", "student", "teacher"]


def test_a_job_that_found_the_disk_full_ends_the_sweep_after_its_pass_and_runs_next_time(
    plan: Plan, sizes: Sizes, world: Disk
) -> None:
    room = Room(world.store.root, sizes)
    world.full_for = "teacher"
    run(plan, world, room)
    assert world.ran.count("teacher") == 1
    with pytest.raises(DiskFullError, match="the sweep stopped, no room for checkpoint; free some space and run"):
        room.check()
    world.full_for, room = "", Room(world.store.root, sizes)
    run(plan, world, room)
    room.check()
    assert all(world.store.result(job.id) for job in plan.jobs)
