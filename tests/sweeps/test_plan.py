"""Plans: order, identity, choice of jobs, what is left and why; graphs are compared with brute force."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.plan import Decision, Job, Plan, Wishes, blocked_by, decide, differences, make_plan
from trainers.errors import PlanError
from trainers.result import Failure, FileRecord, RunState
from trainers.spec import (
    Augment,
    Choice,
    Normalization,
    Optimizer,
    OptimizerName,
    Precision,
    Role,
    RunSpec,
    Schedule,
    ScheduleName,
)
from trainers.storage import WEIGHTS

PLAIN = RunSpec(
    data="f00d",
    model=Choice(name="student", args={"num_classes": 3, "image_size": 16}),
    objective=Choice(name="cross_entropy"),
    optimizer=Optimizer(name=OptimizerName.ADAMW, lr=1e-3, weight_decay=0.01),
    schedule=Schedule(name=ScheduleName.CONSTANT),
    augment=Augment(),
    normalize=Normalization.NONE,
    epochs=3,
    batch_size=8,
    precision=Precision.FLOAT32,
    seed=0,
    view_seed=0,
)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Job], dict[int, set[int]]]:
    """Jobs whose specs nest at random (a teacher and a start, both earlier jobs), shuffled, and each one's parents."""
    specs: list[RunSpec] = []
    parents: dict[int, set[int]] = {}
    for number in range(draw(st.integers(1, 7))):
        chosen = [draw(st.none() | st.integers(0, number - 1)) if number else None for _ in range(2)]
        teacher, start = (None if index is None else specs[index] for index in chosen)
        specs.append(dataclasses.replace(PLAIN, epochs=number + 1, teacher=teacher, init_run=start))
        parents[number] = {index for index in chosen if index is not None}
    jobs = [Job(label=f"job{number}", role=Role.STUDENT, spec=spec) for number, spec in enumerate(specs)]
    return jobs, parents


def closure(start: set[int], edges: dict[int, set[int]]) -> set[int]:
    """All that can be reached, by repetition until nothing new comes."""
    found = set(start)
    while True:
        more = found.union(*(edges[node] for node in found)) if found else found
        if more == found:
            return found
        found = more


def reversed_edges(edges: dict[int, set[int]]) -> dict[int, set[int]]:
    return {node: {other for other, targets in edges.items() if node in targets} for node in edges}


@settings(max_examples=60, deadline=None)
@given(graphs(), st.randoms(use_true_random=False), st.data())
def test_order_ancestors_descendants_and_paths_equal_brute_force(graph: Any, random: Any, data: st.DataObject) -> None:
    jobs, parents = graph
    costs = data.draw(st.lists(st.integers(1, 9), min_size=len(jobs), max_size=len(jobs)))
    shuffled = list(jobs)
    random.shuffle(shuffled)
    plan = make_plan(shuffled)
    number = {job.id: index for index, job in enumerate(jobs)}
    order = [number[job.id] for job in plan.jobs]
    assert sorted(order) == list(range(len(jobs)))
    assert all(order.index(parent) < order.index(child) for child in parents for parent in parents[child])
    chosen = data.draw(st.sets(st.integers(0, len(jobs) - 1)))
    ids = {jobs[index].id for index in chosen}
    children = reversed_edges(parents)
    assert {number[run] for run in plan.ancestors(ids)} == closure(chosen, parents)
    assert {number[run] for run in plan.descendants(ids)} == closure(chosen, children)
    paths = plan.longest_paths(lambda job: float(costs[number[job.id]]))
    assert {number[run]: value for run, value in paths.items()} == {
        node: max(sum(costs[step] for step in path) for path in all_paths(node, children)) for node in parents
    }


def all_paths(node: int, children: dict[int, set[int]]) -> list[list[int]]:
    return [[node], *([node, *rest] for child in children[node] for rest in all_paths(child, children))]


def test_equal_specs_are_one_job_and_the_first_label_stays(make_job: Any) -> None:
    plan = make_plan([make_job("first"), make_job("second"), make_job("other", lr=0.5)])
    assert sorted(job.label for job in plan.jobs) == ["first", "other"]


def test_a_job_whose_parent_is_no_job_is_refused_by_name(make_job: Any, make_spec: Any) -> None:
    with pytest.raises(PlanError, match=r"job 'child@0' depends on run [0-9a-f]{12}, which is no job"):
        make_plan([make_job("child", teacher=make_spec(lr=0.5))])


