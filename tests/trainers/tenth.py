"""A process of its own: `python tenth.py STORE first|tenth` trains one spec, alone or after nine of all kinds."""

from __future__ import annotations

import gc
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import torch
from conftest import Lab, make_spec

from sweeps import trial
from trainers.execution import Execution
from trainers.plugin_folder import read_folder
from trainers.spec import Augment, Choice, Optimizer, OptimizerName, Precision, RunSpec, Schedule, ScheduleName, run_id
from trainers.storage import Store

MIXED = Augment(crop_padding=1, horizontal_flip=True, rotation_degrees=10.0, mixup_alpha=0.4, erasing_probability=0.5)
PLUGINS = {
    "models/forgetful.py": """
        import torch
        from torch import nn


        def build(*, num_classes: int, image_size: int) -> nn.Module:
            layers = nn.Linear(3 * image_size**2, 8), nn.Dropout(0.5), nn.Linear(8, num_classes)
            return nn.Sequential(nn.Flatten(), *layers)
    """,
    "objectives/rude.py": """
        import torch
        from torch.nn import functional as F


        def build(*, fails: bool = False):
            def loss(logits_BK, teacher_BK, targets):
                torch.manual_seed(5)
                torch.set_num_threads(2)
                torch.set_float32_matmul_precision("medium")
                torch.use_deterministic_algorithms(True)
                torch.backends.cudnn.benchmark = True
                if fails:
                    torch.set_default_dtype(torch.float64)
                    torch.set_grad_enabled(False)
                    raise RuntimeError("a bug in a plug-in")
                return {"loss": F.cross_entropy(logits_BK, targets)}

            return loss
    """,
}
SETTINGS = (
    torch.get_default_dtype,
    torch.get_num_threads,
    torch.get_float32_matmul_precision,
    torch.are_deterministic_algorithms_enabled,
    torch.is_grad_enabled,
    lambda: torch.backends.cudnn.benchmark,
)


def tenth(data: str) -> RunSpec:
    """What is trained last."""
    return make_spec(data=data, augment=MIXED, ema_decay=0.9, epochs=2)


def nine(data: str, teacher: RunSpec) -> Iterator[tuple[RunSpec, dict[str, Any], bool]]:
    """A spec, how it is run, and whether it comes to a result."""
    rude, forgetful = Choice(name="rude"), Choice(name="forgetful", args={"num_classes": 2, "image_size": 8})
    sgd = Optimizer(name=OptimizerName.SGD, lr=0.01, weight_decay=0.0, momentum=0.9)
    diverging = Optimizer(name=OptimizerName.ADAMW, lr=1e30, weight_decay=0.01)
    stranger = make_spec(
        data=data, seed=8, epochs=1, optimizer=Optimizer(name=OptimizerName.SGD, lr=1e-12, weight_decay=0)
    )
    yield make_spec(data=data, precision=Precision.BFLOAT16, epochs=1), {"num_threads": 2}, True
    yield make_spec(data=data, ema_decay=0.5, augment=MIXED, epochs=1), {}, True
    yield make_spec(data=data, teacher=teacher, objective=Choice(name="hint", args={"stage": -1}), epochs=1), {}, True
    yield make_spec(data=data, model=forgetful, objective=rude, epochs=1), {}, True
    yield make_spec(data=data, objective=Choice(name="rude", args={"fails": True})), {}, False
    yield make_spec(data=data, optimizer=diverging), {}, False
    yield make_spec(data=data, teacher=stranger, epochs=1), {}, False
    yield make_spec(data=data, model=forgetful, epochs=1), {"num_threads": 2}, True
    schedule = Schedule(name=ScheduleName.ONE_CYCLE)
    yield make_spec(data=data, optimizer=sgd, schedule=schedule, seed=3, epochs=1), {}, True


def main() -> None:
    """Train; every expectation on the way is asserted."""
    store = Store(sys.argv[1]).open()
    data, plugins = Lab(store).data(), write_plugins(store)
    spec = tenth(data)
    if sys.argv[2] == "tenth":
        before = [read() for read in SETTINGS]
        teacher = make_spec(data=data, epochs=4, seed=7)
        train(store, teacher, Execution())
        for other, options, is_fine in nine(data, teacher):
            for parent in other.parents:
                if store.result(run_id(parent)) is None:
                    train(store, parent, Execution())
            train(store, other, Execution(plugins=plugins, **options))
            assert (store.result(run_id(other)) is not None) == is_fine, store.state(run_id(other))
            assert [read() for read in SETTINGS] == before
        abandoned = train_one_epoch(store, make_spec(data=data, seed=4))
        assert abandoned == 1
        gc.collect()
    train(store, spec, Execution())
    assert store.result(run_id(spec)) is not None, store.state(run_id(spec))


def write_plugins(store: Store) -> str:
    folder = store.root.parent / "own"
    for name, text in PLUGINS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f'"""A user\'s own."""\n{textwrap.dedent(text)}')
    return store.write_plugins(read_folder(folder)).digest


def train(store: Store, spec: RunSpec, execution: Execution) -> None:
    store.write_spec(spec)
    list(trial.train(store, run_id(spec), execution))


def train_one_epoch(store: Store, spec: RunSpec) -> int:
    """A training that is killed after its first epoch."""
    store.write_spec(spec)
    epochs = trial.train(store, run_id(spec), Execution())
    record = next(epochs)
    epochs.close()  # type: ignore[attr-defined]
    return record.epoch


if __name__ == "__main__":
    main()
