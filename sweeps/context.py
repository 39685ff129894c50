"""What a sweep file is given: data, seeds and settings, and one function that makes complete jobs of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sweeps.labels import base_label, point_label, short_name
from sweeps.plan import Job
from sweeps.recipes import Setting
from trainers import plugins
from trainers.errors import SpecError
from trainers.fields import NOT_SETTABLE, settable_keys
from trainers.plugins import Kind
from trainers.result import Manifest
from trainers.spec import Choice, OptimizerName, Role, RunSpec, ScheduleName, Weights, from_dict, to_dict

PLUGIN_KINDS = {"model": Kind.MODEL, "objective": Kind.OBJECTIVE}
PLUGIN_NAMES = ("model.name", "objective.name")
SHAPE = ("num_classes", "image_size")
"""Arguments of every model; they follow from the data."""


GIVEN_TEACHER = "teacher_given"
EVALUATION = (
    *(Setting(key="epochs", value=0), Setting(key="batch_size", value=2), Setting(key="precision", value="float32")),
    *(Setting(key="optimizer.name", value="adamw"), Setting(key="optimizer.lr", value=1.0)),
    *(Setting(key="optimizer.weight_decay", value=0.0), Setting(key="schedule.name", value="constant")),
)
"""A training of no epochs: of these only the epochs matter, and the rest must stay the same."""


@dataclass(frozen=True, kw_only=True)
class GivenTeacher:
    """A network that somebody else trained on the same classes, in the same order."""

    weights: Weights
    model: Choice


@dataclass(frozen=True, kw_only=True)
class Context:
    """The frame of a sweep: `source` is the data to pretrain on, `weights` stand in for a pretraining.

    `recipe` holds the recipe's settings, `settings` the user's.
    """

    data: Manifest
    seeds: tuple[int, ...]
    recipe: tuple[Setting, ...]
    settings: tuple[Setting, ...] = ()
    source: Manifest | None = None
    weights: Weights | None = None
    given: GivenTeacher | None = None

    def job(
        self,
        label: str,
        *,
        role: Role,
        model: Choice | str,
        seed: int,
        objective: str = "cross_entropy",
        teacher: Job | Sequence[Job] | None = None,
        start: Job | Weights | None = None,
        settings: Mapping[str, Any] | None = None,
        point: Mapping[str, Any] | None = None,
    ) -> Job:
        """A complete, checked job: the settings that concern it applied, defaults filled in.

        `model` and `objective` may be `NAME` or `NAME:MAIN_ARGUMENT`. `teacher` is distilled from, several as an
        ensemble (by their logits' mean); training starts from the body of `start`. `settings` (dotted spec key ->
        value) are the sweep's own: they win over the recipe and lose to the user's. `point` are settings too, a
        grid's: the label tells the values that the job really has, as in `student/temperature=4`. A pretraining
        sees the source data, everything else the data.
        """
        chosen = Choice(name=model) if isinstance(model, str) else model
        data = self.source if role is Role.PRETRAIN and self.source is not None else self.data
        teachers = [teacher] if isinstance(teacher, Job) else list(teacher or ())
        shape = dict(zip(SHAPE, (data.num_classes, data.image_size), strict=True))
        content: dict[str, Any] = {
            "data": data.fingerprint,
            "model": _named(Kind.MODEL, chosen.name, {**chosen.args, **shape}),
            "objective": _plugin(Kind.OBJECTIVE, objective, {}),
            "optimizer": {},
            "schedule": {},
            "augment": {},
            "seed": seed,
            "view_seed": seed,
            "teacher": to_dict(teachers[0].spec) if teachers else None,
            "co_teachers": [to_dict(job.spec) for job in teachers[1:]],
            "init_run": to_dict(start.spec) if isinstance(start, Job) else None,
            "init_weights": to_dict(start) if isinstance(start, Weights) else None,
        }
        own = tuple(Setting(key=key, value=value) for key, value in {**(settings or {}), **(point or {})}.items())
        everything = (*self.recipe, *own, *self.settings)
        scopes = {None, role.value, label, base_label(label)}
        concerned = [one for one in everything if one.key in PLUGIN_NAMES and one.scope in scopes]
        for setting in concerned:
            _apply(setting, content)
        scopes |= {content[kind]["name"] for kind in PLUGIN_KINDS}
        others = [one for one in everything if one.key not in PLUGIN_NAMES and one.scope in scopes]
        for setting in others:
            _apply(setting, content)
        if data.resize != "none":  # squares already: there is nothing to cut at random
            content["augment"]["random_crop"] = False
        values = {setting.key: setting.value for setting in (*concerned, *others)}
        shown = point_label(label, {short_name(key): values[key] for key in point or {}})
        return Job(label=shown, role=role, spec=_checked(content, shown))

    def of_every_seed(self, jobs: Callable[[Context, int], Iterable[Job]]) -> tuple[Job, ...]:
        """The jobs of all seeds."""
        return tuple(job for seed in self.seeds for job in jobs(self, seed))

    def best_teacher(self, seed: int) -> tuple[Job, ...]:
        """The given teacher, or the report's fine-tuned ResNet18, last; before it its pretraining, if that is a job."""
        if self.given is not None:
            return (self.given_teacher(),)
        resnet = Choice(name="resnet18")
        start = self.pretraining(seed, resnet)
        teacher = self.job("teacher_pretrained", role=Role.TEACHER, model=resnet, seed=seed, start=start)
        return (start, teacher) if isinstance(start, Job) else (teacher,)

    def pretraining(self, seed: int, model: Choice | str) -> Job | Weights:
        """Where a fine-tuned network starts: the given weights, or a job on the source data."""
        if self.weights is not None:
            return self.weights
        if self.source is None:
            raise SpecError("this sweep pretrains, and there is no source data; give --source-data or --pretrained")
        return self.job("pretrain", role=Role.PRETRAIN, model=model, seed=seed)

    def given_teacher(self) -> Job:
        """The user's own network, classifier included: a job that only evaluates it; SpecError if there is none.

        Of the settings only those of its model and its normalisation concern it; it is the same for all seeds.
        """
        if self.given is None:
            raise SpecError("there is no given teacher; name its weights with --teacher FILE")
        as_it_is = [setting for setting in (*self.recipe, *self.settings) if _is_about_the_network(setting)]
        frame = replace(self, recipe=tuple(as_it_is), settings=EVALUATION)
        model, start = self.given.model, self.given.weights
        return frame.job(GIVEN_TEACHER, role=Role.TEACHER, model=model, seed=0, start=start)


