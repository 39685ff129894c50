"""`--grid`: which jobs come of it and what they are called, compared with the same values given by `--set`."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from sweeps.catalog import report
from sweeps.grid import Axis, Expansion, expand, parse_axis
from sweeps.plan import Plan, make_plan
from sweeps.recipes import parse_setting
from trainers.errors import PluginError, SpecError
from trainers.spec import Role

UNTOUCHED = {"pretrain", "teacher_scratch", "teacher_pretrained", "student_scratch", "conv_plain", "conv_depthwise"}
UNTOUCHED |= {"conv_group"}
KD = ("student_kd_scratch", "student_kd_pretrained")


@pytest.fixture
def expanded(make_context: Any) -> Any:
    """The report under some `--grid` and `--set` texts."""

    def expanded_(*grids: str, settings: tuple[str, ...] = (), **options: Any) -> Expansion:
        context = make_context(**options)
        axes = [parse_axis(text) for text in grids]
        given = tuple(map(parse_setting, settings))
        return expand(axes, given, lambda these: report.jobs(dataclasses.replace(context, settings=these)))

    return expanded_


def labels(plan: Plan) -> set[str]:
    return {job.label for job in plan.jobs}


@pytest.mark.parametrize(
    "grids",
    [
        {"objective.temperature": ("1", "4", "20"), "objective.weight": ("0.1", "0.5")},
        {"teacher:epochs": ("3", "4"), "variant:batch_size": ("16", "32", "64")},
        {"optimizer.lr": ("0.1", "0.01"), "student_kd_scratch:objective.weight": ("0.1", "0.2")},
        {"conv_plain:model.channels": ("[16,32]", "[32,64]"), "precision": ("float32", "bfloat16")},
        {"optimizer.name": ("adamw", "sgd"), "optimizer.momentum": ("0.0", "0.9")},
    ],
)
def test_the_jobs_are_those_of_all_combinations_given_by_set(expanded: Any, make_context: Any, grids: Any) -> None:
    expansion = expanded(*(f"{key}={','.join(values)}" for key, values in grids.items()), seeds=(0, 1))
    alone = [
        report.jobs(make_context(*(f"{key}={value}" for key, value in zip(grids, point, strict=True)), seeds=(0, 1)))
        for point in itertools.product(*grids.values())
    ]
    plan = make_plan(expansion.jobs)
    assert {job.id for job in plan.jobs} == {job.id for jobs in alone for job in jobs}
    assert len(plan.jobs) == len(set(plan.by_id))
    assert f"; {len(plan.jobs)} jobs instead of 18" in expansion.note


def test_only_what_a_value_changes_is_multiplied_and_named_after_it(expanded: Any) -> None:
    plan = make_plan(expanded("objective.temperature=1,4.0", "objective.weight=0.1,0.5").jobs)
    points = [f"temperature={temperature},weight={weight}" for temperature in (1, 4) for weight in (0.1, 0.5)]
    assert labels(plan) == UNTOUCHED | {f"{label}/{point}" for label in KD for point in points}
    for job in plan.jobs:
        if "/" in job.label:
            args = job.spec.objective.args
            assert job.label.endswith(f"/temperature={args['temperature']:g},weight={args['weight']:g}")


def test_a_students_label_names_what_only_its_teacher_feels_with_the_teachers_scope(expanded: Any) -> None:
    plan = make_plan(expanded("teacher_scratch:epochs=3,4").jobs)
    changed = {"teacher_scratch/epochs=3", "teacher_scratch/epochs=4"}
    changed |= {f"student_kd_scratch/teacher_scratch.epochs={epochs}" for epochs in (3, 4)}
    assert labels(plan) == UNTOUCHED - {"teacher_scratch"} | {"student_kd_pretrained"} | changed
    for job in plan.jobs:
        if job.label.startswith("student_kd_scratch"):
            assert plan.by_id[job.parents[0]].label.endswith(job.label[-1])


def test_two_fields_of_one_short_name_are_told_apart(expanded: Any) -> None:
    plan = make_plan(expanded("teacher:epochs=3,4", "student:epochs=5,6").jobs)
    assert {f"student_kd_scratch/teacher.epochs={a},epochs={b}" for a in (3, 4) for b in (5, 6)} < labels(plan)
    assert {"student_scratch/epochs=5", "student_scratch/epochs=6", "teacher_scratch/epochs=3"} < labels(plan)


def test_a_field_that_a_job_has_from_elsewhere_is_named_as_its_parents(expanded: Any) -> None:
    plan = make_plan(expanded("epochs=3,4", "student:epochs=5,6").jobs)
    assert {f"student_kd_scratch/parent.epochs={a},epochs={b}" for a in (3, 4) for b in (5, 6)} < labels(plan)
    plan = make_plan(expanded("epochs=3,4", settings=("student:epochs=9",)).jobs)
    assert {"student_scratch", "student_kd_scratch/parent.epochs=3", "teacher_scratch/epochs=3"} < labels(plan)


@pytest.mark.parametrize(
    ("grid", "label"),
    [
        ("conv_plain:model.channels=[16,32],[32,64]", "conv_plain/channels=16-32"),
        ("conv_plain:model.name=conv_plain,student", "conv_plain/model=student"),
        ("augment.horizontal_flip=true,false", "conv_plain/horizontal_flip=false"),
        ("optimizer.lr=1e-5,1", "conv_plain/lr=1e-05"),
    ],
)
def test_values_are_written_without_the_signs_of_patterns(expanded: Any, grid: str, label: str) -> None:
    assert label in labels(make_plan(expanded(grid).jobs))


def test_a_label_alone_means_all_its_points_and_a_pattern_some(expanded: Any) -> None:
    plan = make_plan(expanded("objective.temperature=1,4", "objective.weight=0.1,0.5").jobs)

    def chosen(pattern: str) -> list[str]:
        return sorted(plan.by_id[run].label for run in plan.matching([pattern]))

    assert len(chosen("student_kd_scratch")) == len(chosen("student_kd_scratch@0")) == 4
    assert chosen("student_kd_scratch/temperature=4*") == [
        f"student_kd_scratch/temperature=4,weight={weight}" for weight in (0.1, 0.5)
    ]
    assert chosen("student_kd_scratch/*weight=0.5@0") == [
        f"student_kd_scratch/temperature={temperature},weight=0.5" for temperature in (1, 4)
    ]


def test_a_set_of_fewer_jobs_wins_over_a_grid_of_more_and_the_reverse(expanded: Any) -> None:
    plan = make_plan(expanded("epochs=3,4", settings=("conv_plain:epochs=7",)).jobs)
    epochs = {job.label: job.spec.epochs for job in plan.jobs}
    assert (epochs["conv_plain"], epochs["conv_group/epochs=4"]) == (7, 4)
    plan = make_plan(expanded("variant:epochs=3,4", settings=("epochs=7", "conv_plain:epochs=8")).jobs)
    epochs = {job.label: job.spec.epochs for job in plan.jobs}
    assert (epochs["conv_plain"], epochs["conv_group/epochs=4"], epochs["student_scratch"]) == (8, 4, 7)


def test_the_note_says_which_jobs_are_multiplied_and_how_many_come_of_it(expanded: Any) -> None:
    note = expanded("objective.temperature=1,4,20", "variant:epochs=3,4").note
    assert note == (
        "grid: objective.temperature (3 values) multiplies student_kd_scratch, student_kd_pretrained; "
        "variant:epochs (2 values) multiplies conv_plain, conv_depthwise, conv_group; 16 jobs instead of 9"
    )
    assert expanded().note == ""


def test_a_sweep_that_names_its_own_points_takes_a_grid_over_the_same_field(make_context: Any) -> None:
    from sweeps.catalog import kd_grid

    expansion = expand(
        [parse_axis("objective.temperature=2,8")],
        (),
        lambda given: kd_grid.jobs(dataclasses.replace(make_context(), settings=given)),
    )
    students = [job for job in make_plan(expansion.jobs).jobs if job.label.startswith("student_kd")]
    assert len(students) == 6
    for job in students:
        args = job.spec.objective.args
        assert job.label == f"student_kd/temperature={args['temperature']:g},weight={args['weight']:g}"
    assert "objective.temperature (2 values) multiplies student_kd; 9 jobs instead of 6" in expansion.note


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epochs=3,6", Axis(key="epochs", values=(3, 6))),
        ("teacher:optimizer.lr=1e-3, 0.1", Axis(key="optimizer.lr", values=(0.001, 0.1), scope="teacher")),
        ("model.channels=[16,32],[32, 64]", Axis(key="model.channels", values=([16, 32], [32, 64]))),
        ("model.name=student,resnet18", Axis(key="model.name", values=("student", "resnet18"))),
        ("augment.horizontal_flip=true,false", Axis(key="augment.horizontal_flip", values=(True, False))),
    ],
)
def test_values_are_split_at_commas_outside_brackets_and_read_as_json(text: str, expected: Axis) -> None:
    assert parse_axis(text) == expected


@pytest.mark.parametrize(
    ("grids", "settings", "message"),
    [
        (["epochs"], [], "--grid 'epochs' is not KEY=V1,V2,...; write for example --grid objective.temperature=1,4,20"),
        (["=1,2"], [], "--grid '=1,2' is not KEY=V1,V2,..."),
        (["epochs=1,,2"], [], "--grid 'epochs=1,,2' has an empty value"),
        (["epochs="], [], "--grid 'epochs=' has an empty value"),
        (["epochs=3,4,3"], [], "--grid 'epochs=3,4,3' has 3 twice; give every value once"),
        (["epochs=1,1.0"], [], "--grid 'epochs=1,1.0' has 1.0 twice"),
        (["epochs=3"], [], "--grid 'epochs=3' has a single value; give several, or write --set epochs=3"),
        (["epochs=1,2", "epochs=3,4"], [], "--grid epochs contradicts the other --grid of the same field"),
        (["teacher:epochs=1,2"], ["teacher:epochs=3"], "--grid teacher:epochs contradicts the --set of the same field"),
        (["optimiser.lr=1,2"], [], "unknown key 'optimiser.lr'; have: augment.crop_padding, "),
        (["seed=1,2"], [], "unknown key 'seed'; have: "),
        (["tutor:epochs=1,2"], [], "--grid tutor:epochs: concerns no job; have: pretrain, teacher, "),
        (["epochs=few,many"], [], "epochs is 'few'; allowed: a whole number"),
        (["student/temperature=4:epochs=3,4"], [], "never a grid's point; write student:KEY=V1,V2,..."),
        (["optimizer.momentum=0.0,0.9"], [], "--grid optimizer.momentum=0.9 has no effect with adamw"),
        (["conv_plain:model.name=student,resnt"], [], "unknown model 'resnt'; have: conv_depthwise"),
        (["variant:epochs=3,4"], [f"conv_{k}:epochs=5" for k in ("plain", "depthwise", "group")], "multiplies nothing"),
    ],
)
def test_a_wrong_grid_is_refused_with_what_is_allowed(expanded: Any, grids: Any, settings: Any, message: str) -> None:
    with pytest.raises((SpecError, PluginError)) as raised:
        expanded(*grids, settings=tuple(settings))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_grid_that_multiplies_nothing_names_keys_that_would(expanded: Any) -> None:
    fixed = tuple(f"conv_{kind}:epochs=5" for kind in ("plain", "depthwise", "group"))
    with pytest.raises(SpecError) as raised:
        expanded("variant:epochs=3,4", settings=fixed)
    keys = str(raised.value).partition("other keys: ")[2].split(", ")
    assert "epochs" not in keys and "objective.temperature" not in keys and "model.channels" in keys
    assert "multiplies conv_plain" in expanded("variant:batch_size=7,8").note and "batch_size" in keys


# Labels in the plan


def test_two_labels_of_one_training_are_one_job_that_answers_to_both(make_job: Any) -> None:
    plan = make_plan([make_job("first"), make_job("second"), make_job("first"), make_job("third", lr=0.5)])
    job = next(job for job in plan.jobs if job.label == "first")
    assert job.also == ("second",)
    assert plan.matching(["second"]) == plan.matching(["first@0"]) == plan.matching(["second@0"]) == {job.id}
    assert [one.also for one in plan.restricted(only=["second"]).jobs] == [("second",)]


def test_a_setting_of_a_base_label_reaches_the_points_of_a_sweep(make_context: Any) -> None:
    point = {"objective.temperature": 3.0}

    def job(*settings: str) -> Any:
        context = make_context(*settings)
        model = report.Choice(name="resnet18")
        teacher = context.job("teacher", role=Role.TEACHER, model=model, seed=0)
        return context.job(
            "taught", role=Role.STUDENT, model=model, seed=0, objective="kd", teacher=teacher, point=point
        )

    assert (job().label, job().spec.objective.args["temperature"]) == ("taught/temperature=3", 3.0)
    assert job("taught:epochs=7").spec.epochs == 7
    assert job("taught:objective.temperature=5").label == "taught/temperature=5"
