"""One run of a sweep: its plan is recorded, what is left of it is carried out under Ray or in this process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps import allocator
from sweeps.company import Company, silent
from sweeps.counting import Counted, count_networks, counted_beside
from sweeps.estimates import Estimates, network
from sweeps.history import read_history
from sweeps.memory import Crowd
from sweeps.passes import Pass, Setup
from sweeps.plan import Decision, Plan
from sweeps.report import refreshing
from sweeps.request import ExecutionRequest
from sweeps.share_logits import TeacherLogits, readable, share_logits, without_room
from sweeps.space import Room, Sizes
from sweeps.sweep import Sweep, git_state, left_to_run, refuse_disturbing, set_aside_stale
from sweeps.time_limit import TimeLimit, all_allow, end_of
from sweeps.tries import run_passes
from sweeps.weights import keep_weights
from trainers.attempt import after
from trainers.heartbeat import driving
from trainers.leases import Leases
from trainers.result import Manifest, Split
from trainers.space import free_bytes
from trainers.spec import Choice, group_id
from trainers.storage import Store

if TYPE_CHECKING:
    from rich.console import Console

    from sweeps.board import Board
    from sweeps.resources import Resources

Say = Callable[[str], None]

MOST_EXPECTED = 1_000
"""Jobs, of the groups of which a driver's record says how long their epochs should take."""

PROCESS_SECONDS = 4.0
"""Of a worker's process until its first job can begin: most of it is the import of torch."""


def introduce(sweep: Sweep, store: Store, say: Say) -> None:
    """Say what data and what pretraining a plan rests on and what a grid made of it."""
    counts = ", ".join(f"{number} {split}" for split, number in sweep.data.num_images.items())
    say(f"data: {sweep.data.origin} ({counts}; {sweep.data.num_classes} classes, {sweep.data.image_size} pixels)")
    weights, source = sweep.pretraining.weights, sweep.source
    if source is not None:
        say(f"pretraining: a job on {source.origin} ({source.num_images['train']} train; {source.num_classes} classes)")
    elif weights is not None and any(job.spec.init_weights == weights for job in sweep.plan.jobs):
        say(f"pretraining: {weights.name} ({sweep.pretraining.path or 'torch hub cache or download'})")
    for manifest in (sweep.data, source):
        _say_what_is_wrong(manifest, store, say)
    if sweep.grid_note:
        say(sweep.grid_note)
    for job in sweep.plan.jobs:
        if job.also:
            say(f"{job.name} is also {', '.join(job.also)}: the same training, done once")
    say(f"store: {store.root} (runs, tables, logs)")


def _say_what_is_wrong(data: Manifest | None, store: Store, say: Say) -> None:
    """What the user allowed the data to be."""
    if data is not None and data.skipped:
        where = store.data_folder(data.fingerprint) / "manifest.json"
        say(f"data: {len(data.skipped)} unreadable pictures were left out: {data.skipped[0]}, ...; all are in {where}")
    if data is not None and data.num_leaked:
        say(f"data: {data.num_leaked} pictures are in two splits: accuracies are higher than they should be")


def carry_out(
    sweep: Sweep,
    store: Store,
    request: ExecutionRequest,
    console: Console,
    say: Say,
    started: float,
    command: str,
) -> int:
    """Run what is left, and give how many jobs the hours since `started` (monotonic seconds) did not allow.

    The plan is recorded, as made by `command`, once nothing can be refused any more.
    Imports neither torch nor ray when nothing is left. DamagedDataError if a job's data must be prepared anew first.
    """
    to_run = left_to_run(sweep, store, say)
    say(f"jobs: {len(sweep.plan.jobs)} planned, {len(sweep.plan.jobs) - len(to_run)} done, {len(to_run)} to run")
    if not to_run:
        _record(sweep, store, command)
        return 0
    for data in sorted({decision.job.spec.data for decision in to_run.values()}):
        store.set_damaged_data_aside(data)
    from analysis.overview import Phase
    from sweeps.progress import BoardProgress, live_view

    keep_weights(store, sweep.plan, sweep.pretraining, sweep.request.teacher)
    with ExitStack() as stack:
        ready = _made_ready(sweep, to_run, store, request, stack, say)
        plan, setup, room = ready.plan, ready.setup, ready.room
        _record(sweep, store, command)
        if not request.no_report:
            stack.enter_context(refreshing(store, sweep.plan.plan_id))
        leases = stack.enter_context(driving(store, _expected(plan, setup)))
        _take_up(plan, to_run, store, leases)
        board = _board(plan, ready.unfinished, setup, request)
        view = None if request.quiet else live_view(board, console, sweep.request.sweep)
        if view is not None:
            stack.enter_context(view)
        progress = BoardProgress(board, say if view is None else silent)
        end = end_of(started, request.max_hours)
        limit = TimeLimit(end=end, clock=time.monotonic, seconds_left=board.measured_seconds_left)
        may_start, company = all_allow(room.allows, limit.allows), Company(leases=leases, say=say)
        execute, setup = room.watching(Crowd(say).watching(ready.execute)), replace(setup, driver=leases.token)
        run_passes(plan, store, ready.unfinished, setup, progress, execute, may_start, company=company)
    say(progress.summary())
    room.check()
    waiting = sum(board.lines[job.id].phase in (Phase.WAITING, Phase.ELSEWHERE) for job in sweep.plan.jobs)
    return 0 if request.max_hours is None else waiting


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """What is left of a sweep once nothing can be refused any more; `plan` has the logits that its students share."""

    plan: Plan
    unfinished: set[str]
    setup: Setup
    room: Room
    execute: Callable[[Pass], None]


