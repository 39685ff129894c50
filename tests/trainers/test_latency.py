"""The measured time of one picture: of evaluation, of enough passes, and without a trace in what was trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainers import latency
from trainers.latency import MIN_PASSES, NUM_PASSES, NUM_WARM_UP, measure_latency
from trainers.network import Network
from trainers.spec import Normalization, run_id
from trainers.storage import PREDICTIONS, WEIGHTS

CPU = torch.device("cpu")


class Watched(nn.Module):
    """Notes what it is given, and draws a random number as a user's network may."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[torch.Size, bool, bool, int]] = []

    def forward(self, images_NCHW: Tensor) -> Tensor:
        torch.rand(1)
        self.seen.append((images_NCHW.shape, self.training, torch.is_grad_enabled(), torch.get_num_threads()))
        return images_NCHW


def watched(monkeypatch: pytest.MonkeyPatch, seconds: Iterator[float]) -> tuple[float, Watched]:
    """What is measured of passes that take so long on a clock of ours."""
    body, moments = Watched(), [0.0]

    def clock() -> float:
        is_start = len(moments) % 2 == 1
        moments.append(moments[-1] + (0.0 if is_start else next(seconds)))
        return moments[-1]

    monkeypatch.setattr(latency.time, "perf_counter", clock)
    return measure_latency(Network(body, Normalization.NONE), 8, CPU), body


def constant(seconds: float) -> Iterator[float]:
    while True:
        yield seconds


def test_it_is_of_single_pictures_in_evaluation_mode_without_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    _, body = watched(monkeypatch, constant(0.001))
    assert set(body.seen) == {(torch.Size([1, 3, 8, 8]), False, False, torch.get_num_threads())}


@pytest.mark.parametrize(("seconds", "num_passes"), [(0.001, NUM_PASSES), (0.01, 20), (10.0, MIN_PASSES)])
def test_there_are_as_many_passes_as_fit_and_never_too_few_for_a_median(
    monkeypatch: pytest.MonkeyPatch, seconds: float, num_passes: int
) -> None:
    measured, body = watched(monkeypatch, constant(seconds))
    assert measured == pytest.approx(seconds)
    assert num_passes <= len(body.seen) - NUM_WARM_UP <= num_passes + 1  # a sum of floats may fall short of 0.2


def test_it_is_the_median_and_the_warm_up_is_not_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([9.0] * NUM_WARM_UP + [0.05, 0.01, 0.07, 0.02, 0.06])
    measured, _ = watched(monkeypatch, times)
    assert measured == pytest.approx(0.05)


def test_a_gpu_is_waited_for_before_and_after_every_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(latency, "_wait", lambda device: order.append("wait"))
    monkeypatch.setattr(latency.time, "perf_counter", lambda: order.append("clock") or 0.1)
    measure_latency(Network(nn.Identity(), Normalization.NONE), 8, CPU)
    assert order == ["wait", "clock"] * 2 * (NUM_WARM_UP + NUM_PASSES)


def test_random_state_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_rng_state()
    watched(monkeypatch, constant(0.001))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_result_has_it_and_weights_and_predictions_are_those_without_it(
    make_lab: Callable[[str], Any], make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_it, without = make_lab("with"), make_lab("without")
    spec = make_spec(data=with_it.data(), epochs=1)
    assert without.data() == spec.data
    seconds = with_it.train(spec).latency_seconds
    assert 0 < seconds < 1
    monkeypatch.setattr("trainers.outcome.measure_latency", lambda *arguments: None)
    assert without.train(spec).latency_seconds is None
    for name in (WEIGHTS, PREDICTIONS):
        assert with_it.file(spec, name).read_bytes() == without.file(spec, name).read_bytes()


def test_it_is_measured_with_the_threads_that_the_training_has(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr("trainers.outcome.measure_latency", lambda *a: float(seen.append(torch.get_num_threads()) or 1))
    spec = make_spec(data=lab.data(), epochs=1)
    lab.train(spec, num_threads=2)
    result = lab.store.result(run_id(spec))
    assert (seen, result.environment.num_threads) == ([2], 2)
