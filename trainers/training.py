"""One training in progress: its network, optimizer and records, epoch by epoch, saved and restored.

Shapes: N pictures of a batch, S pixels per side, C = 3 channels, K classes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import msgspec
import torch
from torch import Tensor

from trainers.averaging import Average
from trainers.batches import Batch, EpochViews
from trainers.checkpoint import copy_state, decode_state, snapshot
from trainers.criterion import Criterion
from trainers.device import autocast
from trainers.environment import gives_same_numbers
from trainers.errors import CorruptFileError, SpecError, TrainingError
from trainers.evaluate import accuracy, cross_entropy, predict
from trainers.network import Network
from trainers.optim import build_optimizer, build_schedule
from trainers.outcome import History, write_outcome
from trainers.pictures import load_split
from trainers.randomness import generator, seeded
from trainers.resident import home_of, resident, sent
from trainers.result import Environment, EpochRecord, Result, Split
from trainers.saved import initial_network
from trainers.spec import Precision, RunSpec, from_dict, run_id
from trainers.storage import WEIGHTS, Attempt, Store
from trainers.teaching import Lessons


class Training:
    """Everything of one training that changes from epoch to epoch, and how it is saved and restored.

    `before_step` is called before every step and ends the training by what it raises.
    """

    def __init__(
        self,
        spec: RunSpec,
        store: Store,
        device: torch.device,
        environment: Environment,
        lessons: Lessons,
        before_step: Callable[[], None],
    ) -> None:
        if spec.precision is Precision.FLOAT16 and device.type != "cuda":
            raise SpecError("precision float16 needs a CUDA device; use float32 or bfloat16 here")
        self._spec, self._store, self._device, self._environment = spec, store, device, environment
        pictures, labels = load_split(store, spec.data, Split.TRAIN)
        self._pictures = resident(pictures, device)
        self._labels_N = torch.from_numpy(labels).to(home_of(self._pictures))
        self._network = initial_network(spec, store).to(device)
        self._average = Average(self._network, spec.ema_decay) if spec.ema_decay else None
        self._criterion, self._lessons = Criterion(spec, store, self._network, device), lessons
        self._before_step = before_step
        learned = (*self._network.parameters(), *self._criterion.parameters())
        self._optimizer = build_optimizer(spec.optimizer, learned)
        self._num_steps = max(1, len(labels) // spec.batch_size)
        self._schedule = build_schedule(spec.schedule, self._optimizer, max(1, self._num_steps * spec.epochs))
        self._scaler = torch.amp.GradScaler(device.type, enabled=spec.precision is Precision.FLOAT16)
        self.records: list[EpochRecord] = []
        self._best_epoch, self._best_state = 0, copy_state(self._evaluated.body)
        self._parent_weights = {run_id(parent): _weights_digest(store, run_id(parent)) for parent in spec.parents}
        self._resumed_from: tuple[int, ...] = ()
        self._is_mixed = False

    def run_epoch(self, epoch: int) -> EpochRecord:
        """Train and validate once; TrainingError names the first step whose loss is not finite."""
        start = time.perf_counter()
        figures, accuracy_, lr = self._train(epoch)
        train_seconds = time.perf_counter() - start
        pictures, labels = load_split(self._store, self._spec.data, Split.VALIDATION)
        logits_NK = predict(self._evaluated, pictures, self._device)
        validation_loss = cross_entropy(logits_NK, torch.from_numpy(labels))
        _check_validation(validation_loss, epoch, lr)
        record = EpochRecord(
            epoch=epoch,
            train_loss=figures.pop("loss"),
            loss_parts=figures,
            train_accuracy=accuracy_,
            validation_loss=validation_loss,
            validation_accuracy=accuracy(logits_NK, torch.from_numpy(labels)),
            learning_rate=lr,
            images_per_second=self._num_steps * min(self._spec.batch_size, len(self._labels_N)) / train_seconds,
            epoch_seconds=time.perf_counter() - start,
            reads_logits=self._lessons.were_read,
        )
        self._keep(record)
        return record

    def _train(self, epoch: int) -> tuple[dict[str, float], float, float]:
        """One pass over shuffled views: mean loss and parts, accuracy on the views, last learning rate."""
        spec, num_images = self._spec, len(self._labels_N)
        order_N = torch.randperm(num_images, generator=generator("order", spec.seed, epoch))
        num_classes = self._store.manifest(spec.data).num_classes
        views = EpochViews(self._pictures, self._labels_N, spec.augment, spec.view_seed, epoch, num_classes)
        taught_NK = self._lessons.logits(epoch, views) if self._lessons.is_heard else None
        self._network.train()
        with seeded("training", spec.seed, epoch):
            losses, num_right, rates = self._steps(views, taught_NK, order_N.to(views.home))
        figures = {name: torch.stack([parts[name] for parts in losses]).cpu() for name in losses[0]}
        _check_finite(figures["loss"], epoch, rates)
        num_seen = self._num_steps * min(spec.batch_size, num_images)
        means = {name: values.double().mean().item() for name, values in figures.items()}
        return means, num_right.item() / num_seen, rates[-1]

    def _steps(
        self, views: EpochViews, taught_NK: Tensor | None, order_N: Tensor
    ) -> tuple[list[dict[str, Tensor]], Tensor, list[float]]:
        """Losses, how many are right, and learning rates; a GPU is never waited for in here (a test looks)."""
        losses: list[dict[str, Tensor]] = []
        num_right = torch.zeros((), device=self._device)
        rates: list[float] = []
        for step in range(self._num_steps):
            self._before_step()
            indices_B = order_N[step * self._spec.batch_size :][: self._spec.batch_size]
            batch = views.batch(indices_B, self._device)
            taught_BK = None if taught_NK is None else taught_NK[sent(indices_B, self._device)]
            rates.append(self._optimizer.param_groups[0]["lr"])
            parts, logits_BK = self._step(batch, taught_BK)
            losses.append(parts)
            num_right += (logits_BK.argmax(dim=1) == batch.labels_B).sum()
        return losses, num_right, rates

    def _step(self, batch: Batch, taught_BK: Tensor | None) -> tuple[dict[str, Tensor], Tensor]:
        parts, logits_BK = self._criterion(batch, taught_BK, autocast(self._spec.precision, self._device))
        self._optimizer.zero_grad()
        self._scaler.scale(parts["loss"]).backward()  # type: ignore[no-untyped-call]
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._schedule.step()
        if self._average is not None:
            self._average.update()
        return {name: part.detach() for name, part in parts.items()}, logits_BK.detach()

    @property
    def _evaluated(self) -> Network:
        """The network that is validated and kept: the average if there is one."""
        return self._network if self._average is None else self._average.network

    def _keep(self, record: EpochRecord) -> None:
        """Validation alone decides which weights are kept; of equals the first."""
        if not self.records or record.validation_accuracy > self._best().validation_accuracy:
            self._best_epoch, self._best_state = record.epoch, copy_state(self._evaluated.body)
        self.records.append(record)

    def _best(self) -> EpochRecord:
        return self.records[self._best_epoch - 1]

    def state(self) -> dict[str, Any]:
        """All that a new process needs to go on as if nothing had happened; training on does not change it."""
        kept = {"best_state": self._best_state}  # replaced, never changed
        return kept | {name: snapshot(part) for name, part in self._parts().items()}

    def _parts(self) -> dict[str, Any]:
        return {
            "network": self._network.body.state_dict(),
            "average": {} if self._average is None else self._average.state(),
            "criterion": self._criterion.state(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
            "best_epoch": self._best_epoch,
            "records": msgspec.to_builtins(self.records),
            "parent_weights": self._parent_weights,
            "environment": msgspec.to_builtins(self._environment),
            "resumed_from": list(self._resumed_from),
            "is_mixed": self._is_mixed,
        }

    def resume(self, attempt: Attempt) -> None:
        """Go on from the newest checkpoint that is sound and was made with the same parents; say so."""
        for file in self._store.checkpoints(attempt.run):
            try:
                state = decode_state(file)
                if state.get("parent_weights") != self._parent_weights:
                    attempt.log(f"checkpoint {file} was made with other parents' weights; not used")
                    continue
                if not self._fits(state):
                    attempt.log(f"checkpoint {file} was made by other code; not used")
                    continue
                self._restore(state)
            except CorruptFileError as error:
                attempt.log(f"{error}; trying the one before")
                continue
            attempt.log(f"going on after epoch {len(self.records)}, from {file}")
            return

    def _fits(self, state: dict[str, Any]) -> bool:
        """Whether a checkpoint is of a training with the same parts, each with the same tensors."""
        ours = self.state()
        learned = ("network", "average", "criterion")
        return state.keys() == ours.keys() and all(_shapes(state[part]) == _shapes(ours[part]) for part in learned)

    def _restore(self, state: dict[str, Any]) -> None:
        self._network.body.load_state_dict(state["network"])
        if self._average is not None:
            self._average.restore(state["average"])
        self._criterion.restore(state["criterion"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._scaler.load_state_dict(state["scaler"])
        self._best_epoch, self._best_state = state["best_epoch"], state["best_state"]
        self.records = from_dict(list[EpochRecord], state["records"])
        before = from_dict(Environment, state["environment"])
        self._is_mixed = state["is_mixed"] or not gives_same_numbers(before, self._environment)
        self._resumed_from = (*state["resumed_from"], len(self.records))

    def result(self, attempt: Attempt, started_at: str) -> Result:
        """Write the run's files, with the weights that validation chose."""
        self._evaluated.body.load_state_dict(self._best_state)
        history = History(
            records=tuple(self.records),
            best_epoch=self._best_epoch,
            environment=self._environment,
            parent_weights=self._parent_weights,
            resumed_from=self._resumed_from,
            is_mixed=self._is_mixed,
            started_at=started_at,
        )
        return write_outcome(self._spec, self._store, attempt, self._evaluated, self._device, history)


def _weights_digest(store: Store, run: str) -> str:
    result = store.result(run)
    if result is None:
        raise CorruptFileError(f"parent run {run} has no result; run the sweep again")
    return result.files[WEIGHTS].sha256


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}


def _check_finite(losses: Tensor, epoch: int, rates: list[float]) -> None:
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        step = int(bad[0])
        raise TrainingError(
            f"loss is {losses[step].item()} at epoch {epoch}, step {step + 1} of {len(losses)}, "
            f"learning rate {rates[step]:.3g}; lower optimizer.lr or look at the data"
        )


def _check_validation(loss: float, epoch: int, rate: float) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"validation loss is {loss} after epoch {epoch}, learning rate {rate:.3g}; "
            "lower optimizer.lr or look at the data"
        )
