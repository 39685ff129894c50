"""How long a training takes: work (multiply-accumulates) times seconds per unit of work, from what was measured. Pure.

First choice: runs of the same kind. Else the sum of its networks, each as fast as trainings of it were. Else its
multiply-accumulates and pixels, as much slower or faster than on our core as the store's runs were. Else its role.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median

from trainers.spec import Choice, Role, RunSpec, canonical_json, to_dict
from trainers.teacher_logits import LogitsSpec

FORWARD, TRAINING = 1, 3
"""Passes through a network per picture: a backward pass computes as much as two forward passes."""

SECONDS_PER_IMAGE = {Role.PRETRAIN: 3.5e-3, Role.TEACHER: 3.5e-3, Role.STUDENT: 1.2e-3, Role.VARIANT: 1.0e-3}
"""Of a training, by role: ResNet18, the student and the variants at 32 pixels on one core of an AMD EPYC."""

PIXELS = 32
"""Of a side, that those figures are for."""

SECONDS_PER_SQUARE, SECONDS_PER_MAC = 7e-4, 7.3e-11
"""Of a training, per picture of 32 pixels and per multiply-accumulate: a line near those figures (within 1.7 times)."""

LOGITS = "logits"
"""Stands in the place of an objective where a network is only run, for what it says."""

NEWEST = 15
"""Of runs of one kind, how many count: older ones were trained by older code."""


def network(model: Choice) -> str:
    """A network by its canonical text, apart from the number of classes, which hardly matters for its speed."""
    args = {name: value for name, value in model.args.items() if name != "num_classes"}
    return canonical_json(to_dict(Choice(name=model.name, args=args)))


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Trainings that take equally long per picture: the network, the teachers that run beside it, how it is trained."""

    network: str
    teachers: tuple[str, ...] = ()
    objective: str = "cross_entropy"
    precision: str = "float32"
    batch_size: int = 0


def kind_of(spec: RunSpec, *, reads_logits: bool = False) -> Kind:
    """The kind of a training; its teachers do not run where it reads their logits."""
    return Kind(
        network=network(spec.model),
        teachers=() if reads_logits else tuple(network(teacher.model) for teacher in spec.teachers),
        objective=spec.objective.name,
        precision=spec.precision.value,
        batch_size=spec.batch_size,
    )


def kind_of_logits(spec: LogitsSpec) -> Kind:
    """The kind of a job that writes a teacher's logits."""
    return Kind(network=network(spec.teacher.model), objective=LOGITS, precision=spec.precision.value)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A finished run: seconds per training picture (its share of validation included), and seconds outside epochs."""

    kind: Kind
    num_macs: int
    device: str
    num_threads: int
    seconds_per_image: float
    pixels: int = PIXELS
    extra_seconds: float = 0.0
    finished_at: str = ""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a job runs, as far as it is known before: the kind of device, threads."""

    device: str = "cpu"
    num_threads: int = 1


@dataclass(frozen=True, kw_only=True)
class History:
    """What past runs took."""

    runs: tuple[Measured, ...] = ()

    @cached_property
    def num_macs(self) -> dict[str, int]:
        """Multiply-accumulates for one picture, by network."""
        return {run.kind.network: run.num_macs for run in self.runs}

    @cached_property
    def extra_seconds(self) -> float:
        """Seconds of a job outside its epochs, typically; 0 without runs."""
        return median(run.extra_seconds for run in self.runs) if self.runs else 0.0

    def has_seen(self, device: str) -> bool:
        """Whether any of them ran on such a device."""
        return device in self._devices

    @cached_property
    def _devices(self) -> frozenset[str]:
        return frozenset(run.device for run in self.runs)

    def of_kind(self, kind: Kind, place: Place) -> float | None:
        """Seconds per picture of this kind; on as many threads if there were such runs."""
        exact = self._by_kind.get((kind, place.device, place.num_threads))
        return exact or self._by_kind.get((kind, place.device, None))

    def of_network(self, network: str, precision: str, place: Place) -> float | None:
        """Seconds per picture of training this network alone, at any batch size."""
        return self._by_network.get((network, precision, place.device))

    def slowness(self, precision: str, place: Place) -> float:
        """How much longer than `rough_seconds` trainings typically took, over all networks; 1 without any."""
        return self._slowness.get((precision, place.device), 1.0)

    @cached_property
    def _by_kind(self) -> dict[Hashable, float]:
        exact = _medians(self.runs, lambda run: (run.kind, run.device, run.num_threads))
        return exact | _medians(self.runs, lambda run: (run.kind, run.device, None))

    @cached_property
    def _by_network(self) -> dict[Hashable, float]:
        return _medians(self._alone, lambda run: (run.kind.network, run.kind.precision, run.device))

    @cached_property
    def _slowness(self) -> dict[Hashable, float]:
        ratios: dict[Hashable, list[float]] = defaultdict(list)
        for run in self._alone:
            rough = rough_seconds(run.num_macs, run.pixels)
            ratios[run.kind.precision, run.device].append(run.seconds_per_image / rough)
        return {place: median(of) for place, of in ratios.items()}

    @cached_property
    def _alone(self) -> tuple[Measured, ...]:
        return tuple(run for run in self.runs if not run.kind.teachers)