def _made_ready(
    sweep: Sweep,
    to_run: dict[str, Decision],
    store: Store,
    request: ExecutionRequest,
    stack: ExitStack,
    say: Say,
) -> _Ready:
    """Machines are there, networks are counted, and both the disk and the largest machine are large enough."""
    models = [decision.job.spec.model for decision in to_run.values()]
    machines, execute, counted = _started(sweep, models, store, request, stack, say)
    num_macs = {network(model): macs for model, macs, _ in counted}
    estimates = Estimates(history=read_history(store), num_images=sweep.num_images, num_macs=num_macs)
    setup = _setup(sweep, request, machines, estimates)
    room = Room(store.root, _sizes(sweep, counted))
    beside = min(room.free_beside(sweep.plan, to_run, setup.num_slots(sweep.plan)), free_bytes(store.log_folder()))
    plan = _with_logits(sweep, set(to_run), request.teacher_logits, setup, beside, say)
    setup = replace(setup, readers=plan.wishes.keys())
    unfinished = {*to_run, *(job.id for job in plan.logits)}
    setup.check_feasible(plan.tasks[task] for task in unfinished)
    room.check_before(plan, unfinished, setup.num_slots(plan))
    return _Ready(plan=plan, unfinished=unfinished, setup=setup, room=room, execute=execute)


def _take_up(plan: Plan, to_run: dict[str, Decision], store: Store, leases: Leases) -> None:
    """Set aside what is to start over, and ask for logits, unless another driver would be disturbed."""
    holders = leases.holders(plan.tasks)
    refuse_disturbing(plan, to_run, holders)
    set_aside_stale(store, to_run, holders)
    for job in plan.logits:
        store.logits(job.id).write_request(job.request)


def _board(plan: Plan, unfinished: Collection[str], setup: Setup, request: ExecutionRequest) -> Board:
    """What is shown of the sweep, and its estimates."""
    from sweeps.board import Board

    return Board(
        plan,
        set(plan.tasks).difference(unfinished),
        setup.num_slots(plan),
        setup.epoch_seconds,
        setup.kind,
        extra_seconds=setup.estimates.history.extra_seconds,
        startup_seconds=0.0 if request.serial else PROCESS_SECONDS,
    )


def _with_logits(sweep: Sweep, to_run: set[str], mode: TeacherLogits, setup: Setup, room: int, say: Say) -> Plan:
    """The plan with the logits that its students share, as far as they can read them and the disk has room."""
    plan = share_logits(sweep.plan, to_run, mode, sweep.num_images)
    plan = readable(plan, setup.place)
    plan, no_room = without_room(plan, room)
    if no_room:
        say(no_room)
    for job in plan.logits:
        say(f"{job.name} is written once, {job.about}")
    return plan


def _expected(plan: Plan, setup: Setup) -> dict[str, float]:
    """Seconds of an epoch by group, of the first groups of a plan: what is told to whoever watches."""
    groups = {group_id(job.spec): job for job in plan.jobs[:MOST_EXPECTED]}
    return {group: setup.epoch_seconds(job) for group, job in groups.items()}


def _sizes(sweep: Sweep, counted: Counted) -> Sizes:
    manifests = [data for data in (sweep.data, sweep.source) if data is not None]
    predicted = (Split.VALIDATION.value, Split.TEST.value)
    return Sizes(
        num_params={network(model): params for model, _, params in counted},
        num_pictures={data.fingerprint: sum(data.num_images.get(name, 0) for name in predicted) for data in manifests},
    )


def _record(sweep: Sweep, store: Store, command: str) -> None:
    for job in sweep.plan.jobs:
        store.write_spec(job.spec)
    latest = max((plan.planned_at for plan in store.plans()), default="")
    record = sweep.record(command)
    store.write_plan(replace(record, planned_at=max(record.planned_at, after(latest))))


def _setup(sweep: Sweep, request: ExecutionRequest, machines: tuple[Resources, ...], estimates: Estimates) -> Setup:
    """What every pass needs to know of the request and the machines."""
    return Setup(
        resources=request.resources(has_gpu=any(machine.gpus for machine in machines)),
        machines=machines,
        estimates=estimates,
        max_concurrent=1 if request.serial else request.max_concurrent,
        allow_weak_teacher=request.allow_weak_teacher,
        git=git_state(Path(__file__).parent),
        plugins=sweep.request.plugins,
        reads_logits=request.teacher_logits is not TeacherLogits.NEVER,
        deterministic=request.deterministic,
    )


def _started(
    sweep: Sweep, models: Iterable[Choice], store: Store, request: ExecutionRequest, stack: ExitStack, say: Say
) -> tuple[tuple[Resources, ...], Callable[[Pass], None], Counted]:
    """The machines there are, the function that runs a pass on them, and the networks, counted while Ray starts."""
    if request.serial:
        from sweeps.serial import run_serially, this_machine

        if allocator.is_set(os.environ):
            say(allocator.SAYING)
        return (this_machine(),), run_serially, count_networks(models)
    say(f"starting Ray (its messages: {store.log_folder() / 'ray.log'})")
    with counted_beside(models, store.plugins(sweep.request.plugins) if sweep.request.plugins else None) as counted:
        from sweeps.connect import connected
        from sweeps.execute import run_with_tune

        machines = stack.enter_context(connected(request.address, store, say))
        return machines, run_with_tune, counted()


def preparation_line(say: Say) -> Callable[[str, int, int], None]:
    """Says how far the preparation of a data set is, at its start and every 5,000 pictures."""

    def on_image(name: str, done: int, total: int) -> None:
        if done == 1 or done % 5000 == 0 or done == total:
            say(f"preparing {name}: {done}/{total} pictures")

    return on_image