def test_two_different_jobs_of_one_name_are_refused_with_what_differs(make_job: Any) -> None:
    with pytest.raises(PlanError, match=r"two jobs are called 'same@0' \(optimizer.lr 0.001 -> 0.5\)"):
        make_plan([make_job("same"), make_job("same", lr=0.5)])


def test_one_label_may_have_several_seeds(make_job: Any) -> None:
    plan = make_plan([make_job("same", seed=seed) for seed in range(3)])
    assert {job.name for job in plan.jobs} == {"same@0", "same@1", "same@2"}


@pytest.fixture
def family(make_job: Any) -> Plan:
    """Two seeds of teacher -> student -> grandchild, and a loner."""
    jobs: list[Job] = []
    for seed in (0, 1):
        teacher = make_job("teacher", role=Role.TEACHER, seed=seed)
        student = make_job("student", seed=seed, teacher=teacher.spec)
        grandchild = make_job("grandchild", seed=seed, init_run=student.spec)
        jobs += [grandchild, student, teacher, make_job("loner", seed=seed, lr=0.5)]
    return make_plan(jobs)


def names(plan: Plan, ids: Any = None) -> set[str]:
    return {job.name for job in plan.jobs if ids is None or job.id in ids}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"only": ["student@1"]}, {"teacher@1", "student@1"}),
        ({"only": ["loner", "teacher@0"]}, {"loner@0", "loner@1", "teacher@0"}),
        ({"only": ["*child@0"]}, {"teacher@0", "student@0", "grandchild@0"}),
        ({"exclude": ["student"]}, {"teacher@0", "teacher@1", "loner@0", "loner@1"}),
        ({"exclude": ["*@1", "?oner"]}, {"teacher@0", "student@0", "grandchild@0"}),
        ({"only": ["student"], "exclude": ["*@0"]}, {"teacher@1", "student@1"}),
    ],
)
def test_only_brings_ancestors_and_exclude_takes_descendants(family: Plan, options: Any, expected: set[str]) -> None:
    assert names(family.restricted(**options)) == expected


def test_an_unknown_label_is_named_with_the_labels_there_are(family: Plan) -> None:
    with pytest.raises(PlanError) as raised:
        family.restricted(only=["studnet"])
    message = str(raised.value)
    assert message.startswith("no job is called 'studnet'; have: ")
    listed = message.partition("have: ")[2].partition(" (")[0].split(", ")
    assert sorted(listed) == ["grandchild", "loner", "student", "teacher"]


def test_excluding_everything_is_refused(family: Plan) -> None:
    with pytest.raises(PlanError, match="no job is left after --only and --exclude"):
        family.restricted(only=["student"], exclude=["teacher"])


def test_children_of_a_failed_job_are_blocked_by_the_nearest_failed_ancestor(family: Plan) -> None:
    ids = {job.name: job.id for job in family.jobs}
    blocked = blocked_by(family, [ids["teacher@0"]])
    assert blocked == {ids["student@0"]: ids["teacher@0"], ids["grandchild@0"]: ids["teacher@0"]}
    nearest = blocked_by(family, [ids["teacher@0"], ids["student@0"]])
    assert nearest == {ids["grandchild@0"]: ids["student@0"]}


# What is left, and why


FAILURE = Failure(reason="loss is nan", is_permanent=True, log_path="log", failed_at="")


def decided(plan: Plan, states: dict[str, RunState] | None = None, **options: Any) -> dict[str, Decision]:
    """Decisions by job name; a job without a state was never seen."""
    every = {job.id: (states or {}).get(job.name, RunState()) for job in plan.jobs}
    wishes = Wishes(forced=options.get("forced", frozenset()), reruns_changed=options.get("reruns_changed", False))
    digest = options.get("digest", lambda module: "same")
    decisions = decide(plan, every, options.get("earlier", {}), digest, wishes)
    return {plan.by_id[run].name: decision for run, decision in decisions.items()}


def all_done(plan: Plan, make_result: Any) -> dict[str, RunState]:
    return {job.name: RunState(result=make_result(job.spec)) for job in plan.jobs}


