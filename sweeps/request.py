"""What a user asks for, from the options of the command line or of `sweeps.api`: what to train, and how."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import EnumType
from typing import Any, TypedDict, TypeVar, get_type_hints

from sweeps.grid import Axis, parse_axis
from sweeps.recipes import Setting, parse_setting
from sweeps.resources import Resources, parse_per_role, resources_per_role
from sweeps.share_logits import TeacherLogits
from sweeps.time_limit import parse_hours
from trainers.errors import ResourceError, SpecError
from trainers.fields import check_value
from trainers.images import Resize
from trainers.spec import Role, typed
from trainers.texts import check_texts

T = TypeVar("T")
MOST_SEEDS = 10_000
"""More than anybody averages over, and as many jobs as a plan was tried with."""
_SEED = re.compile(r" *-?[0-9]{1,18} *")
"""Digits as Python alone would not ask for: no underscores, no other script's."""
_ADDRESS = re.compile(r"auto|([a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}")
Texts = str | list[str] | dict[str, Any]
"""What the command line repeats: one text, several, or {left of the =: right of it}."""


class Options(TypedDict, total=False):
    """The options of the command line, under their names with underscores; None means the default."""

    sweep: str
    data: str
    image_size: int
    limit: int
    resize: Resize
    skip_bad_images: bool
    allow_leak: bool
    pretrained: str
    teacher: str
    teacher_model: str
    source_data: str
    plugins: str
    recipe: str
    seeds: str | int | list[int]
    epochs: int
    batch_size: int
    set: Texts
    grid: Texts
    allow_weak_teacher: bool
    deterministic: bool
    budget_params: int
    only: Texts
    exclude: Texts
    force: Texts
    rerun_changed: bool
    address: str
    serial: bool
    max_concurrent: int
    max_hours: str | float
    teacher_logits: TeacherLogits
    cpus_per_trial: Texts
    gpus_per_trial: Texts
    no_report: bool
    log: Texts
    quiet: bool


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """What to train. `plugin_folder` is the user's, `plugins` its digest once it is in use."""

    sweep: str = "report"
    data: str = "plates"
    image_size: int | None = None
    limit: int | None = None
    resize: Resize = Resize.FIT
    skip_bad_images: bool = False
    allow_leak: bool = False
    pretrained: str | None = None
    teacher: str | None = None
    teacher_model: str | None = None
    source_data: str | None = None
    plugin_folder: str | None = None
    plugins: str = ""
    recipe: str = "quick"
    settings: tuple[Setting, ...] = ()
    grid: tuple[Axis, ...] = ()
    seeds: tuple[int, ...] = (0,)
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    force: tuple[str, ...] = ()
    rerun_changed: bool = False
    budget_params: int | None = None

    def __post_init__(self) -> None:
        if self.budget_params is not None and self.budget_params < 1:
            raise SpecError(f"--budget-params is {self.budget_params}; allowed: 1 or more")


@dataclass(frozen=True, kw_only=True)
class ExecutionRequest:
    """How to carry it out; nothing here is meant to change a number."""

    address: str | None = None
    serial: bool = False
    max_concurrent: int | None = None
    max_hours: float | None = None
    teacher_logits: TeacherLogits = TeacherLogits.AUTO
    cpus_per_trial: tuple[str, ...] = ()
    gpus_per_trial: tuple[str, ...] = ()
    allow_weak_teacher: bool = False
    deterministic: bool = False
    no_report: bool = False
    log: tuple[str, ...] = ()
    quiet: bool = False

    def __post_init__(self) -> None:
        if self.max_concurrent is not None and self.max_concurrent < 1:
            raise ResourceError(f"--max-concurrent is {self.max_concurrent}; allowed: 1 or more")
        if self.address is not None and not _ADDRESS.fullmatch(self.address):
            raise ResourceError(f"--address is {self.address!r}; allowed: HOST:PORT, or auto")
        self.resources(has_gpu=False)  # said before anything is prepared or started

    def resources(self, *, has_gpu: bool) -> dict[Role, Resources]:
        """What a job of each role asks for; ResourceError for a wish that makes no sense on any machine."""
        cpus = parse_per_role("--cpus-per-trial", self.cpus_per_trial)
        gpus = parse_per_role("--gpus-per-trial", self.gpus_per_trial)
        return resources_per_role(has_gpu=has_gpu, cpus=cpus, gpus=gpus)


