"""The language of the project: what one training is, as a frozen value whose hash is its identity.

A student's spec contains its teacher's spec, so that a set of specs is the dependency graph.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeVar

import msgspec

from trainers.errors import SpecError
from trainers.texts import check_part

SCHEMA_VERSION = 1
"""Part of every run id: a change in the meaning of a stored spec must change it."""

MOST_EPOCHS = 999_999
"""The names of checkpoints have six digits."""
_LARGE = 2**31

Value = bool | int | float | str | tuple[int | float, ...]
T = TypeVar("T")


class Role(StrEnum):
    """What a job is for; decides its resources and its place in tables."""

    PRETRAIN = "pretrain"
    TEACHER = "teacher"
    STUDENT = "student"
    VARIANT = "variant"


class Precision(StrEnum):
    """Number format of the forward and backward pass; weights stay float32."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


class LogitsType(StrEnum):
    """Number format that a teacher's logits are rounded to before a student learns from them."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


class OptimizerName(StrEnum):
    """The optimizers that exist; `trainers/optim.py` builds them."""

    ADAMW = "adamw"
    SGD = "sgd"


class ScheduleName(StrEnum):
    """How the learning rate moves over the whole training; `trainers/optim.py` builds them."""

    CONSTANT = "constant"
    COSINE = "cosine"
    ONE_CYCLE = "one_cycle"


class Normalization(StrEnum):
    """Constants of the network's first layer; pictures themselves stay in 0..1."""

    NONE = "none"
    IMAGENET = "imagenet"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A plug-in by file name, with the arguments of its `build` function."""

    name: str
    args: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Learning rate is the peak of the schedule; `momentum` (Nesterov) is SGD's alone.

    `decays_norm_and_bias` False spares all parameters of one dimension from weight decay.
    """

    name: OptimizerName
    lr: float
    weight_decay: float
    momentum: float = 0.0
    decays_norm_and_bias: bool = True

    def __post_init__(self) -> None:
        _require(self.lr > 0, "optimizer.lr", self.lr, "above 0")
        _require(self.weight_decay >= 0, "optimizer.weight_decay", self.weight_decay, "0 or more")
        _require(0 <= self.momentum < 1, "optimizer.momentum", self.momentum, "0 to below 1")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """`one_cycle` rises to the peak for `warmup_fraction` of all steps; the others start at it."""

    name: ScheduleName
    warmup_fraction: float = 0.0

    def __post_init__(self) -> None:
        warmup = self.warmup_fraction
        _require(0 <= warmup < 1, "schedule.warmup_fraction", warmup, "0 to below 1")


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Which random views of a picture the training sees: padding in pixels, rotation up to +-degrees.

    `random_crop` takes a random square of pictures that are stored at sizes of their own, not the middle one.
    `mixup_alpha` above 0 mixes each picture with another, `erasing_probability` greys out a rectangle.
    """

    crop_padding: int = 0
    horizontal_flip: bool = False
    rotation_degrees: float = 0.0
    random_crop: bool = False
    mixup_alpha: float = 0.0
    erasing_probability: float = 0.0

    def __post_init__(self) -> None:
        _require(self.crop_padding >= 0, "augment.crop_padding", self.crop_padding, "0 or more")
        angle = self.rotation_degrees
        _require(0 <= angle <= 180, "augment.rotation_degrees", angle, "0 to 180")
        _require(self.mixup_alpha >= 0, "augment.mixup_alpha", self.mixup_alpha, "0 or more")
        probability = self.erasing_probability
        _require(0 <= probability <= 1, "augment.erasing_probability", probability, "0 to 1")


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights that no job of ours trained: `name` says where they come from, `digest` is their content."""

    name: str
    digest: str

    def __post_init__(self) -> None:
        check_part("a digest of weights", self.digest)


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One training, complete: whatever changes its numbers by intent is here, and nothing else is.

    `data` is the fingerprint of the prepared images. `view_seed` alone decides which augmented
    views are seen, `seed` all else that is random. `teacher` is distilled from, together with
    `co_teachers` if there are any; the body of `init_run` or of `init_weights` (all but the
    classifier) is where training starts. With 0 `epochs`, `init_weights` are the finished network,
    classifier included. `ema_decay` above 0 validates and keeps a moving average of the weights.
    `logits_dtype` float16 rounds the teachers' logits, which halves what is stored of them.
    """

    data: str
    model: Choice
    objective: Choice
    optimizer: Optimizer
    schedule: Schedule
    augment: Augment
    normalize: Normalization
    epochs: int
    batch_size: int
    precision: Precision
    seed: int
    view_seed: int
    teacher: RunSpec | None = None
    init_run: RunSpec | None = None
    init_weights: Weights | None = None
    co_teachers: tuple[RunSpec, ...] = ()
    ema_decay: float = 0.0
    logits_dtype: LogitsType = LogitsType.FLOAT32

    def __post_init__(self) -> None:
        check_part("data", self.data)
        is_given = self.epochs == 0 and self.init_weights is not None
        _require(self.epochs >= 1 or is_given, "epochs", self.epochs, "1 or more")
        _require(self.epochs <= MOST_EPOCHS, "epochs", self.epochs, f"{MOST_EPOCHS} at most")
        _require(self.batch_size >= 2, "batch_size", self.batch_size, "2 or more (batch normalisation)")
        _require(self.batch_size < _LARGE, "batch_size", self.batch_size, "below 2 to the power of 31")
        for name, seed in (("seed", self.seed), ("view_seed", self.view_seed)):
            _require(0 <= seed < 2**63, name, seed, "0 or more, below 2 to the power of 63")
        twice = self.init_run is not None and self.init_weights is not None
        _require(not twice, "init_weights", self.init_weights, "None when init_run is given")
        _require(0 <= self.ema_decay < 1, "ema_decay", self.ema_decay, "0 to below 1")
        alone = bool(self.co_teachers) and self.teacher is None
        _require(not alone, "co_teachers", len(self.co_teachers), "none without a teacher")
        for teacher in self.teachers:
            _check_teacher(self, teacher)

    @property
    def teachers(self) -> tuple[RunSpec, ...]:
        """All runs that this one learns from; () for supervised training."""
        return () if self.teacher is None else (self.teacher, *self.co_teachers)

    def without_parents(self) -> RunSpec:
        """The same training, told apart from what it learns from and starts with."""
        return dataclasses.replace(self, teacher=None, co_teachers=(), init_run=None)

    @property
    def parents(self) -> tuple[RunSpec, ...]:
        """The runs that must be finished before this one starts."""
        return self.teachers if self.init_run is None else (*self.teachers, self.init_run)

    @cached_property
    def _hashed(self) -> dict[str, Any]:
        """What identities are made of; a parent's is shared by all its children."""
        return _hashed(self)

    @cached_property
    def _id(self) -> str:
        return digest_of({"schema": SCHEMA_VERSION, "spec": self._hashed})

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: what was worked out from them is worked out again elsewhere."""
        return {name: value for name, value in vars(self).items() if name in self.__dataclass_fields__}


def _check_teacher(student: RunSpec, teacher: RunSpec) -> None:
    """Logits can only be compared over the same classes and pictures."""
    for key in ("num_classes", "image_size"):
        ours, theirs = student.model.args.get(key), teacher.model.args.get(key)
        _require(ours == theirs, f"teacher.model.{key}", theirs, f"{ours}, as for its student")


def _require(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise SpecError(f"{key} is {value!r}; allowed: {allowed}")


def to_dict(spec: Any) -> dict[str, Any]:
    """Plain dicts, lists, tuples, strings and numbers of every field of a dataclass, at every depth.

    (msgspec does it ten times sooner than we, but leaves out what it had filled in by default when it read the value;
    `dataclasses.asdict` copies every leaf, which plans of 10,000 jobs feel.)
    """
    content: dict[str, Any] = msgspec.to_builtins(spec) if isinstance(spec, RunSpec) else {}
    plain: dict[str, Any] = content if _is_whole(content) else _plain(spec)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | float) or value is None:
        return value.value if isinstance(value, StrEnum) else value
    if isinstance(value, dict):
        return {key: _plain(content) for key, content in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(content) for content in value)
    return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}


def from_dict(kind: type[T], data: object) -> T:
    """The typed value of plain data, checked field by field; SpecError says which one is wrong."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        is_ours = isinstance(error.__cause__, SpecError)  # of a __post_init__: complete without a place
        raise SpecError(str(error.__cause__) if is_ours else f"not a {kind.__name__}: {error}") from error


