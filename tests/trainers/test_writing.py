"""Checkpoints that are written beside the training: complete, in order, and an error is not lost."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
import torch

from trainers.attempt import Attempt
from trainers.checkpoint import decode_state, encode_state, snapshot
from trainers.errors import DiskFullError, TrainingError
from trainers.spec import RunSpec, run_id
from trainers.training import Training


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("checkpoint")]


def test_the_next_epoch_trains_while_a_checkpoint_is_written(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write, real_epoch, is_training = Attempt.write_checkpoint, Training.run_epoch, threading.Event()

    def epoch(self: Training, number: int) -> Any:
        if number == 2:
            is_training.set()
        return real_epoch(self, number)

    def write(self: Attempt, number: int, payload: bytes, **more: Any) -> None:
        assert is_training.wait(30), "the second epoch waits for the first one's checkpoint"
        real_write(self, number, payload, **more)

    monkeypatch.setattr(Training, "run_epoch", epoch)
    monkeypatch.setattr(Attempt, "write_checkpoint", write)
    lab.train(make_spec(data=lab.data(), epochs=2))


def saved_states(lab: Any, spec: RunSpec) -> list[dict[str, Any]]:
    """Of an attempt that is interrupted after two epochs, the newest first."""
    lab.train_until(spec, 2)
    return [decode_state(file) for file in lab.store.checkpoints(run_id(spec))]


def test_a_checkpoint_holds_its_own_epoch_however_late_it_is_written(
    make_lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = make_lab("one"), make_lab("two")
    spec = make_spec(data=one.data(), epochs=3, ema_decay=0.9)
    two.data()
    prompt = saved_states(one, spec)
    real_encode, real_epoch, has_trained_on = encode_state, Training.run_epoch, threading.Event()

    def epoch(self: Training, number: int) -> Any:
        record = real_epoch(self, number)
        if number == 2:
            has_trained_on.set()
        return record

    def encode(state: dict[str, Any]) -> bytes:
        assert has_trained_on.wait(30)
        return real_encode(state)

    monkeypatch.setattr(Training, "run_epoch", epoch)
    monkeypatch.setattr("trainers.writing.encode_state", encode)
    late = saved_states(two, spec)
    assert [len(state["records"]) for state in late] == [2, 1]
    for expected, state in zip(prompt, late, strict=True):
        for part in ("network", "average", "best_state"):
            assert all(torch.equal(values, state[part][name]) for name, values in expected[part].items())
        assert str(expected["optimizer"]) == str(state["optimizer"])
    assert not torch.equal(late[0]["network"]["0.weight"], late[1]["network"]["0.weight"])


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_an_error_of_the_writer_ends_the_training_without_a_result(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    spec, real = make_spec(data=lab.data(), epochs=3), Attempt.write_checkpoint

    def write(self: Attempt, epoch: int, payload: bytes, **more: Any) -> None:
        if epoch == failing:
            raise DiskFullError("disk full")
        real(self, epoch, payload, **more)

    monkeypatch.setattr(Attempt, "write_checkpoint", write)
    with pytest.raises(DiskFullError, match="disk full"):
        lab.train(spec)
    assert lab.store.result(run_id(spec)) is None
    assert not threads()


def test_an_epoch_ends_before_its_next_step_once_the_one_before_could_not_be_saved(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, real_step, real_submit = [], Training._step, ThreadPoolExecutor.submit

    def write(self: Attempt, epoch: int, payload: bytes, **more: Any) -> None:
        raise DiskFullError("disk full")

    def submit(self: ThreadPoolExecutor, *task: Any) -> Any:
        future = real_submit(self, *task)
        wait([future])  # has failed when the next epoch begins
        trained.append("saving")
        return future

    def step(self: Training, *more: Any) -> Any:
        trained.append("step")
        return real_step(self, *more)

    monkeypatch.setattr(Attempt, "write_checkpoint", write)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)
    monkeypatch.setattr(Training, "_step", step)
    with pytest.raises(DiskFullError):
        lab.train(make_spec(data=lab.data(), epochs=3))
    assert "step" in trained and trained[-1] == "saving"


def test_the_trainings_own_error_is_told_before_the_writers(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Training.run_epoch

    def epoch(self: Training, number: int) -> Any:
        if number == 2:
            raise TrainingError("loss is nan")
        return real(self, number)

    def write(self: Attempt, number: int, payload: bytes, **more: Any) -> None:
        raise DiskFullError("disk full")

    monkeypatch.setattr(Training, "run_epoch", epoch)
    monkeypatch.setattr(Attempt, "write_checkpoint", write)
    with pytest.raises(TrainingError):
        lab.train(make_spec(data=lab.data(), epochs=3))


def test_a_training_that_is_closed_leaves_a_whole_checkpoint_and_no_thread(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(), epochs=3)
    lab.train_until(spec, 1)
    (file,) = lab.store.checkpoints(run_id(spec))
    assert len(decode_state(file)["records"]) == 1
    assert not threads()


def test_a_snapshot_is_a_copy_in_the_same_memory_format() -> None:
    weights = torch.rand(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    state = {"tensors": [weights, (torch.tensor(1), 2.0)], "name": "x"}
    taken, before = snapshot(state), weights.clone()
    weights.zero_()
    assert torch.equal(taken["tensors"][0], before)
    assert taken["tensors"][0].stride() == before.stride()
    assert taken["tensors"][1] == (torch.tensor(1), 2.0) and taken["name"] == "x"
