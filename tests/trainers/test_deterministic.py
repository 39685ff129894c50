"""`--deterministic`: only algorithms that give the same bits every time, and torch as it was afterwards."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from torch.backends import cudnn

from trainers.errors import SpecError
from trainers.process import own_settings
from trainers.spec import run_id
from trainers.storage import WEIGHTS
from trainers.training import Training

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


def settings() -> tuple[bool, bool, str | None]:
    return torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, os.environ.get(CUBLAS)


def test_it_is_set_while_a_training_runs_and_as_before_afterwards(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, real, before = [], Training.run_epoch, settings()

    def watched(self: Training, epoch: int) -> Any:
        seen.append(settings())
        return real(self, epoch)

    monkeypatch.setattr(Training, "run_epoch", watched)
    strict, free = (make_spec(data=lab.data(), epochs=1, seed=seed) for seed in (1, 2))
    assert lab.train(strict, deterministic=True).environment.deterministic
    assert settings() == before
    assert not lab.train(free).environment.deterministic
    assert seen == [(True, True, ":4096:8"), (False, False, before[2])]


@pytest.mark.parametrize("setting", [None, ":16:8"])
def test_a_users_own_setting_of_cublas_is_put_back(setting: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CUBLAS, raising=False)
    if setting is not None:
        monkeypatch.setenv(CUBLAS, setting)
    with own_settings(1):
        assert os.environ.get(CUBLAS) == setting
    with own_settings(1, deterministic=True):
        assert os.environ[CUBLAS] == ":4096:8"
    assert os.environ.get(CUBLAS) == setting


def test_twice_gives_the_same_bytes_and_an_interruption_changes_nothing(make_lab: Any, make_spec: Any) -> None:
    whole, broken = make_lab("whole"), make_lab("broken")
    spec = make_spec(data=whole.data(), epochs=2)
    broken.data()
    whole.train(spec, deterministic=True)
    steps = broken.steps(spec, deterministic=True)
    next(steps)
    steps.close()
    result = broken.train(spec, deterministic=True)
    assert whole.file(spec, WEIGHTS).read_bytes() == broken.file(spec, WEIGHTS).read_bytes()
    assert (result.resumed_from_epochs, result.has_mixed_environment) == ((1,), False)


def test_to_go_on_without_it_is_flagged(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(), epochs=2)
    steps = lab.steps(spec, deterministic=True)
    next(steps)
    steps.close()
    assert lab.train(spec).has_mixed_environment


def test_an_operation_that_has_no_deterministic_form_is_one_line(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Training._step

    def with_put(self: Training, *given: Any) -> Any:
        torch.zeros(4).put_(torch.tensor([1]), torch.tensor([2.0]))
        return real(self, *given)

    monkeypatch.setattr(Training, "_step", with_put)
    spec = make_spec(data=lab.data(), epochs=1)
    with pytest.raises(SpecError, match=r"^put_ has no deterministic form on this device; leave out --deterministic$"):
        lab.train(spec, deterministic=True)
    assert lab.store.result(run_id(spec)) is None
    assert lab.train(spec).run_id == run_id(spec)


def test_other_errors_of_torch_are_told_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="out of something"), own_settings(1, deterministic=True):
        raise RuntimeError("out of something")
