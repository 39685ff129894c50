"""Which teachers' logits are written once, and how a sweep gets on with and without them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeps.admission import Ledger
from sweeps.api import run
from sweeps.frontier import Frontier
from sweeps.plan import Job, Plan, blocked_by, make_plan
from sweeps.replay import read_recording
from sweeps.resources import Resources
from sweeps.share_logits import RESERVED_BYTES, TeacherLogits, readable, share_logits, without_room
from trainers.spec import Choice, Role, RunSpec, run_id
from trainers.storage import PREDICTIONS, WEIGHTS, Store

ALWAYS, AUTO, NEVER = TeacherLogits
GRID = {"objective.temperature": [1, 4]}
SMALL = {"sweep": "smoke", "epochs": 2, "batch_size": 16, "serial": True, "only": ["student_kd"]}


@pytest.fixture
def small(pictures: Path, source: Path) -> dict[str, Any]:
    """Options of a sweep that takes a second: a teacher with a student at two temperatures."""
    data = {"data": f"parquet:{pictures}", "source_data": f"parquet:{source}", "pretrained": "source"}
    return {
        **data,
        "sweep": "smoke",
        "epochs": 2,
        "batch_size": 16,
        "grid": GRID,
        "serial": True,
        "no_report": True,
        "only": ["student_kd"],
    }


def job(label: str, spec: RunSpec, role: Role = Role.STUDENT) -> Job:
    return Job(label=label, role=role, spec=spec)


@pytest.fixture
def plan(make_spec: Any) -> Plan:
    """Two teachers; the first has three students over the same views (one of more epochs), the second one."""
    first, second = (make_spec(seed=seed, model=Choice(name="conv_group", args={})) for seed in (7, 8))
    hot = Choice(name="kd", args={"temperature": 4.0, "weight": 0.5})
    shape = {"num_classes": 10, "image_size": 8}
    first, second = (replace(spec, model=Choice(name="conv_plain", args=shape)) for spec in (first, second))
    student = make_spec(model=Choice(name="student", args=shape))
    alike = [replace(student, objective=replace(hot, args={**hot.args, "temperature": t})) for t in (1.0, 4.0)]
    return make_plan(
        [
            job("first", first, Role.TEACHER),
            job("second", second, Role.TEACHER),
            job("alone", student),
            *(job(f"kd/{number}", replace(spec, teacher=first)) for number, spec in enumerate(alike)),
            job("long", replace(alike[0], teacher=first, epochs=9)),
            job("other", replace(alike[0], teacher=second)),
        ]
    )


def ids(plan: Plan, *labels: str) -> tuple[str, ...]:
    return tuple(job.id for job in plan.jobs if job.label in labels)


def readers(plan: Plan) -> set[frozenset[str]]:
    return {frozenset(plan.by_id[reader].label for reader in job.readers) for job in plan.logits}


def test_a_set_is_written_where_two_students_read_it(plan: Plan) -> None:
    everything = set(plan.by_id)
    shared = share_logits(plan, everything, AUTO, {})
    assert readers(shared) == {frozenset({"kd/0", "kd/1", "long"})}
    (one,) = shared.logits
    assert one.num_epochs == 9 and one.parents == ids(plan, "first") and one.name == "logits(first)@0"
    assert readers(share_logits(plan, everything, ALWAYS, {})) == readers(shared) | {frozenset({"other"})}
    assert share_logits(plan, everything, NEVER, {}).logits == ()
    assert shared.plan_id == plan.plan_id and shared.records() == plan.records()


def test_students_that_are_done_do_not_count(plan: Plan) -> None:
    assert share_logits(plan, ids(plan, "kd/0", "other"), AUTO, {}).logits == ()
    assert readers(share_logits(plan, ids(plan, "kd/0", "kd/1"), AUTO, {})) == {frozenset({"kd/0", "kd/1"})}


def test_the_size_is_pictures_times_classes_times_epochs_times_four_bytes(plan: Plan) -> None:
    data = plan.jobs[0].spec.data
    (one,) = share_logits(plan, set(plan.by_id), AUTO, {data: 1000}).logits
    assert one.num_bytes == 1000 * 10 * 9 * 4


def test_without_room_nothing_is_written_and_a_line_says_so(plan: Plan) -> None:
    shared = share_logits(plan, set(plan.by_id), ALWAYS, {plan.jobs[0].spec.data: 1000})  # 360,000 and 120,000 bytes
    assert without_room(shared, RESERVED_BYTES + 480_000) == (shared, "")
    left, line = without_room(shared, RESERVED_BYTES + 479_999)
    assert [job.num_bytes for job in left.logits] == [360_000]
    assert "480,000 bytes and 1,000,479,999 are free: 1 of 2 sets are not written" in line


def test_who_runs_in_another_place_does_not_wait_for_what_it_cannot_read(plan: Plan) -> None:
    shared = share_logits(plan, set(plan.by_id), AUTO, {})
    elsewhere = ids(plan, "kd/0")
    kept = readable(shared, lambda job: job.id in elsewhere)
    assert readers(kept) == {frozenset({"kd/1", "long"})}
    assert readable(shared, lambda job: job.id == shared.logits[0].id).logits == ()


def test_logits_that_may_not_start_any_more_keep_nobody_waiting(plan: Plan) -> None:
    shared = share_logits(plan, set(plan.by_id), AUTO, {})
    frontier = frontier_of(shared, may_start=lambda task: task != shared.logits[0].id)
    started(shared, frontier)
    frontier.end(*ids(plan, "first"), is_ok=True)
    frontier.end(*ids(plan, "second"), is_ok=False)
    assert started(shared, frontier) == set()  # something still runs
    frontier.end(*ids(plan, "alone"), is_ok=True)
    assert started(shared, frontier) == {"kd/0", "kd/1", "long"}


def frontier_of(plan: Plan, **more: Any) -> Frontier:
    parents = {task.id: task.parents for task in plan.tasks.values()}
    one, many = Resources(cpus=1), Resources(cpus=9)
    return Frontier(
        list(plan.tasks), parents, lambda task: one, Ledger([many]), lambda task: 1.0, wants=plan.wishes, **more
    )


def started(plan: Plan, frontier: Frontier) -> set[str]:
    found = set()
    while (task := frontier.start_next()) is not None:
        found.add(plan.tasks[task].label)
    return found


@pytest.mark.parametrize("is_ok", [True, False])
def test_students_wait_for_their_teachers_logits_and_can_do_without(plan: Plan, is_ok: bool) -> None:
    shared = share_logits(plan, set(plan.by_id), AUTO, {})
    frontier = frontier_of(shared)
    assert started(shared, frontier) == {"first", "second", "alone"}
    frontier.end(*ids(plan, "first"), is_ok=True)
    assert started(shared, frontier) == {"logits(first)"}
    frontier.end(shared.logits[0].id, is_ok=is_ok)
    assert started(shared, frontier) == {"kd/0", "kd/1", "long"}


def test_a_failed_teacher_takes_its_logits_and_students_along(plan: Plan) -> None:
    shared = share_logits(plan, set(plan.by_id), AUTO, {})
    frontier = frontier_of(shared)
    started(shared, frontier)
    frontier.end(*ids(plan, "first"), is_ok=False)
    assert started(shared, frontier) == set()
    blocked = blocked_by(shared, ids(plan, "first"))
    assert set(blocked) == {*ids(plan, "kd/0", "kd/1", "long"), shared.logits[0].id}


def weights(store: Path) -> dict[str, Any]:
    opened = Store(store)
    results = [opened.result(run) for run in opened.run_ids()]
    return {result.run_id: (result.files[WEIGHTS], result.files[PREDICTIONS]) for result in results if result}


def test_a_sweep_comes_out_the_same_with_and_without(
    small: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stores = {}
    for mode in ("never", "auto"):
        assert run(**small, store=tmp_path / mode, teacher_logits=mode).is_complete
        stores[mode] = weights(tmp_path / mode)
        said = capsys.readouterr().out
        assert ("logits(teacher)@0 is written once, for 2 jobs" in said) == (mode == "auto")
        assert ("logits(teacher)@0: done written" in said) == (mode == "auto")
    assert stores["never"] == stores["auto"] and len(stores["auto"]) == 4
    assert not (tmp_path / "never" / "logits").exists()


def test_if_the_logits_fail_the_students_run_their_teacher(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*given: Any) -> Any:
        raise ValueError("no logits today")

    monkeypatch.setattr("trainers.logits_folder.LogitsFolder.write_epoch", fail)
    outcome = run(**small, store=tmp_path)
    said = capsys.readouterr().out
    assert outcome.is_complete
    assert "logits(teacher)@0: FAILED ValueError: no logits today" in said
    store = Store(tmp_path)
    students = [run for run in store.run_ids() if store.spec(run).teacher is not None]
    logs = [store.attempts(run)[-1].log_file.read_text() for run in students]
    assert len(logs) == 2 and all("are computed here" in log for log in logs)


def test_a_student_that_is_left_alone_reads_what_is_there(small: dict[str, Any], tmp_path: Path) -> None:
    run(**small, store=tmp_path, quiet=True)
    store = Store(tmp_path)
    (logits,) = store.logits_ids()
    files = sorted(store.logits(logits).folder.glob("*/epoch-*"))
    (student, *_) = [run_id(spec) for spec in map(store.spec, store.run_ids()) if spec.teacher is not None]
    store.set_aside(student)
    run(**small, store=tmp_path, quiet=True)
    assert "are read from the store" in store.attempts(student)[-1].log_file.read_text()
    assert len(store.logits(logits).attempts()) == 1 and sorted(store.logits(logits).folder.glob("*/epoch-*")) == files


def test_the_plan_says_what_would_be_written_once(small: dict[str, Any], tmp_path: Path, capsys: Any) -> None:
    from sweeps.api import plan as planned
    from sweeps.show import show_plan

    run(**{**small, "only": ["student_scratch"]}, store=tmp_path, quiet=True)  # prepares the data
    capsys.readouterr()
    found = planned(**small, store=tmp_path)
    assert [job.name for job in found.logits] == ["logits(teacher)@0"]
    from rich.console import Console

    show_plan(found, Console())
    assert "logits(teacher)@0 would be written once, for 2 jobs (2 epochs, 0.0 MB)" in capsys.readouterr().out
    assert planned(**small, store=tmp_path, teacher_logits="never").logits == ()


def test_a_replay_of_the_sweep_has_the_job_that_wrote_them(small: dict[str, Any], tmp_path: Path) -> None:
    run(**small, store=tmp_path, quiet=True)
    store = Store(tmp_path)
    (logits,) = store.logits_ids()
    tasks = {task.id: task for task in read_recording(store).tasks}
    assert tasks[logits].parents == (run_id(store.logits(logits).request().spec.teacher),)
    assert tasks[logits].epoch_seconds > 0
    assert sum(logits in task.parents for task in tasks.values()) == 2
