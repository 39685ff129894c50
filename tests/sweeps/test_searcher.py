"""The plan as a Ray Tune searcher, told by hand what Tune would tell it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.admission import Ledger
from sweeps.frontier import Claim, Frontier
from sweeps.plan import make_plan
from sweeps.resources import Resources

pytestmark = pytest.mark.ray
searcher = pytest.importorskip("sweeps.searcher")


@pytest.fixture
def two_jobs(make_job: Any, make_frontier: Any) -> tuple[Frontier, Any, Any]:
    teacher = make_job("teacher")
    student = make_job("student", teacher=teacher.spec)
    plan = make_plan([teacher, student])
    one_cpu = Resources(cpus=1)
    return (
        make_frontier(plan, set(plan.by_id), lambda job: one_cpu, Ledger([one_cpu]), lambda job: 1.0),
        teacher,
        student,
    )


def make_searcher(frontier: Frontier, on_end: Any) -> Any:
    return searcher.PlanSearcher(frontier, lambda run: None, lambda run, figures: None, on_end, lambda run: "student")


def test_a_child_is_suggested_once_its_parent_is_done_and_then_the_search_ends(two_jobs: Any) -> None:
    frontier, teacher, student = two_jobs
    asked = make_searcher(frontier, lambda run: True)
    assert asked.suggest("one") == {"run_id": teacher.id, "shape": "student"}
    assert asked.suggest("two") is None
    asked.on_trial_complete("one")
    assert asked.suggest("two") == {"run_id": student.id, "shape": "student"}
    asked.on_trial_complete("two")
    assert asked.suggest("three") == searcher.PlanSearcher.FINISHED


def test_the_last_epoch_is_told_though_tune_says_it_only_with_the_end(two_jobs: Any) -> None:
    frontier, teacher, _ = two_jobs
    told: list[tuple[str, int]] = []

    def on_epoch(run: str, result: dict[str, Any]) -> None:
        told.append((run, result["epoch"]))

    asked = searcher.PlanSearcher(frontier, lambda run: None, on_epoch, lambda run: True, lambda run: "student")
    asked.suggest("one")
    asked.on_trial_result("one", {"epoch": 1})
    asked.on_trial_complete("one", {"epoch": 2, "done": True})
    asked.suggest("two")
    asked.on_trial_complete("two", {"done": True})
    assert told == [(teacher.id, 1), (teacher.id, 2)]


def test_jobs_that_may_not_start_any_more_end_the_search_once_nothing_runs(make_job: Any, make_frontier: Any) -> None:
    first, second = make_job("first"), make_job("second", lr=0.5)
    plan, one_cpu = make_plan([first, second]), Resources(cpus=1)
    is_time_up = False
    frontier = make_frontier(
        plan,
        set(plan.by_id),
        lambda job: one_cpu,
        Ledger([one_cpu, one_cpu]),
        lambda job: 1.0,
        may_start=lambda job: not is_time_up,
    )
    asked = make_searcher(frontier, lambda run: True)
    assert asked.suggest("one") == {"run_id": first.id, "shape": "student"}
    is_time_up = True
    assert asked.suggest("two") is None
    asked.on_trial_complete("one")
    assert asked.suggest("two") == searcher.PlanSearcher.FINISHED


def test_a_store_that_fails_at_the_end_of_a_trial_ends_the_search_instead_of_hanging_it(two_jobs: Any) -> None:
    def disk_is_gone(run: str) -> bool:
        raise OSError("stale file handle")

    frontier, teacher, _ = two_jobs
    asked = make_searcher(frontier, disk_is_gone)
    assert asked.suggest("one") == {"run_id": teacher.id, "shape": "student"}
    asked.on_trial_complete("one")
    assert frontier.num_running == 0
    assert asked.suggest("two") == searcher.PlanSearcher.FINISHED
    assert str(asked.error) == "stale file handle"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_tune_is_told_to_wait_only_while_something_runs_whatever_fails_or_is_elsewhere(data: st.DataObject) -> None:
    """`None` with nothing in flight would block Tune for ten minutes; FINISHED too early would lose jobs."""
    size = data.draw(st.integers(1, 10))
    names = [str(job) for job in range(size)]
    parents = {
        name: data.draw(st.sets(st.sampled_from(names[:job]), max_size=2)) if job else set[str]()
        for job, name in enumerate(names)
    }
    claims = {name: data.draw(st.sampled_from([*[Claim.OURS] * 3, Claim.ELSEWHERE, Claim.DONE])) for name in names}
    fails = {name: data.draw(st.integers(0, 4)) == 0 for name in names}
    one = Resources(cpus=1)
    frontier = Frontier(
        names,
        parents,
        lambda run: one,
        Ledger([one] * data.draw(st.integers(1, 3))),
        lambda run: float(data.draw(st.integers(1, 3))),
        claim=lambda run: claims[run],
    )
    asked = make_searcher(frontier, lambda run: not fails[run])
    running, over = dict[str, str](), set[str]()
    for trial in map(str, range(100)):
        suggested = asked.suggest(trial)
        if suggested == searcher.PlanSearcher.FINISHED:
            break
        assert suggested is not None or running
        if suggested is not None:
            run = suggested["run_id"]
            assert run not in over and all(parent in over or claims[parent] is Claim.DONE for parent in parents[run])
            running[trial] = run
        if suggested is None or data.draw(st.booleans()):
            ended = data.draw(st.sampled_from(sorted(running)))
            over.add(running.pop(ended))
            asked.on_trial_complete(ended)
    assert not running and asked.is_over

    def is_reachable(run: str) -> bool:
        return all(claims[up] is not Claim.ELSEWHERE and not is_lost(up) and is_reachable(up) for up in parents[run])

    def is_lost(run: str) -> bool:
        return claims[run] is Claim.OURS and fails[run]

    assert over == {run for run in names if claims[run] is Claim.OURS and is_reachable(run)}