def read_options(options: Mapping[str, Any]) -> tuple[SweepRequest, ExecutionRequest]:
    """The two requests that options make; SpecError for an unknown one, or for what it cannot be."""
    check_texts(options)
    unknown = [name for name in options if name not in Options.__annotations__]
    if unknown:
        raise SpecError(f"unknown option {unknown[0]!r}; have: {', '.join(Options.__annotations__)}")
    kinds = get_type_hints(Options)
    given = {
        name: typed(name, value, kinds[name], _allowed(kinds[name]))
        for name, value in options.items()
        if value is not None
    }
    read: dict[str, Any] = {name: _READ[name](value) if name in _READ else value for name, value in given.items()}
    shorthand = tuple(Setting(key=key, value=read[key]) for key in ("epochs", "batch_size") if key in read)
    for setting in shorthand:
        check_value(setting.key, setting.value)
    read["plugin_folder"] = read.pop("plugins", None)
    read["settings"] = (*shorthand, *read.get("set", ()))
    return _made(SweepRequest, read), _made(ExecutionRequest, read)


def _made(kind: type[T], read: Mapping[str, Any]) -> T:
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]  # T is a dataclass
    return kind(**{name: read[name] for name in names if name in read})


def _allowed(kind: Any) -> str:
    """The values of an enum, or the names of types: `str | list[str]`."""
    if isinstance(kind, EnumType):
        return ", ".join(kind)
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def _texts(value: Any) -> tuple[str, ...]:
    """As the command line would have them: {"epochs": 3} -> ("epochs=3",)."""
    if isinstance(value, dict):
        return tuple(f"{key}={_text(one)}" for key, one in value.items())
    return (value,) if isinstance(value, str) else tuple(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _settings(value: Any) -> tuple[Setting, ...]:
    return tuple(map(parse_setting, _texts(value)))


def _axes(value: Any) -> tuple[Axis, ...]:
    """A dictionary's values are sequences: {"epochs": (3, 6)} -> epochs=3,6."""
    if isinstance(value, dict):
        several = {key: one if isinstance(one, (list, tuple)) else [one] for key, one in value.items()}
        value = {key: ",".join(map(_text, values)) for key, values in several.items()}
    return tuple(map(parse_axis, _texts(value)))


def _seeds(value: Any) -> tuple[int, ...]:
    """`0,1,2`, 0 or (0, 1, 2) -> seeds; SpecError for anything else, and for a seed given twice."""
    parts = list(map(str, value)) if isinstance(value, (list, tuple)) else str(value).split(",")
    text = ",".join(parts[:MOST_SEEDS])
    if len(parts) > MOST_SEEDS:
        raise SpecError(f"--seeds names {len(parts):,} seeds; allowed: {MOST_SEEDS:,} at most")
    if not all(_SEED.fullmatch(part) for part in parts):
        raise SpecError(f"--seeds {text!r} is not a list of numbers; write for example --seeds 0,1,2")
    seeds = tuple(map(int, parts))
    if len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise SpecError(f"--seeds {text!r}; allowed: numbers of 0 or more, each once")
    return seeds


_READ: Mapping[str, Callable[[Any], Any]] = {
    "set": _settings,
    "grid": _axes,
    "seeds": _seeds,
    "max_hours": lambda value: parse_hours(str(value)),
    **dict.fromkeys(("only", "exclude", "force", "cpus_per_trial", "gpus_per_trial", "log"), _texts),
}