def _is_about_the_network(setting: Setting) -> bool:
    return setting.key == "normalize" or setting.key.startswith("model.")


def check_settings(settings: Iterable[Setting], jobs: Iterable[Job], option: str = "--set") -> None:
    """SpecError for a user's setting that concerns no job, with the keys or scopes there are."""
    jobs = tuple(jobs)
    for setting in settings:
        in_scope = [job for job in jobs if setting.scope in (None, *scopes_of(job, setting.key))]
        if not in_scope:
            places = zip(*(scopes_of(job, setting.key) for job in jobs), strict=True)
            scopes = dict.fromkeys(scope for place in places for scope in place)
            raise SpecError(f"{option} {setting.scope}:{setting.key}: concerns no job; have: {', '.join(scopes)}")
        keys = all_settable_keys(in_scope)
        if setting.key not in keys:
            raise SpecError(f"unknown key {setting.key!r}; have: {', '.join(keys)}")
        _check_effect(setting, in_scope, option)


def all_settable_keys(jobs: Iterable[Job]) -> tuple[str, ...]:
    """The keys that a user may set for any of some jobs, sorted."""
    return tuple(sorted({key for job in jobs for key in _settable_keys(job.spec)}))


def scopes_of(job: Job, key: str) -> tuple[str, ...]:
    """What may stand before a setting of a job: role, label without a grid's point, and names of its plug-ins.

    A setting that chooses a plug-in cannot be for the jobs that have it.
    """
    names = () if key in PLUGIN_NAMES else (job.spec.model.name, job.spec.objective.name)
    return (job.role.value, base_label(job.label), *names)


def _settable_keys(spec: RunSpec) -> tuple[str, ...]:
    """The keys of the spec and, of its plug-ins, also the arguments that it leaves out."""
    chosen = (("model", Kind.MODEL, spec.model), ("objective", Kind.OBJECTIVE, spec.objective))
    arguments = [f"{key}.{name}" for key, kind, choice in chosen for name in plugins.arguments(kind, choice.name)]
    return tuple(key for key in dict.fromkeys((*settable_keys(spec), *arguments)) if key not in NOT_SETTABLE)