def test_what_was_never_seen_is_new(family: Plan) -> None:
    assert {(decision.will_run, decision.reason) for decision in decided(family).values()} == {(True, "new")}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (RunState(num_epochs_saved=2), "unfinished at epoch 2 of 3"),
        (RunState(num_epochs_saved=2, failure=FAILURE), "failed before: loss is nan"),
        (RunState(corrupt="curves.jsonl is missing", failure=FAILURE), "damaged: curves.jsonl is missing"),
    ],
)
def test_unfinished_work_says_why(family: Plan, state: RunState, reason: str) -> None:
    decision = decided(family, {"loner@0": state})["loner@0"]
    assert (decision.will_run, decision.reason, decision.starts_over) == (True, reason, False)


def test_a_changed_job_names_the_field_with_both_values(family: Plan, make_spec: Any) -> None:
    earlier = {"loner@0": make_spec(lr=0.25), "teacher@0": make_spec()}
    decisions = decided(family, earlier=earlier)
    assert decisions["loner@0"].reason == "changed: optimizer.lr 0.25 -> 0.5"
    assert decisions["teacher@0"].reason == "new"


def test_many_changes_are_counted_rather_than_listed(make_spec: Any) -> None:
    old = make_spec()
    new = dataclasses.replace(make_spec(lr=0.5, seed=4), epochs=9, batch_size=4)
    words = differences(old, new)
    assert len(words) == 4 and words[-1] == "and 2 more"
    assert differences(old, old) == []


def test_a_teachers_change_is_shown_in_its_student(make_spec: Any) -> None:
    old, new = (make_spec(teacher=make_spec(lr=lr)) for lr in (0.25, 0.5))
    assert differences(old, new) == ["teacher.optimizer.lr 0.25 -> 0.5"]


def test_what_is_done_does_not_run(family: Plan, make_result: Any) -> None:
    decisions = decided(family, all_done(family, make_result))
    assert {(decision.will_run, decision.reason) for decision in decisions.values()} == {(False, "done")}


def test_force_starts_over_whatever_the_state(family: Plan, make_result: Any) -> None:
    forced = frozenset(family.descendants(family.matching(["student@0"])))
    decisions = decided(family, all_done(family, make_result), forced=forced)
    again = {name for name, decision in decisions.items() if decision.will_run}
    assert again == {"student@0", "grandchild@0"}
    assert all(decisions[name].reason == "forced" and decisions[name].starts_over for name in again)


def code_of_one_changed(make_result: Any, job: Job) -> RunState:
    result = make_result(job.spec)
    environment = dataclasses.replace(result.environment, source_digests={"trainers.models.student": "old"})
    return RunState(result=dataclasses.replace(result, environment=environment))


def test_changed_code_is_only_said_unless_a_rerun_is_wanted(family: Plan, make_result: Any) -> None:
    states = all_done(family, make_result)
    student = next(job for job in family.jobs if job.name == "student@0")
    states["student@0"] = code_of_one_changed(make_result, student)
    said = decided(family, states)
    assert not any(decision.will_run for decision in said.values())
    assert said["student@0"].reason == "done; code changed: trainers/models/student.py"
    rerun = decided(family, states, reruns_changed=True)
    assert {name: decision.reason for name, decision in rerun.items() if decision.will_run} == {
        "student@0": "code changed: trainers/models/student.py",
        "grandchild@0": "parent retrained",
    }


def test_a_parent_with_other_weights_than_the_child_saw_is_said(family: Plan, make_result: Any) -> None:
    states = all_done(family, make_result)
    teacher = next(job for job in family.jobs if job.name == "teacher@0")
    other = {WEIGHTS: FileRecord(size_bytes=1, sha256="other weights")}
    states["teacher@0"] = RunState(result=make_result(teacher.spec, files=other))
    assert decided(family, states)["student@0"].reason == "done; parent retrained"
    rerun = decided(family, states, reruns_changed=True)
    assert {name for name, decision in rerun.items() if decision.will_run} == {"student@0", "grandchild@0"}


def test_the_plans_id_follows_jobs_and_labels_and_not_their_order(make_job: Any) -> None:
    jobs = [make_job("a"), make_job("b", lr=0.5)]
    ids = {make_plan(order).plan_id for order in itertools.permutations(jobs)}
    assert len(ids) == 1
    assert make_plan([make_job("a"), make_job("c", lr=0.5)]).plan_id not in ids
