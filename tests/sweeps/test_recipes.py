"""Recipes, `--set` and the context: what each job of the report becomes, compared with the report's own text."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from sweeps.catalog import report
from sweeps.context import check_settings
from sweeps.plan import Job, Plan, make_plan
from sweeps.recipes import RECIPES, Setting, parse_setting, recipe
from trainers import plugins
from trainers.errors import PluginError, SpecError
from trainers.fields import flatten, settable_keys
from trainers.spec import Role, RunSpec, Weights, to_dict

ROWS = {
    "pretrain": "resnet18",
    "teacher_scratch": "resnet18",
    "teacher_pretrained": "resnet18",
    "student_scratch": "student",
    "student_kd_scratch": "student",
    "student_kd_pretrained": "student",
    "conv_plain": "conv_plain",
    "conv_depthwise": "conv_depthwise",
    "conv_group": "conv_group",
}


def by_label(context: Any) -> dict[str, Job]:
    return {job.label: job for job in report.jobs(context)}


def plan_of(context: Any) -> Plan:
    return make_plan(report.jobs(context))


def test_the_report_has_its_eight_rows_and_a_pretraining(make_context: Any) -> None:
    assert {label: job.spec.model.name for label, job in by_label(make_context()).items()} == ROWS


def test_the_default_graph_is_three_deep(make_context: Any) -> None:
    plan = plan_of(make_context())
    labels = {job.id: job.label for job in plan.jobs}
    waits = {job.label: [labels[parent] for parent in job.parents] for job in plan.jobs if job.parents}
    assert waits == {
        "teacher_pretrained": ["pretrain"],
        "student_kd_scratch": ["teacher_scratch"],
        "student_kd_pretrained": ["teacher_pretrained"],
    }
    assert max(plan.longest_paths(lambda job: 1.0).values()) == 3


def test_given_weights_stand_in_for_the_pretraining(make_context: Any) -> None:
    weights = Weights(name="file", digest="abc")
    jobs = by_label(make_context(weights=weights, source=None))
    assert set(jobs) == set(ROWS) - {"pretrain"}
    assert [label for label, job in jobs.items() if job.spec.init_weights == weights] == ["teacher_pretrained"]


def test_a_sweep_that_pretrains_without_source_data_says_what_to_give(make_context: Any) -> None:
    with pytest.raises(SpecError, match="there is no source data; give --source-data or --pretrained"):
        report.jobs(make_context(source=None))


def test_only_the_pretraining_sees_the_source_data(make_context: Any) -> None:
    jobs = by_label(make_context())
    assert [label for label, job in jobs.items() if job.spec.data == "50ce"] == ["pretrain"]
    widths = {label: job.spec.model.args["num_classes"] for label, job in jobs.items()}
    assert widths.pop("pretrain") == 8
    assert set(widths.values()) == {11}


def test_student_of_a_seed_learns_from_the_teacher_of_that_seed(make_context: Any) -> None:
    jobs = report.jobs(make_context(seeds=(0, 3, 7)))
    assert len(jobs) == 27
    for job in jobs:
        assert job.spec.view_seed == job.spec.seed
        assert all(parent.seed == job.spec.seed for parent in job.spec.parents)
    plan = make_plan(jobs)
    assert len(plan.jobs) == 27


def test_scratch_and_distilled_arms_differ_by_objective_and_teacher_alone(make_context: Any) -> None:
    for name in RECIPES:
        jobs = by_label(make_context(recipe_name=name))
        alone = to_dict(jobs["student_scratch"].spec)
        for label in ("student_kd_scratch", "student_kd_pretrained"):
            distilled = to_dict(jobs[label].spec)
            assert {key for key in alone if alone[key] != distilled[key]} == {"objective", "teacher"}


def test_the_teachers_differ_by_where_they_start_alone(make_context: Any) -> None:
    jobs = by_label(make_context())
    one, other = (to_dict(jobs[label].spec) for label in ("teacher_scratch", "teacher_pretrained"))
    assert {key for key in one if one[key] != other[key]} == {"init_run"}


def test_the_variants_differ_by_their_model_alone(make_context: Any) -> None:
    jobs = by_label(make_context())
    same = {
        json.dumps(to_dict(dataclasses.replace(jobs[label].spec, model=jobs["conv_plain"].spec.model)), sort_keys=True)
        for label in ("conv_plain", "conv_depthwise", "conv_group")
    }
    assert len(same) == 1


COURSE = {
    # EXPERIMENTS.md, "The course's recipe": AdamW, lr 1e-3, default weight decay (torch: 0.01), no schedule, batch 32,
    # flip, rotation up to 15 degrees, no normalisation.
    "optimizer.name": "adamw",
    "optimizer.lr": 0.001,
    "optimizer.weight_decay": 0.01,
    "schedule.name": "constant",
    "batch_size": 32,
    "augment.horizontal_flip": True,
    "augment.rotation_degrees": 15.0,
    "normalize": "none",
    "precision": "float32",
}


def test_the_course_recipe_is_the_course_notebooks(make_context: Any) -> None:
    jobs = by_label(make_context(recipe_name="course"))
    for label, job in jobs.items():
        spec = flatten(job.spec)
        assert {key: spec[key] for key in COURSE} == COURSE
        assert spec["epochs"] == (50 if label.startswith("conv_") else 200)
    for label in ("student_kd_scratch", "student_kd_pretrained"):
        spec = flatten(jobs[label].spec)
        assert (spec["objective.temperature"], spec["objective.weight"]) == (20.0, 0.5)


def test_the_strong_recipe_smooths_the_labels_of_those_that_learn_alone_and_teach_nobody(make_context: Any) -> None:
    smoothed = {
        label: job.spec.objective.args["label_smoothing"]
        for label, job in by_label(make_context(recipe_name="strong")).items()
    }
    taught = {"student_kd_scratch", "student_kd_pretrained"}
    assert {label for label, share in smoothed.items() if share == 0.0} == TEACHERS | taught | {"pretrain"}


def test_every_recipe_says_where_it_comes_from_and_sets_only_known_keys(make_context: Any) -> None:
    for name, about in RECIPES.items():
        jobs = report.jobs(make_context(recipe_name=name))
        keys = {key for job in jobs for key in settable_keys(job.spec)}
        assert {setting.key for setting in about.settings()} <= keys
        assert len(about.about) > 20


# --set


def changed(make_context: Any, *settings: str) -> set[str]:
    """Labels whose own fields (not their parents') a setting changes."""
    before, after = by_label(make_context()), by_label(make_context(*settings))
    return {label for label in before if own(before[label].spec) != own(after[label].spec)}


def own(spec: RunSpec) -> RunSpec:
    return dataclasses.replace(spec, teacher=None, init_run=None)


TEACHERS = {"teacher_scratch", "teacher_pretrained"}
DISTILLED = {"student_kd_scratch", "student_kd_pretrained"}


@pytest.mark.parametrize(
    ("setting", "labels"),
    [
        ("optimizer.lr=0.5", set(ROWS)),
        ("teacher:epochs=12", TEACHERS),
        ("variant:epochs=12", {"conv_plain", "conv_depthwise", "conv_group"}),
        ("conv_group:epochs=12", {"conv_group"}),
        ("pretrain:augment.crop_padding=0", {"pretrain"}),
        ("objective.temperature=7", DISTILLED),
        ("objective.label_smoothing=0.1", set(ROWS)),
        ("student:objective.weight=0.25", DISTILLED),
        ("student:model.stem_stride=1", {"student_scratch", *DISTILLED}),
        ("view_seed=5", set(ROWS)),
    ],
)
def test_a_setting_reaches_those_it_concerns(make_context: Any, setting: str, labels: set[str]) -> None:
    assert changed(make_context, setting) == labels


def test_a_users_setting_beats_the_recipe_and_the_last_one_wins(make_context: Any) -> None:
    jobs = by_label(make_context("epochs=3", "teacher:epochs=4", "teacher_scratch:epochs=5"))
    epochs = {label: jobs[label].spec.epochs for label in ("conv_plain", "teacher_pretrained", "teacher_scratch")}
    assert epochs == {"conv_plain": 3, "teacher_pretrained": 4, "teacher_scratch": 5}


@pytest.mark.parametrize("setting", ["teacher:optimizer.lr=0.5", "teacher_scratch:batch_size=16"])
def test_a_teachers_new_setting_changes_its_id_and_its_students_and_no_other(make_context: Any, setting: str) -> None:
    before, after = by_label(make_context()), by_label(make_context(setting))
    plan = make_plan(before.values())
    scope = setting.partition(":")[0]
    hit = {job.id for job in before.values() if scope in (job.role.value, job.label)}
    moved = {job.label for job in plan.jobs if job.id in plan.descendants(hit)}
    assert {label for label in before if before[label].id != after[label].id} == moved
    assert moved == (TEACHERS | DISTILLED if scope == "teacher" else {"teacher_scratch", "student_kd_scratch"})


def test_the_objective_of_a_label_can_be_chosen_by_name(make_context: Any) -> None:
    context = make_context("student_kd_scratch:objective.temperature=3", "student_kd_scratch:objective.name=kd")
    objective = by_label(context)["student_kd_scratch"].spec.objective
    assert (objective.name, objective.args["temperature"]) == ("kd", 3.0)


def test_an_objective_that_needs_a_teacher_is_refused_without_one(make_context: Any) -> None:
    with pytest.raises(SpecError, match="job 'conv_plain': objective 'kd' needs a teacher"):
        report.jobs(make_context("conv_plain:objective.name=kd"))


def test_an_objective_that_ignores_its_teacher_is_refused(make_context: Any) -> None:
    with pytest.raises(SpecError, match="objective 'cross_entropy' does not listen to its teacher"):
        report.jobs(make_context("student_kd_scratch:objective.name=cross_entropy"))


def test_the_model_of_a_label_can_be_chosen_by_name_and_keeps_the_data_shape(make_context: Any) -> None:
    model = by_label(make_context("conv_plain:model.name=conv_group"))["conv_plain"].spec.model
    assert (model.name, model.args["num_classes"], model.args["image_size"]) == ("conv_group", 11, 32)


@pytest.mark.parametrize("recipe_name", sorted(RECIPES))
@pytest.mark.parametrize("objective", ["dkd", "dist", "attention", "hint"])
def test_other_objectives_keep_their_own_arguments(make_context: Any, recipe_name: str, objective: str) -> None:
    settings = f"student_kd_scratch:objective.name={objective}"
    spec = by_label(make_context(settings, recipe_name=recipe_name))["student_kd_scratch"].spec
    assert spec.objective.args == plugins.resolve(plugins.Kind.OBJECTIVE, objective, {})


def test_a_setting_can_be_for_the_jobs_of_a_model_or_of_an_objective(make_context: Any) -> None:
    settings = ("kd:objective.label_smoothing=0.2", "resnet18:model.stem_stride=1")
    jobs = by_label(make_context(*settings))
    smoothed = {label for label, job in jobs.items() if job.spec.objective.args["label_smoothing"] == 0.2}
    assert smoothed == {"student_kd_scratch", "student_kd_pretrained"}
    wide = {label for label, job in jobs.items() if job.spec.model.args.get("stem_stride") == 1}
    assert wide == {"pretrain", "teacher_scratch", "teacher_pretrained"}
    check_settings(tuple(map(parse_setting, settings)), tuple(jobs.values()))


def test_a_whole_number_means_the_same_as_its_float(make_context: Any) -> None:
    whole, real = (
        by_label(make_context(f"objective.temperature={text}", f"optimizer.lr={text}"))["student_kd_scratch"]
        for text in ("1", "1.0")
    )
    assert whole.id == real.id


def test_what_has_no_effect_does_not_change_an_id(make_context: Any) -> None:
    plain = by_label(make_context("schedule.name=cosine"))["conv_plain"].id
    assert by_label(make_context("schedule.name=cosine", "schedule.warmup_fraction=0.4"))["conv_plain"].id == plain
    assert by_label(make_context("schedule.name=cosine", "optimizer.momentum=0.4"))["conv_plain"].id == plain


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optimiser.lr=1", "unknown key 'optimiser.lr'; have: augment.crop_padding"),
        ("optimizer.rate=1", "unknown key 'optimizer.rate'; have: "),
        ("optimizer=1", "unknown key 'optimizer'; have: "),
        ("seed=1", "unknown key 'seed'; have: "),
        ("data=other", "unknown key 'data'; have: "),
        ("model.num_classes=5", "unknown key 'model.num_classes'; have: "),
        ("conv_plain:objective.temperature=3", "unknown key 'objective.temperature'; have: "),
        ("tutor:epochs=3", "--set tutor:epochs: concerns no job; have: pretrain, teacher, student, variant"),
        ("epochs=soon", "epochs is 'soon'; allowed: a whole number"),
        ("epochs=0", "epochs is 0; allowed: 1 or more"),
        ("batch_size=1", "batch_size is 1; allowed: 2 or more"),
        ("optimizer.lr=-1", "optimizer.lr is -1.0; allowed: above 0"),
        ("optimizer.momentum=1", "optimizer.momentum is 1.0; allowed: 0 to below 1"),
        ("optimizer.name=adam", "optimizer.name is 'adam'; allowed: adamw, sgd"),
        ("augment.rotation_degrees=400", "allowed: 0 to 180"),
        ("precision=int8", "precision is 'int8'; allowed: float32, float16, bfloat16"),
        ("objective.temperature=hot", "temperature is 'hot'; allowed: float"),
        ("model.name=resnt", "unknown model 'resnt'; have: conv_depthwise"),
        ("objective.name=mse", "unknown objective 'mse'; have: "),
    ],
)
def test_a_wrong_setting_is_refused_with_what_is_allowed(make_context: Any, setting: str, message: str) -> None:
    settings = ("optimizer.name=sgd", setting) if "momentum" in setting else (setting,)
    with pytest.raises((SpecError, PluginError)) as raised:
        check_settings((parse_setting(setting),), report.jobs(make_context(*settings)))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_keys_in_the_message_are_the_keys_that_work(make_context: Any) -> None:
    with pytest.raises(SpecError) as raised:
        check_settings((parse_setting("nonsense=1"),), report.jobs(make_context()))
    keys = str(raised.value).partition("have: ")[2].split(", ")
    assert {"epochs", "optimizer.lr", "objective.temperature", "model.stem_stride", "model.name"} <= set(keys)
    for key in keys:
        check_settings((Setting(key=key, value=0),), report.jobs(make_context()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epochs=3", Setting(key="epochs", value=3)),
        ("teacher:optimizer.lr=1e-3", Setting(key="optimizer.lr", value=0.001, scope="teacher")),
        ("optimizer.name=sgd", Setting(key="optimizer.name", value="sgd")),
        ("model.strides=[1,1]", Setting(key="model.strides", value=[1, 1])),
        ("augment.horizontal_flip=false", Setting(key="augment.horizontal_flip", value=False)),
        ("a=b=c", Setting(key="a", value="b=c")),
    ],
)
def test_a_setting_is_read_as_json_where_it_is_json(text: str, expected: Setting) -> None:
    assert parse_setting(text) == expected


@pytest.mark.parametrize("text", ["epochs", "=3", "teacher:=3", ""])
def test_what_is_no_setting_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SpecError, match=r"is not KEY=VALUE; write for example --set optimizer.lr=0.001"):
        parse_setting(text)


def test_an_unknown_recipe_is_refused_with_the_recipes_there_are() -> None:
    with pytest.raises(SpecError, match="unknown recipe 'coarse'; have: quick, strong, course"):
        recipe("coarse")


def test_roles_are_what_the_rows_are_for(make_context: Any) -> None:
    roles = {label: job.role for label, job in by_label(make_context()).items()}
    assert {label for label, role in roles.items() if role is Role.TEACHER} == TEACHERS
    assert {label for label, role in roles.items() if role is Role.STUDENT} == {"student_scratch", *DISTILLED}
    assert roles["pretrain"] is Role.PRETRAIN