def typed(name: str, value: object, kind: Any, allowed: str) -> Any:
    """One value in the type of its field, 1 as 1.0 where that is meant; SpecError says what is allowed."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise SpecError(f"{name} is {value!r}; allowed: {allowed}") from error


def canonical_json(content: object) -> str:
    """The one text of a value: sorted keys, shortest float repr, NaN and infinity refused."""
    try:
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise SpecError(f"a spec holds a number that is not finite: {content!r}") from error


def digest_of(content: object) -> str:
    """First 12 hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:12]


def run_id(spec: RunSpec) -> str:
    """The identity of a training: equal specs, equal id, on every machine."""
    return spec._id


def group_id(spec: RunSpec) -> str:
    """The identity of a training apart from every seed, its parents' too: the unit that gets a mean."""
    return digest_of({"schema": SCHEMA_VERSION, "group": without_seeds(spec._hashed)})


LATER_FIELDS: dict[str, dict[str, Any]] = {
    "": {"co_teachers": (), "ema_decay": 0.0, "logits_dtype": LogitsType.FLOAT32},
    "optimizer": {"decays_norm_and_bias": True},
    "augment": {"random_crop": False, "mixup_alpha": 0.0, "erasing_probability": 0.0},
}
"""Fields that version 1 did not have yet, each with the value that means what was before: not hashed at that value."""


