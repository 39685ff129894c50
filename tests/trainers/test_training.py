"""Averaged weights and mixed views in the loop, and that an interruption changes nothing with any of them."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from trainers.checkpoint import decode_state, encode_state
from trainers.network import Network
from trainers.result import EpochRecord
from trainers.spec import Augment, Choice, RunSpec, run_id
from trainers.storage import CURVES, PREDICTIONS, WEIGHTS
from trainers.training import Training

MIXED = Augment(crop_padding=1, horizontal_flip=True, mixup_alpha=0.4, erasing_probability=0.5)
OBJECTIVES = {
    "dkd": Choice(name="dkd"),
    "dist": Choice(name="dist"),
    "funmatch": Choice(name="funmatch"),
    "attention": Choice(name="attention", args={"attention_weight": 10.0}),
    "hint": Choice(name="hint", args={"stage": -1}),
}


def weights(lab: Any, spec: RunSpec) -> dict[str, Tensor]:
    state: dict[str, Tensor] = safetensors.torch.load_file(lab.file(spec, WEIGHTS))
    return state


def clone(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: values.clone() for name, values in module.state_dict().items()}


# Averaged weights


def test_validation_and_the_saved_weights_are_the_averages(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainers import evaluate

    spec = make_spec(data=lab.data(), epochs=3, ema_decay=0.8)
    states: list[dict[str, Tensor]] = []  # after every step
    validated: list[dict[str, Tensor]] = []
    real_step, real_predict = Training._step, evaluate.predict

    def step(self: Training, *given: Any) -> Any:
        outcome = real_step(self, *given)
        states.append(clone(self._network.body))
        return outcome

    def predict(network: Any, pictures: Any, device: Any) -> Tensor:
        validated.append(clone(network.body))
        return real_predict(network, pictures, device)

    monkeypatch.setattr(Training, "_step", step)
    monkeypatch.setattr("trainers.training.predict", predict)
    result = lab.train(spec)
    assert (len(states), len(validated)) == (9, 3)
    average = states[0]
    for number, state in enumerate(states[1:], start=1):
        kept = min(0.8, (1 + number) / (10 + number))
        for name, values in state.items():
            is_count = not values.is_floating_point()
            average[name] = values if is_count else kept * average[name] + (1 - kept) * values
        if number % 3 == 2:
            for name, values in validated[number // 3].items():
                torch.testing.assert_close(values, average[name], atol=1e-5, rtol=1e-4)
    saved = weights(lab, spec)
    assert all(torch.equal(values, saved[name]) for name, values in validated[result.best_epoch - 1].items())
    assert not torch.equal(saved["0.weight"], states[result.best_epoch * 3 - 1]["0.weight"])


def test_an_average_does_not_change_how_the_network_trains(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(), epochs=2)
    plain, averaged = (list(lab.steps(one)) for one in (spec, make_spec(data=spec.data, epochs=2, ema_decay=0.9)))
    assert [record.train_loss for record in plain] == [record.train_loss for record in averaged]
    assert plain[-1].validation_loss != averaged[-1].validation_loss


# Mixed views


def test_mixed_views_train_with_accuracy_on_the_leading_labels(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(), epochs=6, augment=MIXED)
    records = list(lab.steps(spec))
    assert records[-1].train_loss < records[0].train_loss
    result = lab.store.result(run_id(spec))
    assert result.best_validation_accuracy > 0.9
    assert all(0 <= record.train_accuracy <= 1 for record in records)


# Interruptions


def assert_same_run(one: Any, other: Any, spec: RunSpec) -> None:
    for name in (WEIGHTS, PREDICTIONS):
        assert one.file(spec, name).read_bytes() == other.file(spec, name).read_bytes()
    curves = [lab.store.attempt(run_id(spec), lab.store.result(run_id(spec)).attempt).curves() for lab in (one, other)]
    assert [figures(record) for record in curves[0]] == [figures(record) for record in curves[1]]
    assert CURVES in one.store.result(run_id(spec)).files


def figures(record: EpochRecord) -> tuple[Any, ...]:
    return record.train_loss, record.loss_parts, record.train_accuracy, record.validation_loss


def train_and_resume(make_lab: Any, make_spec: Any, **changes: Any) -> None:
    """Undisturbed in one store, interrupted after the second epoch in the other; equal byte for byte."""
    whole, broken = make_lab("whole"), make_lab("broken")
    data = whole.data()
    assert broken.data() == data
    if "objective" in changes:
        teacher = make_spec(data=data, epochs=5, seed=7)
        changes["teacher"] = teacher
        for lab in (whole, broken):
            lab.train(teacher)
    spec = make_spec(data=data, epochs=3, **changes)
    whole.train(spec)
    broken.train_until(spec, 2)
    torch.manual_seed(99)
    assert broken.train(spec).resumed_from_epochs == (2,)
    assert_same_run(whole, broken, spec)


@pytest.mark.parametrize("changes", [{"ema_decay": 0.9}, {"augment": MIXED}, {"ema_decay": 0.9, "augment": MIXED}])
def test_averages_and_mixed_views_go_on_to_the_same_bytes(
    make_lab: Any, make_spec: Any, changes: dict[str, Any]
) -> None:
    train_and_resume(make_lab, make_spec, **changes)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_distillation_goes_on_to_the_same_bytes(make_lab: Any, make_spec: Any, name: str) -> None:
    views = {"augment": MIXED} if name == "funmatch" else {}
    train_and_resume(make_lab, make_spec, objective=OBJECTIVES[name], **views)


@pytest.mark.parametrize("part", ["average", "criterion"])
def test_a_checkpoint_of_an_earlier_version_is_not_used_and_said_to_be(lab: Any, make_spec: Any, part: str) -> None:
    spec = make_spec(data=lab.data(), epochs=2)
    attempt = lab.train_until(spec, 1)
    (file,) = lab.store.checkpoints(run_id(spec))
    state = decode_state(file)
    del state[part]
    attempt.write_checkpoint(1, encode_state(state))
    assert lab.train(spec).resumed_from_epochs == ()
    assert "was made by other code; not used" in lab.store.attempts(run_id(spec))[-1].log_file.read_text()


# What is left in the process


@pytest.mark.parametrize("name", ["kd", "hint"])
def test_a_training_that_is_over_is_out_of_memory(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    teacher = make_spec(data=lab.data(), epochs=5, seed=7)
    lab.train(teacher)
    networks: list[weakref.ref[torch.nn.Module]] = []
    real = Network.__init__

    def watched(self: Network, *args: Any) -> None:
        real(self, *args)
        networks.append(weakref.ref(self))

    monkeypatch.setattr(Network, "__init__", watched)
    gc.disable()
    try:
        lab.train(make_spec(data=teacher.data, teacher=teacher, objective=Choice(name=name), epochs=1))
        assert [network() for network in networks] == [None, None]
    finally:
        gc.enable()