def _check_effect(setting: Setting, jobs: list[Job], option: str) -> None:
    """SpecError for a value that every job it was meant for ignores."""
    if all(job.spec.epochs == 0 for job in jobs) and not _is_about_the_network(setting):
        raise SpecError(
            f"{option} {setting.key}={setting.value} has no effect on {jobs[0].label}, which is not trained"
        )
    ignored = {
        "optimizer.momentum": all(job.spec.optimizer.name is OptimizerName.ADAMW for job in jobs),
        "schedule.warmup_fraction": all(job.spec.schedule.name is not ScheduleName.ONE_CYCLE for job in jobs),
        "logits_dtype": all(job.spec.teacher is None for job in jobs),
    }
    if setting.value and ignored.get(setting.key, False):
        raise SpecError(f"{option} {setting.key}={setting.value} has no effect {_reason(setting.key, jobs[0])}")


def _reason(key: str, job: Job) -> str:
    if key == "logits_dtype":
        return "without a teacher"
    return f"with {job.spec.optimizer.name if key.startswith('optimizer') else job.spec.schedule.name}"


def _plugin(kind: Kind, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """A plug-in by `NAME` or `NAME:MAIN_ARGUMENT`, its arguments complete."""
    named = _named(kind, name, args)
    return {**named, "args": plugins.resolve(kind, **named)}


def _named(kind: Kind, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """A plug-in by `NAME` or `NAME:MAIN_ARGUMENT`, whose other arguments may be set later."""
    plain, main = plugins.parse(kind, name)
    plugins.source_file(kind, plain)
    return {"name": plain, "args": {**args, **main}}


def _apply(setting: Setting, content: dict[str, Any]) -> None:
    """Put a value in its place; what this job has no place for is left to `check_settings`."""
    outer, _, inner = setting.key.partition(".")
    if setting.key in NOT_SETTABLE:
        return
    if not inner:
        if not isinstance(content.get(outer), dict):
            content[outer] = setting.value
    elif outer in PLUGIN_KINDS and inner == "name":
        shape = {key: value for key, value in content[outer]["args"].items() if key in SHAPE}
        content[outer] = _named(PLUGIN_KINDS[outer], setting.value, shape)
    elif outer in PLUGIN_KINDS:
        if inner in plugins.arguments(PLUGIN_KINDS[outer], content[outer]["name"]):
            content[outer]["args"][inner] = setting.value
    elif isinstance(content.get(outer), dict):
        content[outer][inner] = setting.value


def _checked(content: dict[str, Any], label: str) -> RunSpec:
    """The spec, with plug-ins' arguments in their types and what has no effect at its neutral value."""
    for outer, kind in PLUGIN_KINDS.items():
        content[outer] = _plugin(kind, content[outer]["name"], content[outer]["args"])
    if content["optimizer"].get("name") == OptimizerName.ADAMW.value:
        content["optimizer"]["momentum"] = 0.0
    if content["schedule"].get("name") != ScheduleName.ONE_CYCLE.value:
        content["schedule"]["warmup_fraction"] = 0.0
    if content["teacher"] is None:
        content.pop("logits_dtype", None)
    _check_teacher(content, label)
    _check_objective(content, label)
    try:
        return from_dict(RunSpec, content)
    except SpecError as error:
        raise SpecError(f"job {label!r}: {error}") from error


def _check_objective(content: dict[str, Any], label: str) -> None:
    """SpecError for pictures or teachers that the objective cannot work with."""
    name, mixup = content["objective"]["name"], content["augment"].get("mixup_alpha", 0.0)
    if plugins.says(Kind.OBJECTIVE, name, "NEEDS_HARD_LABELS") and mixup:
        raise SpecError(f"job {label!r}: objective {name!r} needs one label per picture; set augment.mixup_alpha=0")
    if plugins.says(Kind.OBJECTIVE, name, "NEEDS_MIXUP") and not mixup:
        raise SpecError(f"job {label!r}: objective {name!r} needs mixed pictures; set augment.mixup_alpha (1 is usual)")
    if plugins.says(Kind.OBJECTIVE, name, "NEEDS_FEATURES") and content["co_teachers"]:
        raise SpecError(f"job {label!r}: objective {name!r} compares the maps of one teacher; give it no ensemble")


def _check_teacher(content: dict[str, Any], label: str) -> None:
    needs_teacher = plugins.says(Kind.OBJECTIVE, content["objective"]["name"], "NEEDS_TEACHER")
    if needs_teacher and content["teacher"] is None:
        raise SpecError(
            f"job {label!r}: objective {content['objective']['name']!r} needs a teacher; give one in the sweep"
        )
    if not needs_teacher and content["teacher"] is not None:
        raise SpecError(f"job {label!r}: objective {content['objective']['name']!r} does not listen to its teacher")
