"""Nothing in the loop over steps reads a value from the device, for which the CPU would have to wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from trainers import resident
from trainers.pictures import Pictures
from trainers.resident import home_of
from trainers.spec import Augment, Choice, Optimizer, OptimizerName, Precision, Schedule, ScheduleName
from trainers.training import Training

READING_METHODS = ("item", "cpu", "numpy", "tolist", "__bool__", "__float__", "__int__", "__index__", "nonzero")
READING_OPERATORS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique", "bincount")
MIXED = Augment(crop_padding=1, horizontal_flip=True, mixup_alpha=0.4, erasing_probability=0.5, rotation_degrees=5.0)
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "averaged": {"ema_decay": 0.9},
    "mixed": {"augment": MIXED},
    "one-cycle SGD in bfloat16": {
        "optimizer": Optimizer(name=OptimizerName.SGD, lr=0.01, weight_decay=0.0, momentum=0.9),
        "schedule": Schedule(name=ScheduleName.ONE_CYCLE),
        "precision": Precision.BFLOAT16,
    },
    **{name: {"objective": Choice(name=name)} for name in ("kd", "dkd", "dist", "attention")},
    "funmatch": {"objective": Choice(name="funmatch"), "augment": MIXED},
    "hint": {"objective": Choice(name="hint", args={"stage": -1})},
}


class Reading(AssertionError):
    """A value was read."""


class NothingIsRead(TorchDispatchMode):
    """Raises where torch itself would copy a value to the CPU; a CPU tensor has no other sign of it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        is_masked = name in ("index", "index_put", "index_put_") and any(
            one is not None and one.dtype == torch.bool for one in args[1]
        )
        if name in READING_OPERATORS or is_masked:
            raise Reading(str(func))
        return func(*args, **(kwargs or {}))


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """torch's looks at the labels, but only on a CPU."""
    return torch.zeros(*labels.shape, num_classes, dtype=torch.int64).scatter_(-1, labels[..., None], 1)


@contextmanager
def nothing_is_read() -> Iterator[None]:
    def refuse(name: str) -> Any:
        def method(*args: Any) -> Any:
            raise Reading(name)

        return method

    with pytest.MonkeyPatch.context() as patch, NothingIsRead():
        for name in READING_METHODS:
            patch.setattr(Tensor, name, refuse(name))
        patch.setattr(F, "one_hot", one_hot)
        yield


@pytest.mark.parametrize("name", SETTINGS)
def test_no_step_waits_for_the_device(lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    changes, data, seen = SETTINGS[name], lab.data(), []
    if "objective" in changes:
        changes = changes | {"teacher": make_spec(data=data, epochs=4, seed=7)}
        lab.train(changes["teacher"])
    real = Training._steps

    def watched(self: Training, *args: Any) -> Any:
        with nothing_is_read():
            steps = real(self, *args)
        seen.append(self._num_steps)
        return steps

    monkeypatch.setattr(Training, "_steps", watched)
    monkeypatch.setattr("trainers.training.resident", as_on_a_device)
    lab.train(make_spec(data=data, epochs=2, **changes))
    assert seen == [3, 3]


def as_on_a_device(pictures: Pictures, device: torch.device) -> Tensor:
    return torch.from_numpy(pictures.take(np.arange(len(pictures))))


def test_pictures_on_a_device_and_mapped_ones_train_to_the_same_bytes(
    make_lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = make_lab("one"), make_lab("two")
    spec = make_spec(data=one.data(), epochs=2, augment=MIXED)
    two.data()
    mapped = one.train(spec)
    monkeypatch.setattr("trainers.training.resident", as_on_a_device)
    assert two.train(spec).files["weights.safetensors"] == mapped.files["weights.safetensors"]


@pytest.mark.parametrize("reading", [lambda x: x.sum().item(), lambda x: x[x > 0], lambda x: bool(x.sum() > 0)])
def test_the_watch_sees_what_it_is_there_for(reading: Any) -> None:
    values = torch.rand(3)
    with pytest.raises(Reading), nothing_is_read():
        reading(values)


@pytest.mark.parametrize(("free_bytes", "moves"), [(4 * 5 * 48, True), (4 * 5 * 48 - 1, False)])
def test_a_quarter_of_the_free_memory_may_be_filled(
    monkeypatch: pytest.MonkeyPatch, free_bytes: int, moves: bool
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free_bytes, 10**9))
    real = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *size, dtype, device: real(*size, dtype=dtype))
    monkeypatch.setattr(resident, "PICTURES_PER_COPY", 2)
    there = resident.resident(Pictures(images), torch.device("cuda"))
    assert isinstance(there, Tensor) is moves
    if moves:
        assert np.array_equal(there, images)


def test_on_a_cpu_they_stay_mapped() -> None:
    pictures = Pictures(np.zeros((2, 4, 4, 3), dtype=np.uint8))
    assert resident.resident(pictures, torch.device("cpu")) is pictures
    assert home_of(pictures) == torch.device("cpu")
