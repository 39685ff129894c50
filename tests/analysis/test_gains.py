"""Each distilled student against its scratch twin."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from analysis.gains import GAINS_SCHEMA, kd_gains
from analysis.gather import gather
from analysis.rank import write_ranking
from analysis.tables import to_rows
from trainers.spec import Augment, Choice


def gains(lab: Any) -> list[dict[str, Any]]:
    return to_rows(kd_gains(gather(lab.store).runs.to_pandas()), GAINS_SCHEMA)


def cross_entropy(smoothing: float) -> Choice:
    return Choice(name="cross_entropy", args={"label_smoothing": smoothing})


def test_gain_is_paired_by_seed_with_a_hand_computed_interval(lab: Any, make_spec: Any) -> None:
    scratch, distilled = (0.40, 0.60, 0.80, 0.99), (0.50, 0.71, 0.92)
    for seed, accuracy in enumerate(scratch):
        lab.finish(make_spec(seed=seed), accuracy, test_accuracy=accuracy)
    for seed, accuracy in enumerate(distilled):
        teacher = make_spec(model="resnet18", seed=seed)
        lab.finish(teacher, 0.95, test_accuracy=0.9)
        lab.finish(make_spec(seed=seed, teacher=teacher), accuracy, test_accuracy=accuracy - 0.05)
    (row,) = gains(lab)
    half = 4.302652729911275 * 0.01 / math.sqrt(3)
    assert (row["n"], row["num_test_pairs"]) == (3, 3)
    assert row["validation_gain_mean"] == pytest.approx(0.11)
    assert row["validation_gain_low"] == pytest.approx(0.11 - half)
    assert row["test_gain_mean"] == pytest.approx(0.06)
    assert row["test_gain_high"] == pytest.approx(0.06 + half)
    assert row["teacher_validation_accuracy"] == pytest.approx(0.95)
    assert row["teacher_test_accuracy"] == pytest.approx(0.9)
    assert row["note"] is None


def test_an_ensembles_student_has_the_same_twin_as_any_other(lab: Any, make_spec: Any) -> None:
    one, two = make_spec(model="resnet18"), make_spec(model="resnet18", seed=1)
    for spec, accuracy in (
        (one, 0.9),
        (two, 0.9),
        (make_spec(), 0.5),
        (make_spec(teacher=one, co_teachers=(two,)), 0.6),
    ):
        lab.finish(spec, accuracy)
    (row,) = gains(lab)
    assert (row["n"], row["validation_gain_mean"]) == (1, pytest.approx(0.1))


def test_a_student_is_compared_with_the_same_recipe_only(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(model="resnet18")
    lab.finish(teacher, 0.9)
    lab.finish(make_spec(teacher=teacher, augment=Augment(horizontal_flip=True)), 0.8)
    for other in (
        make_spec(),
        make_spec(augment=Augment(horizontal_flip=True), epochs=3),
        make_spec(augment=Augment(horizontal_flip=True), data="other"),
        make_spec(augment=Augment(horizontal_flip=True), init_run=teacher),
    ):
        lab.finish(other, 0.1)
    (row,) = gains(lab)
    assert (row["twin_group_id"], row["n"], row["validation_gain_mean"]) == (None, 0, None)
    assert "no scratch twin" in row["note"]
    lab.finish(make_spec(augment=Augment(horizontal_flip=True)), 0.7)
    assert gains(lab)[0]["validation_gain_mean"] == pytest.approx(0.1)


def test_a_twin_that_is_in_the_store_but_not_in_the_plan_is_named_with_what_shows_it(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(model="resnet18")
    for spec in (teacher, make_spec(teacher=teacher)):
        lab.finish(spec)
    lab.plan(("teacher", teacher), ("student_kd", make_spec(teacher=teacher)), at="2026-01-02")
    (row,) = write_ranking(lab.store).gains.to_dict("records")
    assert row["note"] == "no scratch twin among these runs: the same recipe with cross_entropy and no teacher"
    lab.fail(make_spec())
    lab.plan(("student_scratch", make_spec()), plan_id="other", at="2026-01-01")
    (row,) = write_ranking(lab.store).gains.to_dict("records")
    assert row["note"] == (
        "its scratch twin student_scratch is in this store but not in this sweep: use analysis.rank STORE --all"
    )
    assert write_ranking(lab.store, all_runs=True).gains["twin_label"].tolist() == ["student_scratch"]


def test_the_twin_has_the_students_own_label_smoothing_if_there_is_one(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(model="resnet18")
    lab.finish(teacher, 0.9)
    kd = Choice(name="kd", args={"label_smoothing": 0.1})
    lab.finish(make_spec(teacher=teacher, objective=kd), 0.8)
    lab.finish(make_spec(objective=cross_entropy(0.2)), 0.6)
    (row,) = gains(lab)
    assert row["validation_gain_mean"] == pytest.approx(0.2)
    assert row["note"] == "label smoothing differs: 0.1, twin 0.2"
    lab.finish(make_spec(objective=cross_entropy(0.1)), 0.7)
    (row,) = gains(lab)
    assert (row["validation_gain_mean"], row["note"]) == (pytest.approx(0.1), None)


def test_a_student_that_beats_its_own_teachers_is_noted(lab: Any, make_spec: Any) -> None:
    teacher, stranger = make_spec(model="resnet18"), make_spec(model="resnet18", seed=9)
    lab.finish(teacher, 0.70)
    lab.finish(stranger, 0.99)  # same group, but nobody learned from it
    lab.finish(make_spec(teacher=teacher), 0.75)
    lab.finish(make_spec(), 0.60)
    (row,) = gains(lab)
    assert row["teacher_validation_accuracy"] == 0.70
    assert row["note"] == "beat its teacher by 5.00 points of validation accuracy"
    assert (row["validation_gain_low"], row["validation_gain_high"]) == (None, None)


def test_seeds_that_finished_on_one_side_only_give_no_gain(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(model="resnet18")
    lab.finish(teacher, 0.9)
    lab.finish(make_spec(teacher=teacher), 0.8)
    lab.finish(make_spec(seed=1), 0.7)
    (row,) = gains(lab)
    assert (row["n"], row["note"]) == (0, "no seed is finished on both sides")


def test_data_without_test_labels_has_a_validation_gain_only(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(model="resnet18")
    lab.finish(teacher, 0.9, test_accuracy=None)
    lab.finish(make_spec(teacher=teacher), 0.8, test_accuracy=None)
    lab.finish(make_spec(), 0.7, test_accuracy=None)
    (row,) = gains(lab)
    assert (row["n"], row["num_test_pairs"], row["test_gain_mean"]) == (1, 0, None)


def test_a_fine_tuned_student_is_paired_with_the_twin_of_equal_start_whatever_the_seeds(
    lab: Any, make_spec: Any
) -> None:
    teacher = make_spec(model="resnet18")
    lab.finish(teacher, 0.9)
    start = make_spec(epochs=7)
    for seed in (0, 1):
        origin = replace(start, seed=seed, view_seed=seed)
        lab.finish(origin, 0.5)
        lab.finish(make_spec(seed=seed, teacher=teacher, init_run=origin), 0.8)
        lab.finish(make_spec(seed=seed, init_run=origin), 0.7)
    (row,) = gains(lab)
    assert (row["n"], row["validation_gain_mean"]) == (2, pytest.approx(0.1))
