"""Jobs as a sweep file asks for them: objectives with their needs, ensembles, and a given teacher."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sweeps.catalog import report
from sweeps.context import GivenTeacher, check_settings
from sweeps.plan import Job, make_plan
from sweeps.recipes import RECIPES, parse_setting
from trainers import plugins
from trainers.errors import SpecError
from trainers.plugins import Kind
from trainers.spec import Choice, Role, Weights

RESNET, STUDENT = Choice(name="resnet18"), Choice(name="student")
OBJECTIVES = plugins.names(Kind.OBJECTIVE)
GIVEN = GivenTeacher(weights=Weights(name="file", digest="ab" * 32), model=RESNET)


def teacher_of(context: Any, seed: int = 0) -> Job:
    job: Job = context.job("teacher", role=Role.TEACHER, model=RESNET, seed=seed)
    return job


def student_of(context: Any, objective: str, **changes: Any) -> Job:
    arguments = {"role": Role.STUDENT, "model": STUDENT, "seed": 0, "objective": objective}
    job: Job = context.job("student", **{**arguments, "teacher": teacher_of(context), **changes})
    return job


# Objectives


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_recipe_gives_other_objectives_than_kd_no_weight_that_was_meant_for_kd(
    make_context: Any, recipe: str, name: str
) -> None:
    context = make_context(recipe_name=recipe)
    mixed = {"augment.mixup_alpha": 1.0} if plugins.constant(Kind.OBJECTIVE, name, "NEEDS_MIXUP", False) else {}
    teacher = teacher_of(context) if plugins.constant(Kind.OBJECTIVE, name, "NEEDS_TEACHER", False) else None
    args = student_of(context, name, teacher=teacher, settings=mixed).spec.objective.args
    defaults = plugins.resolve(Kind.OBJECTIVE, name, {})
    changed = {key for key in args if args[key] != defaults[key]}
    own = {"kd": {"temperature", "weight"}, "cross_entropy": {"label_smoothing"}}
    assert changed <= own.get(name, {"temperature"})


@pytest.mark.parametrize(
    ("objective", "changes", "message"),
    [
        ("dkd", {"settings": {"augment.mixup_alpha": 0.2}}, "'dkd' needs one label per picture; set augment.mixup_"),
        ("funmatch", {}, "'funmatch' needs mixed pictures; set augment.mixup_alpha (1 is usual)"),
        ("attention", {"is_ensemble": True}, "'attention' compares the maps of one teacher; give it no ensemble"),
        ("hint", {"is_ensemble": True}, "'hint' compares the maps of one teacher; give it no ensemble"),
        *((name, {"teacher": None}, f"'{name}' needs a teacher; give one in") for name in ("dkd", "dist", "hint")),
    ],
)
def test_an_objective_that_cannot_work_with_its_pictures_or_teachers_is_refused(
    make_context: Any, objective: str, changes: dict[str, Any], message: str
) -> None:
    context = make_context()
    if changes.pop("is_ensemble", False):
        changes["teacher"] = [teacher_of(context, seed) for seed in (0, 1)]
    with pytest.raises(SpecError) as raised:
        student_of(context, objective, **changes)
    assert f"job 'student': objective {message}" in str(raised.value)


def test_a_sweeps_settings_win_over_the_recipe_and_lose_to_the_user(make_context: Any) -> None:
    own = {"epochs": 77, "batch_size": 99}
    spec = student_of(make_context("student:epochs=5"), "kd", settings=own).spec
    assert (spec.epochs, spec.batch_size) == (5, 99)


# Ensembles


def test_an_ensemble_waits_for_all_its_teachers_and_a_list_of_one_is_a_teacher(make_context: Any) -> None:
    context = make_context()
    teachers = [teacher_of(context, seed) for seed in (0, 1, 2)]
    student = student_of(context, "kd", teacher=teachers)
    assert student.parents == tuple(teacher.id for teacher in teachers)
    assert make_plan([*teachers, student]).records()[-1].parents == student.parents
    assert student_of(context, "kd", teacher=teachers[:1]).id == student_of(context, "kd", teacher=teachers[0]).id


# A given teacher


def given_job(make_context: Any, *settings: str, **changes: Any) -> Job:
    job: Job = make_context(*settings, given=GIVEN, **changes).given_teacher()
    return job


def test_a_report_with_a_given_teacher_has_no_other_and_no_pretraining(make_context: Any) -> None:
    plan = make_plan(report.jobs(make_context(given=GIVEN, source=None, seeds=(0, 1))))
    jobs = {job.name: job for job in plan.jobs}
    rows = ("student_scratch", "student_kd_given", "conv_plain", "conv_depthwise", "conv_group")
    assert set(jobs) == {"teacher_given@0", *(f"{row}@{seed}" for row in rows for seed in (0, 1))}
    teacher = jobs["teacher_given@0"]
    assert (teacher.role, teacher.spec.epochs, teacher.spec.init_weights) == (Role.TEACHER, 0, GIVEN.weights)
    assert {name: job.parents for name, job in jobs.items() if job.parents} == {
        f"student_kd_given@{seed}": (teacher.id,) for seed in (0, 1)
    }


SETTINGS = ["epochs=2", "batch_size=16", "teacher:epochs=3", "optimizer.lr=0.5", "augment.mixup_alpha=1", "view_seed=3"]


def test_nothing_about_training_changes_what_a_given_teacher_is(make_context: Any) -> None:
    plain = given_job(make_context).id
    assert {given_job(make_context, setting).id for setting in SETTINGS} == {plain}
    assert {given_job(make_context, seeds=(5, 6)).id, given_job(make_context, "student:model.stem_stride=1").id} == {
        plain
    }
    # recipes differ in how they normalise, which is about the network; the rest of a recipe is not
    ids = {given_job(make_context, "normalize=imagenet", recipe_name=name).id for name in RECIPES}
    assert ids == {plain}


@pytest.mark.parametrize("scope", ["", "teacher:", "teacher_given:"])
def test_what_is_about_the_network_does(make_context: Any, scope: str) -> None:
    ids = {given_job(make_context, f"{scope}{key}").id for key in ("normalize=none", "model.stem_stride=1")}
    assert len(ids | {given_job(make_context).id}) == 3


def test_other_weights_are_another_teacher(make_context: Any) -> None:
    other = dataclasses.replace(GIVEN, weights=Weights(name="file", digest="cd" * 32))
    assert make_context(given=other).given_teacher().id != given_job(make_context).id


def test_a_sweep_that_asks_for_a_given_teacher_without_one_says_what_to_give(make_context: Any) -> None:
    with pytest.raises(SpecError, match="there is no given teacher; name its weights with --teacher FILE"):
        make_context().given_teacher()


@pytest.mark.parametrize("setting", ["teacher:epochs=3", "teacher_given:optimizer.lr=1"])
def test_a_setting_that_only_a_given_teacher_would_have_heard_is_refused(make_context: Any, setting: str) -> None:
    context = make_context(setting, given=GIVEN)
    with pytest.raises(SpecError, match=r"^--set [a-z.]+=\d has no effect on teacher_given, which is not trained$"):
        check_settings((parse_setting(setting),), report.jobs(context))
    check_settings((parse_setting("epochs=3"), parse_setting("teacher:normalize=none")), report.jobs(context))


# Seeds


@pytest.mark.parametrize("settings", [(), ("view_seed=3",)])
def test_a_job_is_the_same_whether_other_seeds_were_made_before_it_or_not(
    make_context: Any, settings: tuple[str, ...]
) -> None:
    together, alone = make_context(*settings), make_context(*settings)
    first, second = (student_of(together, "kd", seed=seed, teacher=teacher_of(together, seed)) for seed in (0, 7))
    assert second == student_of(alone, "kd", seed=7, teacher=teacher_of(alone, 7))
    assert (first.spec.view_seed, second.spec.view_seed) == ((3, 3) if settings else (0, 7))
