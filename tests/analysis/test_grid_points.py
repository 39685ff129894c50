"""Points of a grid in ranking and gains: labels as planned, each distilled point beside its own scratch twin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from analysis.gains import GAINS_SCHEMA
from analysis.rank import RANKING_SCHEMA, write_ranking
from analysis.tables import to_rows
from trainers.spec import Choice, RunSpec


def kd(temperature: float) -> Choice:
    return Choice(name="kd", args={"temperature": temperature})


def tables(lab: Any, jobs: dict[str, tuple[RunSpec, float]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ranking and gains by label, of jobs that finished with these accuracies; a label may end in @SEED."""
    for spec, accuracy in jobs.values():
        lab.finish(spec, accuracy)
    plan = lab.plan(*((name.partition("@")[0], spec) for name, (spec, _) in jobs.items()))
    written = write_ranking(lab.store, plan_id=plan.plan_id)
    ranking, gains = to_rows(written.ranking, RANKING_SCHEMA), to_rows(written.gains, GAINS_SCHEMA)
    return {row["label"]: row for row in ranking}, {row["label"]: row for row in gains}


def test_points_that_differ_in_the_loss_share_one_scratch_twin(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(model="resnet18")
    jobs = {"teacher": (teacher, 0.9), "student": (make_spec(), 0.5)}
    for temperature, accuracy in ((1.0, 0.6), (4.0, 0.75)):
        point = (make_spec(teacher=teacher, objective=kd(temperature)), accuracy)
        jobs[f"student_kd/temperature={temperature:g}"] = point
    ranking, gains = tables(lab, jobs)
    assert list(ranking) == ["teacher", "student_kd/temperature=4", "student_kd/temperature=1", "student"]
    assert {label: row["twin_label"] for label, row in gains.items()} == dict.fromkeys(list(ranking)[1:3], "student")
    assert gains["student_kd/temperature=4"]["validation_gain_mean"] == pytest.approx(0.25)
    assert gains["student_kd/temperature=1"]["validation_gain_mean"] == pytest.approx(0.1)


def test_points_that_differ_in_the_recipe_have_each_their_own_twin(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(model="resnet18")
    jobs = {"teacher": (teacher, 0.9)}
    for epochs, alone, distilled in ((2, 0.5, 0.6), (4, 0.7, 0.75)):
        jobs[f"student/epochs={epochs}"] = (make_spec(epochs=epochs), alone)
        jobs[f"student_kd/epochs={epochs}"] = (make_spec(epochs=epochs, teacher=teacher), distilled)
    _, gains = tables(lab, jobs)
    for epochs, gain in ((2, 0.1), (4, 0.05)):
        row = gains[f"student_kd/epochs={epochs}"]
        assert row["twin_label"] == f"student/epochs={epochs}"
        assert row["validation_gain_mean"] == pytest.approx(gain)


def test_points_that_differ_in_a_teachers_field_are_compared_with_the_one_student_alone(
    lab: Any, make_spec: Any
) -> None:
    jobs: dict[str, tuple[RunSpec, float]] = {"student": (make_spec(), 0.5)}
    for epochs, accuracy in ((3, 0.6), (5, 0.7)):
        teacher = make_spec(model="resnet18", epochs=epochs)
        jobs[f"teacher/epochs={epochs}"] = (teacher, 0.9)
        jobs[f"student_kd/teacher.epochs={epochs}"] = (make_spec(teacher=teacher), accuracy)
    _, gains = tables(lab, jobs)
    row = gains["student_kd/teacher.epochs=5"]
    assert (row["twin_label"], row["teacher_label"]) == ("student", "teacher/epochs=5")
    assert row["validation_gain_mean"] == pytest.approx(0.2)


def test_points_that_differ_in_view_seeds_alone_are_one_group_without_a_point(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(model="resnet18")
    jobs = {"teacher": (teacher, 0.9)}
    for view_seed, accuracy in ((7, 0.5), (8, 0.7)):
        alone = replace(make_spec(), view_seed=view_seed)
        jobs[f"student/view_seed={view_seed}"] = (alone, accuracy)
        jobs[f"student_kd/view_seed={view_seed}"] = (replace(alone, teacher=teacher, objective=kd(4.0)), accuracy + 0.1)
    ranking, gains = tables(lab, jobs)
    assert set(ranking) == {"teacher", "student", "student_kd"}
    assert (ranking["student"]["n"], ranking["student"]["validation_accuracy_mean"]) == (1, pytest.approx(0.6))
    assert gains["student_kd"]["twin_label"] == "student"
