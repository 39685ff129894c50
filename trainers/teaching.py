"""What a student's teachers say of an epoch's views: read where a job has written it before, else computed.

Both are one function over the same chunks of pictures, so that on a CPU they are equal bit for bit.

Shapes: N pictures of the data set, B of a chunk, K classes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from trainers.batches import EpochViews
from trainers.device import autocast, choose_device
from trainers.environment import describe_environment, numbers_digest
from trainers.errors import CorruptFileError
from trainers.evaluate import PIXELS_PER_BATCH
from trainers.execution import Execution
from trainers.network import Network
from trainers.pictures import load_split
from trainers.process import own_settings
from trainers.resident import resident
from trainers.result import Split
from trainers.saved import trained_network
from trainers.spec import LogitsType, RunSpec, digest_of, run_id
from trainers.storage import WEIGHTS, Attempt, Store
from trainers.teacher_logits import LogitsSpec, logits_id, logits_read_by

DTYPES = {LogitsType.FLOAT32: torch.float32, LogitsType.FLOAT16: torch.float16}


def view_logits(network: Network, views: EpochViews, spec: LogitsSpec, device: torch.device) -> Tensor:
    """A teacher's logits (N, K) over all views of an epoch, on the device."""
    size = max(1, PIXELS_PER_BATCH // views.size**2)
    logits_NK = torch.empty(len(views), spec.num_classes, dtype=DTYPES[spec.dtype], device=device)
    network.eval()
    with torch.inference_mode(), autocast(spec.precision, device):
        for indices_B in torch.split(torch.arange(len(views), device=views.home), size):
            logits_NK[indices_B[0] : indices_B[-1] + 1] = network(views.images(indices_B, device))
    return logits_NK


class Lessons:
    """The logits of a training's teachers, epoch by epoch; `is_heard` is False if the objective has no use for them."""

    def __init__(
        self, spec: RunSpec, store: Store, device: torch.device, execution: Execution, say: Callable[[str], None]
    ) -> None:
        self._store, self._device, self._execution, self._say = store, device, execution, say
        self._specs = logits_read_by(spec)
        self._weights = {run_id(one.teacher): _weights(store, one.teacher) for one in self._specs}
        self._sources: dict[str, str] = {}
        self._networks: dict[str, Network] = {}
        self._were_read: dict[str, bool] = {}

    @property
    def is_heard(self) -> bool:
        """Whether there is anything to learn from logits alone."""
        return bool(self._specs)

    @property
    def were_read(self) -> bool:
        """Whether no teacher had to run for the latest epoch's logits."""
        return bool(self._were_read) and all(self._were_read.values())

    def logits(self, epoch: int, views: EpochViews) -> Tensor:
        """Mean over the teachers of their logits (N, K), float32, whose softmax is their geometric mean."""
        every = [self._one(spec, epoch, views).float() for spec in self._specs]
        return every[0] if len(every) == 1 else torch.stack(every).mean(dim=0)

    def _one(self, spec: LogitsSpec, epoch: int, views: EpochViews) -> Tensor:
        written_NK = self._read(spec, epoch) if self._execution.reads_logits else None
        self._note(run_id(spec.teacher), epoch, is_read=written_NK is not None)
        return view_logits(self._network(spec.teacher), views, spec, self._device) if written_NK is None else written_NK

    def _note(self, teacher: str, epoch: int, *, is_read: bool) -> None:
        """Say how a teacher's logits are had, whenever that changes."""
        if self._were_read.get(teacher) != is_read:
            how = "are read from the store" if is_read else "are computed here"
            self._say(f"from epoch {epoch} on the logits of teacher {teacher} {how}")
        self._were_read[teacher] = is_read

    def _read(self, spec: LogitsSpec, epoch: int) -> Tensor | None:
        """What a job has written; None, and why, for what is damaged."""
        logits = logits_id(spec)
        if logits not in self._sources:
            weights = self._weights[run_id(spec.teacher)]
            self._sources[logits] = source_of(spec, weights, self._device, self._execution)
        try:
            logits_NK = self._store.logits(logits).read_epoch(self._sources[logits], epoch)
        except CorruptFileError as error:
            self._say(f"{error}; the teacher is asked again")
            return None
        return None if logits_NK is None else torch.from_numpy(logits_NK).to(self._device)

    def _network(self, teacher: RunSpec) -> Network:
        """Loaded when it is needed: a student that reads never has its teacher in memory.

        CorruptFileError if the teacher has been trained to other weights since the student began.
        """
        run = run_id(teacher)
        if run not in self._networks:
            if _weights(self._store, teacher) != self._weights[run]:
                raise CorruptFileError(f"teacher {run} was trained again while its student learned; run again")
            self._networks[run] = trained_network(teacher, self._store).to(self._device)
        return self._networks[run]


def _weights(store: Store, teacher: RunSpec) -> str:
    """SHA-256 of a finished teacher's weights."""
    result = store.result(run_id(teacher))
    if result is None:
        raise CorruptFileError(f"teacher {run_id(teacher)} has no result; run the sweep again")
    return result.files[WEIGHTS].sha256


def source_of(spec: LogitsSpec, weights: str, device: torch.device, execution: Execution) -> str:
    """What decides every bit of a set besides its spec: the teacher's `weights`, and where and with what it runs."""
    environment = describe_environment(spec.teacher, device, execution)
    return digest_of({"weights": weights, "environment": numbers_digest(environment)})


def write_logits(store: Store, attempt: Attempt, execution: Execution) -> Iterator[tuple[int, float]]:
    """Write what the set of `attempt` still lacks; gives each epoch that it wrote, and its seconds."""
    with own_settings(execution.num_threads, deterministic=execution.deterministic):
        yield from _write_logits(store, attempt, execution)


def _write_logits(store: Store, attempt: Attempt, execution: Execution) -> Iterator[tuple[int, float]]:
    folder = store.logits(attempt.run)
    request = folder.request()
    spec, device = request.spec, choose_device(execution)
    source = source_of(spec, _weights(store, spec.teacher), device, execution)
    every = range(1, request.num_epochs + 1)
    missing = [epoch for epoch in every if not _is_written(store, attempt, source, epoch)]
    if not missing:
        return
    network = trained_network(spec.teacher, store).to(device)
    split, labels = load_split(store, spec.data, Split.TRAIN)
    pictures, labels_N = resident(split, device), torch.from_numpy(labels)
    for epoch in missing:
        start = time.perf_counter()
        views = EpochViews(pictures, labels_N, spec.augment, spec.view_seed, epoch, spec.num_classes)
        folder.write_epoch(source, epoch, view_logits(network, views, spec, device).cpu().numpy())
        attempt.log(f"epoch {epoch}/{request.num_epochs} is written")
        yield epoch, time.perf_counter() - start


def _is_written(store: Store, attempt: Attempt, source: str, epoch: int) -> bool:
    """Whether an epoch is there and sound; one that is not is removed."""
    folder = store.logits(attempt.run)
    try:
        return folder.read_epoch(source, epoch) is not None
    except CorruptFileError as error:
        attempt.log(f"{error}; it is written anew")
        folder.remove_epoch(source, epoch)
        return False
