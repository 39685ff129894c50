"""What a training leaves behind, as typed values; accuracies are fractions in 0..1, units are in the names."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from trainers.errors import SpecError
from trainers.spec import Role
from trainers.texts import check_part


def check_numbers(values: Mapping[str, object]) -> None:
    """SpecError for a whole number that no table can hold."""
    for name, value in values.items():
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise SpecError(f"{name} is beyond 64 bits")


class Status(StrEnum):
    """How a planned job ended; a job that has not ended has no status."""

    OK = "ok"
    FAILED = "failed"
    BLOCKED = "blocked"


class Split(StrEnum):
    """Training fits, validation chooses, test is read once."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch (counted from 1); training figures are means over the augmented views of that epoch.

    With `reads_logits` no teacher ran in it: its logits were there already, and its speed is the student's alone.
    """

    epoch: int
    train_loss: float
    loss_parts: dict[str, float]
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    images_per_second: float
    epoch_seconds: float
    reads_logits: bool = False


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """Size and SHA-256 of a file of a finished run."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where and with what a run was trained: recorded, never hashed. On a CPU, equal values mean equal bits.

    On a GPU they do so only if `deterministic`.
    """

    host: str
    device: str
    hardware: str
    num_threads: int
    python: str
    torch: str
    torchvision: str
    git_commit: str
    git_is_dirty: bool
    source_digests: dict[str, str]
    packages: dict[str, str] = field(default_factory=dict)
    deterministic: bool = False


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished run.

    `best_validation_accuracy` is the report's protocol (best over epochs) and belongs to the saved
    weights; being a maximum it is optimistic. `test_accuracy` is read once, for those weights, and
    is None where the data has no test labels; `train_accuracy` is None where nothing was trained (0
    epochs). `parent_weights` maps run ids to SHA-256. `reads_logits` is True if every epoch did.
    `latency_seconds` is the median of some forward passes of one picture in float32, on the device and with the
    threads of `environment`; None in records of versions that did not measure it.
    """

    run_id: str
    group_id: str
    attempt: str
    data_name: str
    initialized_from: str
    best_epoch: int
    best_validation_accuracy: float
    last_validation_accuracy: float
    test_accuracy: float | None
    train_accuracy: float | None
    num_params: int
    num_macs: int
    size_bytes: int
    num_train_images: int
    num_validation_images: int
    num_test_images: int
    train_seconds: float
    images_per_second: float
    started_at: str
    finished_at: str
    environment: Environment
    files: dict[str, FileRecord]
    parent_weights: dict[str, str]
    resumed_from_epochs: tuple[int, ...] = ()
    has_mixed_environment: bool = False
    reads_logits: bool = False
    latency_seconds: float | None = None

    def __post_init__(self) -> None:
        for what, name in (("run_id", self.run_id), ("attempt", self.attempt)):
            check_part(what, name)
        for file in self.files:
            check_part("a name in files", file)
        check_numbers(vars(self))


class Cause(StrEnum):
    """What an attempt failed of: the job itself, or what was around it and may be otherwise next time.

    Records of versions that did not tell causes apart read as OWN; `is_permanent` is right in them too.
    """

    OWN = "own"
    MACHINE = "machine"
    MEMORY = "memory"
    DISK = "disk"
    HUNG = "hung"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why an attempt ended without a result; `is_permanent` means the same spec would fail again."""

    reason: str
    is_permanent: bool
    log_path: str
    failed_at: str
    cause: Cause = Cause.OWN


@dataclass(frozen=True, kw_only=True)
class Started:
    """The first record of an attempt."""

    host: str
    pid: int
    started_at: str
    resumed_from_epoch: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A prepared data set. `origin` tells a person where the pictures came from; it is not hashed.

    `resize` is how they became squares ("none": they did not, and `image_size` is cut from them when they are used).
    `skipped` says which could not be read and were left out; `num_leaked` are in two splits, which the user allowed.
    `files` is filled in when the data set is published; it is empty in one that an older version prepared.
    """

    fingerprint: str
    name: str
    origin: str
    class_names: tuple[str, ...]
    image_size: int
    num_images: dict[str, int]
    has_test_labels: bool
    resize: str = "fit"
    skipped: tuple[str, ...] = ()
    num_leaked: int = 0
    files: dict[str, FileRecord] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for file in self.files:
            check_part("a name in files", file)

    @property
    def num_classes(self) -> int:
        """The width of a classifier for this data."""
        return len(self.class_names)


@dataclass(frozen=True, kw_only=True)
class RunState:
    """All that the store knows of one run id; `corrupt` says which file had to be ignored and why."""

    result: Result | None = None
    num_epochs_saved: int = 0
    failure: Failure | None = None
    corrupt: str | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedJob:
    """A job as a plan file keeps it; `parents` are run ids."""

    run_id: str
    group_id: str
    label: str
    role: Role
    seed: int
    parents: tuple[str, ...]

    def __post_init__(self) -> None:
        for run in (self.run_id, *self.parents):
            check_part("a run id", run)


@dataclass(frozen=True, kw_only=True)
class PlanRecord:
    """One sweep as it was asked for, so that analysis can tell what is missing.

    `plugins` is the digest of the user's own plug-ins, "" without any.
    """

    plan_id: str
    sweep: str
    command: str
    data_name: str
    planned_at: str
    jobs: tuple[PlannedJob, ...]
    plugins: str = ""

    def __post_init__(self) -> None:
        check_part("plan_id", self.plan_id)
        if self.plugins:
            check_part("plugins", self.plugins)


PREDICTIONS_SCHEMA = pa.schema(
    [
        ("split", pa.string()),
        ("index", pa.int32()),
        ("label", pa.int32()),
        ("logits", pa.list_(pa.float32())),
    ]
)


def encode_predictions(
    splits: dict[Split, tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]],
) -> bytes:
    """Parquet bytes of labels (N,) and logits (N, K) per split; label -1 means unlabelled."""
    tables = [_prediction_table(split, labels, logits) for split, (labels, logits) in splits.items()]
    buffer = io.BytesIO()
    pq.write_table(pa.concat_tables(tables), buffer, compression="zstd")
    return buffer.getvalue()


def _prediction_table(split: Split, labels: npt.NDArray[np.int64], logits: npt.NDArray[np.float32]) -> pa.Table:
    columns = [[split.value] * len(labels), np.arange(len(labels)), labels, list(logits.astype(np.float32))]
    arrays = [pa.array(column, type=kind.type) for column, kind in zip(columns, PREDICTIONS_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=PREDICTIONS_SCHEMA)