def _medians(runs: Iterable[Measured], key: Callable[[Measured], Hashable]) -> dict[Hashable, float]:
    """Seconds per picture of the newest runs of each key."""
    found: dict[Hashable, list[Measured]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.finished_at, reverse=True):
        found[key(run)].append(run)
    return {one: median(run.seconds_per_image for run in of[:NEWEST]) for one, of in found.items()}


@dataclass(frozen=True, kw_only=True)
class Estimates:
    """Seconds of trainings, from the past, from pictures per epoch (by data) and from networks' MACs, where known."""

    history: History = field(default_factory=History)
    num_images: Mapping[str, int] = field(default_factory=dict)
    num_macs: Mapping[str, int] = field(default_factory=dict)
    _known: dict[tuple[Kind, Role, Place], float] = field(default_factory=dict, init=False, repr=False, compare=False)

    def knows(self, data: str) -> bool:
        """Whether it is known how many pictures an epoch has."""
        return data in self.num_images

    def epoch_seconds(self, spec: RunSpec, role: Role, place: Place, *, reads_logits: bool = False) -> float:
        """Of an epoch; of one picture where their number is not known, which still says what takes longer."""
        kind = kind_of(spec, reads_logits=reads_logits)
        return self.num_images.get(spec.data, 1) * self.image_seconds(kind, role, place, _pixels(spec.model))

    def logits_seconds(self, spec: LogitsSpec, place: Place) -> float:
        """Of writing a teacher's logits for the views of an epoch; of one picture as above."""
        kind, model = kind_of_logits(spec), spec.teacher.model
        seconds = self.forward_seconds(kind.network, kind.precision, place, _pixels(model))
        return self.num_images.get(spec.data, 1) * seconds

    def image_seconds(self, kind: Kind, role: Role, place: Place, pixels: int) -> float:
        """Per training picture. Where no run had such a device, a CPU's stand in for it: they still compare."""
        place = place if self.history.has_seen(place.device) else Place(num_threads=place.num_threads)
        key = (kind, role, place)
        if key not in self._known:
            measured = self.history.of_kind(kind, place)
            self._known[key] = measured or self._sum(kind, role, place, pixels)
        return self._known[key]

    def _sum(self, kind: Kind, role: Role, place: Place, pixels: int) -> float:
        """The network's own training, and a forward pass through each live teacher."""
        own = self._training(kind.network, role, kind.precision, place, pixels)
        teachers = (self.forward_seconds(teacher, kind.precision, place, pixels) for teacher in kind.teachers)
        return own + sum(teachers)

    def forward_seconds(self, network: str, precision: str, place: Place, pixels: int) -> float:
        """Per picture, of a forward pass through a teacher: all that there is to do for its logits."""
        return self._training(network, Role.TEACHER, precision, place, pixels) * FORWARD / TRAINING

    def _training(self, network: str, role: Role, precision: str, place: Place, pixels: int) -> float:
        measured = self.history.of_network(network, precision, place)
        macs = self.num_macs.get(network) or self.history.num_macs.get(network)
        if measured is not None:
            return measured
        if macs:
            return rough_seconds(macs, pixels) * self.history.slowness(precision, place)
        return SECONDS_PER_IMAGE[role] * (pixels / PIXELS) ** 2


def rough_seconds(num_macs: int, pixels: int) -> float:
    """Of training a network on one picture, on our core: what grows with its maps, and its arithmetic."""
    return SECONDS_PER_SQUARE * (pixels / PIXELS) ** 2 + SECONDS_PER_MAC * num_macs


def _pixels(model: Choice) -> int:
    side = model.args.get("image_size", PIXELS)
    return side if isinstance(side, int) else PIXELS