def _hashed(spec: RunSpec) -> dict[str, Any]:
    """Plain data of a spec, its parents' too, apart from later fields at the value that means what was before.

    Typed as the spec is read back: a learning rate of 1 is 1.0, or it would get another id in the store.
    """
    content = to_dict(from_dict(RunSpec, msgspec.to_builtins(spec.without_parents())))
    kept = _without(content, LATER_FIELDS[""])
    for outer in ("optimizer", "augment"):
        kept[outer] = _without(content[outer], LATER_FIELDS[outer])
    for name, parent in (("teacher", spec.teacher), ("init_run", spec.init_run)):
        kept[name] = None if parent is None else parent._hashed
    if spec.co_teachers:
        kept["co_teachers"] = [teacher._hashed for teacher in spec.co_teachers]
    return kept


def _without(content: dict[str, Any], neutral: dict[str, Any]) -> dict[str, Any]:
    kept = dict(content)
    for key, value in neutral.items():
        if key in kept and kept[key] == value:
            del kept[key]
    return kept


def without_seeds(content: Any) -> Any:
    """Plain data of a spec apart from every seed, its parents' too."""
    if isinstance(content, list | tuple):
        return [without_seeds(value) for value in content]
    if not isinstance(content, dict):
        return content
    return {key: without_seeds(value) for key, value in content.items() if key not in ("seed", "view_seed")}


_NUM_FIELDS = len(dataclasses.fields(RunSpec))
_NUM_FIELDS_OF = {
    "model": len(dataclasses.fields(Choice)),
    "objective": len(dataclasses.fields(Choice)),
    "optimizer": len(dataclasses.fields(Optimizer)),
    "schedule": len(dataclasses.fields(Schedule)),
    "augment": len(dataclasses.fields(Augment)),
}


def _is_whole(content: dict[str, Any]) -> bool:
    """Whether plain data of a spec has every field, of its parts and parents as well."""
    if len(content) != _NUM_FIELDS:
        return False
    parents = (content["teacher"], content["init_run"], *content["co_teachers"])
    parts = (len(content[name]) == number for name, number in _NUM_FIELDS_OF.items())
    return all(parts) and all(parent is None or _is_whole(parent) for parent in parents)
