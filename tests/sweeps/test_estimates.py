"""Seconds of trainings that were never run, worked out by hand from some that were."""

from __future__ import annotations

from typing import Any

import pytest

from sweeps.estimates import Estimates, History, Kind, Measured, Place, kind_of, network
from sweeps.passes import Setup
from sweeps.plan import Job
from sweeps.resources import default_resources
from trainers.spec import Choice, Precision, Role, RunSpec
from trainers.teacher_logits import logits_read_by

BIG = Choice(name="resnet18", args={"num_classes": 3, "image_size": 16})
CPU, GPU = Place(), Place(device="cuda")


def measured(spec: RunSpec, seconds_per_image: float, **changes: Any) -> Measured:
    given = {"kind": kind_of(spec), "num_macs": 100, "device": "cpu", "num_threads": 1, **changes}
    return Measured(seconds_per_image=seconds_per_image, **given)


def estimates(*runs: Measured, **more: Any) -> Estimates:
    return Estimates(history=History(runs=runs), num_images={"f00d": 1000}, **more)


def cost(known: Estimates, spec: RunSpec) -> float:
    """Of the whole job."""
    setup = Setup(resources=default_resources(has_gpu=False), machines=(), estimates=known)
    return setup.cost(Job(label="one", role=Role.STUDENT, spec=spec))


def test_a_run_of_the_same_kind_is_the_estimate_and_epochs_and_what_is_besides_are_added(make_spec: Any) -> None:
    """1000 pictures of 2 ms are 2 s an epoch; three epochs and 0.5 s besides are 6.5 s."""
    known = estimates(measured(make_spec(seed=5, lr=0.5), 2e-3, extra_seconds=0.5))
    assert known.epoch_seconds(make_spec(), Role.STUDENT, CPU) == pytest.approx(2.0)
    assert cost(known, make_spec()) == pytest.approx(6.5)


def test_of_many_runs_the_median_of_the_newest_counts(make_spec: Any) -> None:
    """20 old runs of 9 ms are not among the newest 15."""
    old = [measured(make_spec(), 9e-3, finished_at=f"2025-01-{day:02}") for day in range(1, 21)]
    new = [measured(make_spec(), seconds, finished_at="2026") for seconds in (1e-3, 2e-3, 4e-3) for _ in range(5)]
    assert estimates(*old, *new).epoch_seconds(make_spec(), Role.STUDENT, CPU) == pytest.approx(2.0)


def test_runs_on_as_many_threads_come_before_others_and_another_device_says_nothing(make_spec: Any) -> None:
    runs = [measured(make_spec(), 1e-3, num_threads=4), measured(make_spec(), 3e-3, num_threads=1)]
    known = estimates(*runs, measured(make_spec(), 1e-5, device="cuda"))
    seconds = [known.epoch_seconds(make_spec(), Role.STUDENT, Place(num_threads=n)) for n in (1, 4, 8)]
    assert seconds == pytest.approx([3.0, 1.0, 2.0])
    assert known.epoch_seconds(make_spec(), Role.STUDENT, GPU) == pytest.approx(0.01)


def test_a_distillation_that_never_ran_is_its_networks_training_and_its_teachers_forward_pass(make_spec: Any) -> None:
    """The student alone takes 1 ms; a third of the teacher's 6 ms is its forward pass: 3 ms, two teachers 5 ms."""
    teacher = make_spec(model=BIG)
    known = estimates(measured(teacher, 6e-3), measured(make_spec(), 1e-3))
    one = make_spec(objective=Choice(name="kd"), teacher=teacher)
    two = make_spec(objective=Choice(name="kd"), teacher=teacher, co_teachers=(make_spec(model=BIG, seed=1),))
    assert known.epoch_seconds(one, Role.STUDENT, CPU) == pytest.approx(3.0)
    assert known.epoch_seconds(two, Role.STUDENT, CPU) == pytest.approx(5.0)
    assert known.forward_seconds(network(BIG), "float32", CPU, 16) == pytest.approx(2e-3)
    assert known.epoch_seconds(one, Role.STUDENT, CPU, reads_logits=True) == pytest.approx(1.0)
    assert known.logits_seconds(logits_read_by(one)[0], CPU) == pytest.approx(2.0)


def test_an_unknown_network_takes_its_arithmetic_and_its_maps_as_much_slower_as_runs_were(make_spec: Any) -> None:
    """On our core 10 M MACs at 16 pixels take 0.7 / 4 + 0.73 = 0.905 ms; here twice that, as the median of three says.

    So 50 M MACs take 2 x (0.175 + 3.65) = 7.65 ms. In another precision nothing is known: 3.825 ms.
    """
    runs = [
        measured(make_spec(batch_size=size), factor * 0.905e-3, num_macs=10_000_000, pixels=16)
        for size, factor in ((8, 2), (16, 1), (32, 9))
    ]
    known = estimates(*runs, num_macs={network(BIG): 50_000_000})
    assert known.epoch_seconds(make_spec(model=BIG), Role.TEACHER, CPU) == pytest.approx(7.65)
    half = make_spec(model=BIG, precision=Precision.BFLOAT16)
    assert known.epoch_seconds(half, Role.TEACHER, CPU) == pytest.approx(3.825)


@pytest.mark.parametrize(
    ("role", "side", "seconds"), [(Role.TEACHER, 32, 3.5), (Role.STUDENT, 64, 4.8), (Role.VARIANT, 16, 0.25)]
)
def test_without_any_history_the_role_and_the_pixels_decide(
    make_spec: Any, role: Role, side: int, seconds: float
) -> None:
    spec = make_spec(model=Choice(name="student", args={"image_size": side}))
    assert estimates().epoch_seconds(spec, role, CPU) == pytest.approx(seconds)


def test_where_pictures_are_not_counted_jobs_still_compare(make_spec: Any) -> None:
    unknown = Estimates()
    assert not unknown.knows("f00d")
    short, long = (cost(unknown, make_spec(epochs=epochs)) for epochs in (1, 3))
    assert long == pytest.approx(3 * short)


def test_a_kind_knows_what_decides_the_speed_and_nothing_else(make_spec: Any) -> None:
    spec = make_spec()
    assert kind_of(spec) == kind_of(make_spec(seed=3, lr=0.1, epochs=9))
    assert kind_of(make_spec(model=Choice(name="student", args={"num_classes": 9, "image_size": 16}))) == kind_of(spec)
    others = [{"batch_size": 16}, {"model": BIG}, {"precision": Precision.FLOAT16}, {"teacher": spec}]
    kinds: set[Kind] = {kind_of(make_spec(**change)) for change in others}
    assert len(kinds | {kind_of(spec)}) == 5
