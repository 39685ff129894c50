"""What single sweeps promise beyond the contract: their grids, their sizes, every kind of job."""

from __future__ import annotations

from typing import Any

import pytest

from sweeps.catalog import conv_matched, kd_grid, report, smoke, width
from sweeps.context import check_settings
from sweeps.plan import Job, make_plan
from sweeps.recipes import parse_setting
from trainers.errors import SpecError
from trainers.measure import count_params
from trainers.spec import Choice, Role, to_dict


def by_label(jobs: tuple[Job, ...]) -> dict[str, Job]:
    return {job.label: job for job in jobs}


def test_the_kd_grid_is_temperature_times_weight_from_one_teacher(make_context: Any) -> None:
    jobs = by_label(kd_grid.jobs(make_context()))
    students = [job for job in jobs.values() if job.spec.teacher is not None]
    args = [job.spec.objective.args for job in students]
    points = {(one["temperature"], one["weight"]) for one in args}
    assert points == {(t, w) for t in (1.0, 4.0, 20.0) for w in (0.1, 0.5, 0.9)}
    assert {parent for job in students for parent in job.parents} == {jobs["teacher_pretrained"].id}
    assert jobs["student_kd/temperature=20,weight=0.5"].spec.objective.args["temperature"] == 20.0
    assert len(jobs) == 3 + 9


@pytest.mark.parametrize("sweep", [kd_grid, width])
def test_what_a_sweep_shares_with_the_report_is_the_same_run(sweep: Any, make_context: Any) -> None:
    ours, theirs = by_label(sweep.jobs(make_context())), by_label(report.jobs(make_context()))
    shared = ours.keys() & theirs.keys()
    assert {"pretrain", "teacher_pretrained"} <= shared
    assert all(ours[label].id == theirs[label].id for label in shared)


def test_a_users_value_for_a_fields_of_the_grid_shows_in_the_label_and_leaves_one_job(make_context: Any) -> None:
    plan = make_plan(kd_grid.jobs(make_context("objective.temperature=2")))
    labels = {job.label for job in plan.jobs if job.spec.teacher is not None}
    assert labels == {f"student_kd/temperature=2,weight={weight}" for weight in (0.1, 0.5, 0.9)}


def test_a_setting_may_be_meant_for_all_points_of_a_sweeps_own_grid(make_context: Any) -> None:
    setting = "student_kd:epochs=7"
    jobs = kd_grid.jobs(make_context(setting))
    check_settings([parse_setting(setting)], jobs)
    assert {job.spec.epochs for job in jobs if job.spec.teacher is not None} == {7}
    with pytest.raises(SpecError, match="have: pretrain, teacher, student, teacher_pretrained, student_scratch, stude"):
        check_settings([parse_setting("student_kdd:epochs=7")], jobs)


def test_every_width_has_a_distilled_student_and_its_scratch_twin(make_context: Any) -> None:
    jobs = by_label(width.jobs(make_context()))
    for factor in ("0.5", "0.75", "1", "1.5", "2"):
        alone = to_dict(jobs[f"student_scratch/width={factor}"].spec)
        distilled = to_dict(jobs[f"student_kd/width={factor}"].spec)
        assert {key for key in alone if alone[key] != distilled[key]} == {"objective", "teacher"}
    counts = [count_params(job.spec.model) for label, job in jobs.items() if label.startswith("student_scratch/width")]
    assert counts == sorted(set(counts)) and len(counts) == 5


def test_the_width_of_one_is_the_reports_student(make_context: Any) -> None:
    jobs, rows = by_label(width.jobs(make_context())), by_label(report.jobs(make_context()))
    assert jobs["student_scratch/width=1"].id == rows["student_scratch"].id


@pytest.mark.parametrize("num_classes", [2, 10, 11, 37, 100, 200])
@pytest.mark.parametrize("image_size", [32, 96])
def test_matched_networks_have_the_budgets_parameters_to_a_percent(
    make_context: Any, make_manifest: Any, num_classes: int, image_size: int
) -> None:
    data = make_manifest(class_names=tuple(map(str, range(num_classes))), image_size=image_size)
    jobs = conv_matched.jobs(make_context(data=data))
    assert [job.label for job in jobs] == ["conv_plain", "conv_depthwise", "conv_group"]
    for job in jobs:
        count = count_params(job.spec.model)
        assert 0.99 * 264_075 <= count <= 264_075, (job.label, count)


@pytest.mark.parametrize(
    ("model", "formula", "channels"),
    [
        ("conv_plain", conv_matched.plain_params, (5, 9, 13)),
        ("conv_depthwise", conv_matched.depthwise_params, (7, 11)),
        ("conv_group", conv_matched.group_params, (8, 24, 16, 40)),
    ],
)
def test_the_closed_forms_count_as_the_built_networks_do(model: str, formula: Any, channels: tuple[int, ...]) -> None:
    built = Choice(name=model, args={"num_classes": 23, "image_size": 48, "channels": channels})
    assert formula(channels, 23) == count_params(built)


def test_with_eleven_classes_the_plain_network_is_the_reports(make_context: Any) -> None:
    assert by_label(conv_matched.jobs(make_context()))["conv_plain"].spec.model.args["channels"] == (32, 64, 128, 128)


def test_a_budget_that_no_network_meets_is_refused(make_context: Any, make_manifest: Any) -> None:
    data = make_manifest(class_names=tuple(map(str, range(600))))
    with pytest.raises(SpecError, match=r"no channels fit 264,075 parameters with so many classes; the least are 3"):
        conv_matched.jobs(make_context(data=data))


def test_the_smoke_sweep_has_every_kind_of_job_in_single_epochs(make_context: Any) -> None:
    jobs = smoke.jobs(make_context())
    assert {job.role for job in jobs} == set(Role)
    assert {job.spec.objective.name for job in jobs} == {"cross_entropy", "kd"}
    assert {job.spec.epochs for job in jobs} == {1}
    assert any(job.spec.init_run is not None for job in jobs)
    assert {job.spec.epochs for job in smoke.jobs(make_context("epochs=2"))} == {2}


def test_the_smoke_sweep_needs_no_source_data(make_context: Any) -> None:
    assert "pretrain" not in by_label(smoke.jobs(make_context(source=None)))
