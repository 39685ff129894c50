"""What a step minimises: ensembles, objectives on maps, and what they learn beside the student."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trainers.augment import to_float
from trainers.batches import Batch, EpochViews
from trainers.criterion import Criterion
from trainers.errors import SpecError, WeakTeacherError
from trainers.execution import Execution
from trainers.measure import num_params
from trainers.network import build_network
from trainers.pictures import Pictures
from trainers.saved import trained_network
from trainers.spec import Augment, Choice, Optimizer, OptimizerName, RunSpec, group_id, run_id
from trainers.storage import WEIGHTS
from trainers.teaching import Lessons

CPU = torch.device("cpu")
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
IMAGES, LABELS = to_float(torch.from_numpy(PIXELS)), torch.tensor([0, 1, 1, 0])
BATCH = Batch(images_BCHW=IMAGES, labels_B=LABELS, targets=LABELS)
WIDE = Choice(name="conv_plain", args={"num_classes": 2, "image_size": 8, "channels": (5, 7), "final_size": 2})
ATTENTION = Choice(name="attention", args={"attention_weight": 10.0})
HINT = Choice(name="hint", args={"hint_weight": 1.0, "stage": -2})


@pytest.fixture
def teacher(lab: Any, make_spec: Any) -> RunSpec:
    """A wider network that has learned something."""
    spec: RunSpec = make_spec(data=lab.data(), epochs=5, seed=7, model=WIDE)
    assert lab.train(spec).best_validation_accuracy > 0.9
    return spec


@pytest.fixture
def second(lab: Any, make_spec: Any, teacher: RunSpec) -> RunSpec:
    """Another one."""
    spec: RunSpec = make_spec(data=teacher.data, epochs=5, seed=8)
    assert lab.train(spec).best_validation_accuracy > 0.9
    return spec


def criterion(lab: Any, spec: RunSpec) -> tuple[Criterion, Any]:
    network = build_network(spec)
    return Criterion(spec, lab.store, network, CPU), network


# Ensembles


def test_an_ensemble_teaches_the_mean_of_its_logits(
    lab: Any, make_spec: Any, teacher: RunSpec, second: RunSpec
) -> None:
    student = make_spec(data=teacher.data, teacher=teacher, co_teachers=(second,))
    views = EpochViews(Pictures(PIXELS), LABELS, Augment(), 0, 1, 2)
    taught_NK = Lessons(student, lab.store, CPU, Execution(), print).logits(1, views)
    with torch.no_grad():
        one, two = (trained_network(spec, lab.store)(IMAGES).double().numpy() for spec in (teacher, second))
    np.testing.assert_allclose(taught_NK.numpy(), (one + two) / 2, rtol=1e-5)
    assert not (one == two).any()


def test_a_student_learns_from_the_logits_that_it_is_given(lab: Any, make_spec: Any, teacher: RunSpec) -> None:
    loss, network = criterion(lab, make_spec(data=teacher.data, teacher=teacher))
    taught_BK = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.0, 0.5], [2.0, 2.0]])
    parts, logits_BK = loss(BATCH, taught_BK, nullcontext())
    with torch.no_grad():
        own = network.train()(IMAGES).double().numpy()
    p, q = (np.exp(z / 4) / np.exp(z / 4).sum(axis=1, keepdims=True) for z in (taught_BK.double().numpy(), own))
    assert parts["distillation"].item() == pytest.approx(16 * (p * np.log(p / q)).sum(axis=1).mean(), rel=1e-4)
    np.testing.assert_allclose(logits_BK.detach().numpy(), own, atol=1e-5)


def test_all_teachers_of_an_ensemble_are_parents_and_their_weights_are_recorded(
    lab: Any, make_spec: Any, teacher: RunSpec, second: RunSpec
) -> None:
    student = make_spec(data=teacher.data, teacher=teacher, co_teachers=(second,), epochs=1)
    result = lab.train(student)
    parents = {run_id(spec): lab.store.result(run_id(spec)) for spec in (teacher, second)}
    assert result.parent_weights == {run: parent.files[WEIGHTS].sha256 for run, parent in parents.items()}
    assert result.group_id == group_id(replace(student, seed=5, co_teachers=(replace(second, seed=3),)))
    assert result.run_id != run_id(replace(student, co_teachers=()))


def test_a_teacher_at_chance_is_refused_wherever_it_stands_in_the_ensemble(
    lab: Any, make_spec: Any, teacher: RunSpec
) -> None:
    still = Optimizer(name=OptimizerName.SGD, lr=1e-12, weight_decay=0.0)
    weak = make_spec(data=teacher.data, optimizer=still, epochs=1)
    lab.train(weak)
    student = make_spec(data=teacher.data, teacher=teacher, co_teachers=(weak,), epochs=1)
    with pytest.raises(WeakTeacherError, match=rf"teacher {run_id(weak)} .* no better than guessing"):
        next(lab.steps(student))
    assert lab.train(student, allow_weak_teacher=True).run_id == run_id(student)


# Maps


@pytest.mark.parametrize("objective", [ATTENTION, HINT])
def test_an_objective_on_maps_trains_between_networks_of_other_widths(
    lab: Any, make_spec: Any, teacher: RunSpec, objective: Choice
) -> None:
    student = make_spec(data=teacher.data, teacher=teacher, objective=objective, epochs=4)
    records = list(lab.steps(student))
    part = objective.name
    assert set(records[0].loss_parts) == {"cross_entropy", part}
    assert records[-1].loss_parts[part] < records[0].loss_parts[part]
    for record in records:
        expected = record.loss_parts["cross_entropy"] + objective.args[f"{part}_weight"] * record.loss_parts[part]
        assert record.train_loss == pytest.approx(expected, rel=1e-4)


def test_a_student_that_is_its_teacher_attends_alike(lab: Any, make_spec: Any, teacher: RunSpec) -> None:
    student = make_spec(data=teacher.data, teacher=teacher, objective=ATTENTION, model=WIDE)
    loss, network = criterion(lab, student)
    network.body.load_state_dict(trained_network(teacher, lab.store).body.state_dict())
    network.eval()
    assert loss(BATCH, None, nullcontext())[0]["attention"].item() == pytest.approx(0, abs=1e-9)
    network.train()
    assert loss(BATCH, None, nullcontext())[0]["attention"].item() > 1e-6


def test_the_projection_of_a_hint_is_no_part_of_the_student(lab: Any, make_spec: Any, teacher: RunSpec) -> None:
    student = make_spec(data=teacher.data, teacher=teacher, objective=HINT, epochs=1)
    loss, network = criterion(lab, student)
    assert [tuple(parameter.shape) for parameter in loss.parameters()] == [(7, 6, 1, 1), (7,)]  # stage -2: 6 and 7 wide
    assert num_params(network) == num_params(build_network(student))
    result = lab.train(student)
    plain = lab.train(make_spec(data=teacher.data, epochs=1))
    assert (result.num_params, result.num_macs) == (plain.num_params, plain.num_macs)
    trained_network(student, lab.store)  # raises if there were more, or less


def test_the_projection_is_trained_beside_the_student(lab: Any, make_spec: Any, teacher: RunSpec) -> None:
    student = make_spec(data=teacher.data, teacher=teacher, objective=HINT)
    training = lab.training(student, lab.store.result(run_id(teacher)).environment)
    before = {name: values.clone() for name, values in training._criterion.state().items()}
    training._step(BATCH, None)
    after = training._criterion.state()
    assert set(before) == {"projection.weight", "projection.bias"}
    assert all(not torch.equal(after[name], values) for name, values in before.items())


def test_the_projection_starts_as_the_seed_says(lab: Any, make_spec: Any, teacher: RunSpec) -> None:
    def start(seed: int) -> Tensor:
        spec = make_spec(data=teacher.data, teacher=teacher, objective=HINT, seed=seed)
        return criterion(lab, spec)[0].state()["projection.weight"]

    torch.manual_seed(1)
    first = start(0)
    torch.manual_seed(2)
    assert torch.equal(first, start(0))
    assert not torch.equal(first, start(1))


def test_making_the_projection_leaves_student_and_global_generator_alone(
    lab: Any, make_spec: Any, teacher: RunSpec
) -> None:
    student = make_spec(data=teacher.data, teacher=teacher, objective=HINT)
    before = torch.get_rng_state()
    _, network = criterion(lab, student)
    assert torch.equal(before, torch.get_rng_state())
    fresh = build_network(student).body.state_dict()
    assert all(torch.equal(values, fresh[name]) for name, values in network.body.state_dict().items())


def test_a_hint_at_a_stage_that_is_not_there_is_one_line(lab: Any, make_spec: Any, teacher: RunSpec) -> None:
    deep = Choice(name="hint", args={"stage": -9})
    with pytest.raises(SpecError, match=r"objective 'hint': stage is -9; student and teacher have 3 and 3; allowed"):
        next(lab.steps(make_spec(data=teacher.data, teacher=teacher, objective=deep)))
