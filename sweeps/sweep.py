"""A request -> data, context and plan -> what is left -> passes until nothing new can run."""

from __future__ import annotations

import dataclasses
import functools
import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sweeps.context import GIVEN_TEACHER, Context, check_settings
from sweeps.grid import expand
from sweeps.jobs import make_jobs
from sweeps.plan import Decision, Plan, Wishes, decide, make_plan
from sweeps.pretraining import Pretraining, choose_pretraining, given_teacher
from sweeps.recipes import recipe
from sweeps.request import SweepRequest
from sweeps.weights import find_weights
from trainers import plugins
from trainers.errors import CorruptFileError, PlanError, PluginError, SpecError
from trainers.leases import DriverRecord
from trainers.plugin_folder import read_folder, use
from trainers.plugins import Kind
from trainers.prepare import DataRequest, parse_data, prepare, prepared
from trainers.result import Manifest, PlanRecord, RunState, Split
from trainers.spec import Role, RunSpec
from trainers.storage import Store, now, read_checkpoint

UNPREPARED = "not prepared"

GetData = Callable[[DataRequest], Manifest]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A plan and what it was made from; `is_prepared` is False while ids are provisional for want of data.

    `source` is None unless a job pretrains on it. `grid_note` says what a grid multiplied.
    """

    request: SweepRequest
    plan: Plan
    data: Manifest
    source: Manifest | None
    pretraining: Pretraining
    is_prepared: bool
    grid_note: str = ""

    @property
    def knows_classes(self) -> bool:
        """Whether the data is there, and with it the shape of the networks that see it."""
        return not self.data.fingerprint.startswith(UNPREPARED)

    def decisions(self, store: Store) -> dict[str, Decision]:
        """What is left to do and why, by run id."""
        states = {job.id: store.state(job.id) for job in self.plan.jobs}
        forced = self.plan.descendants(self.plan.matching(self.request.force))
        wishes = Wishes(forced=frozenset(forced), reruns_changed=self.request.rerun_changed)
        digest = functools.cache(plugins.module_digest)  # every run names a dozen modules, most of them the same
        return decide(self.plan, states, _earlier_specs(store, self), digest, wishes)

    @property
    def num_images(self) -> dict[str, int]:
        """Training pictures by data fingerprint, of what is prepared."""
        manifests = (self.data,) if self.source is None else (self.data, self.source)
        counts = {manifest.fingerprint: manifest.num_images.get(Split.TRAIN.value) for manifest in manifests}
        return {data: count for data, count in counts.items() if count is not None}

    def record(self, command: str) -> PlanRecord:
        """The plan as the store keeps it."""
        return PlanRecord(
            plan_id=self.plan.plan_id,
            sweep=self.request.sweep,
            command=command,
            data_name=self.data.name,
            planned_at=now(),
            jobs=self.plan.records(),
            plugins=self.request.plugins,
        )


def with_plugins(request: SweepRequest, store: Store | None) -> SweepRequest:
    """Put a user's plug-ins beside ours, as they lie in their folder; a run also copies them into its store."""
    if request.plugin_folder is None:
        return request
    folder = read_folder(Path(request.plugin_folder))
    if store is not None:
        store.open().write_plugins(folder)
    use(folder)
    return dataclasses.replace(request, plugins=folder.digest)


@contextmanager
def naming_users_files(request: SweepRequest, store: Store) -> Iterator[None]:
    """What is wrong with a user's file is said of the file itself, not of its copy in the store."""
    try:
        yield
    except PluginError as error:
        if request.plugin_folder is None or request.plugins is None:
            raise
        copy, own = store.plugins(request.plugins).path, Path(request.plugin_folder).expanduser().absolute()
        raise PluginError(str(error).replace(str(copy), str(own))) from error


def prepared_sweep(store: Store, request: SweepRequest, on_image: Callable[[str, int, int], None]) -> Sweep:
    """The sweep of a run: its data is prepared if it is not yet, and what it pretrains on if it does.

    `on_image(name, done, total)` is called per picture. WeightsError, before that, for weights that cannot be had.
    """
    prepare_now = data_prepared_first(store, on_image)
    draft = _draft(store, request)
    if request.plugins:
        use(store.plugins(request.plugins))  # what workers use, whatever becomes of the user's folder from now on
    if draft is None:
        return make_sweep(store, request, prepare_now)
    if draft.is_prepared:
        return draft
    find_weights(store, draft.plan, draft.pretraining)
    sweep = make_sweep(store, request, prepare_now, data_or_placeholder(store))
    return sweep if sweep.is_prepared else make_sweep(store, request, prepare_now)


def _draft(store: Store, request: SweepRequest) -> Sweep | None:
    """The sweep over stand-ins for data that is not prepared; None if whether there is one depends on the data.

    SweepError for what is wrong whatever the data: it is said of two stand-ins, and no fault that a file met in one.
    """
    try:
        return make_sweep(store, request, data_or_placeholder(store))
    except (SpecError, PluginError, PlanError) as error:
        try:
            make_sweep(store, request, data_or_placeholder(store, num_classes=11, image_size=224))
        except (SpecError, PluginError, PlanError) as again:
            if str(again) == str(error) and error.__cause__ is None:
                raise
        return None


def make_sweep(store: Store, request: SweepRequest, get_data: GetData, get_source: GetData | None = None) -> Sweep:
    """All that can be known before a job starts, or SweepError; `get_source`: for the source data, if it differs."""
    plugins.source_file(Kind.SWEEP, request.sweep)
    settings = recipe(request.recipe).settings()
    name, path = parse_data(request.data)
    wanted = _wishes(DataRequest(name=name, path=path, image_size=request.image_size, limit=request.limit), request)
    is_taught = request.teacher is not None and request.pretrained is None and request.source_data is None
    pretraining = Pretraining() if is_taught else choose_pretraining(request.pretrained, request.source_data, wanted)
    data = get_data(wanted)
    source = None
    if pretraining.source is not None:
        size = request.image_size or data.image_size
        source = (get_source or get_data)(_wishes(dataclasses.replace(pretraining.source, image_size=size), request))
    context = Context(
        data=data,
        seeds=request.seeds,
        recipe=settings,
        source=source,
        weights=pretraining.weights,
        given=given_teacher(request.teacher, request.teacher_model),
    )
    expansion = expand(
        request.grid,
        request.settings,
        lambda given: make_jobs(request.sweep, dataclasses.replace(context, settings=given)),
    )
    if context.given is not None and not any(job.matches(GIVEN_TEACHER) for job in expansion.jobs):
        raise SpecError(f"sweep {request.sweep!r} takes no given teacher; leave out --teacher, or run --sweep report")
    check_settings(request.settings, expansion.jobs)
    plan = make_plan(expansion.jobs).restricted(only=request.only, exclude=request.exclude)
    plan.matching(request.force)
    source = source if any(job.role is Role.PRETRAIN for job in plan.jobs) else None
    is_prepared = not any(one.fingerprint.startswith(UNPREPARED) for one in (data, source) if one is not None)
    return Sweep(
        request=request,
        plan=plan,
        data=data,
        source=source,
        pretraining=pretraining,
        is_prepared=is_prepared,
        grid_note=expansion.note,
    )


def _wishes(data: DataRequest, request: SweepRequest) -> DataRequest:
    """What the user says of all pictures, of the data and of what is pretrained on."""
    return dataclasses.replace(
        data,
        resize=request.resize,
        skip_bad_images=request.skip_bad_images,
        allow_leak=request.allow_leak,
    )


def data_or_placeholder(store: Store, *, num_classes: int = 2, image_size: int = 32) -> GetData:
    """For a plan that must not wait: the prepared data, or a stand-in of some shape that is said to be one."""

    def get_data(request: DataRequest) -> Manifest:
        return prepared(store, request) or Manifest(
            fingerprint=f"{UNPREPARED}: {request.title}",
            name=request.title,
            origin=UNPREPARED,
            class_names=("?",) * num_classes,
            image_size=request.image_size or image_size,
            num_images={},
            has_test_labels=True,
            resize=request.resize.value,
        )

    return get_data


def data_prepared_first(store: Store, on_image: Callable[[str, int, int], None]) -> GetData:
    """For a run: data is prepared if it is not yet; `on_image(name, done, total)` is called per picture."""

    def get_data(request: DataRequest) -> Manifest:
        found = prepared(store, request)
        return found or prepare(store, request, lambda done, total: on_image(request.title, done, total))

    return get_data


def left_to_run(sweep: Sweep, store: Store, say: Callable[[str], None]) -> dict[str, Decision]:
    """The jobs of the first pass; says why, of what was begun before. Changes nothing."""
    left = {run: decision for run, decision in sweep.decisions(store).items() if decision.will_run}
    for run, decision in left.items():
        if store.state(run) != RunState():
            say(f"{decision.job.name} runs again: {decision.reason}")
        for file in store.checkpoints(run):
            try:
                read_checkpoint(file)
            except CorruptFileError as error:
                say(f"{decision.job.name}: {error}; an earlier one is used, or none")
    return left


def set_aside_stale(store: Store, decisions: dict[str, Decision], busy: Collection[str] = ()) -> None:
    """Put out of the way what must start over: children first, so that a kill in between leaves no child stale.

    What another driver is at (`busy`) starts over already, and what it has made since the decision is new.
    """
    for run, decision in reversed(decisions.items()):
        is_stale = decision.starts_over and run not in busy
        if is_stale or store.state(run).corrupt is not None:
            store.set_aside(run, decision.replaces)


def refuse_disturbing(plan: Plan, decisions: dict[str, Decision], holders: Mapping[str, DriverRecord]) -> None:
    """PlanError if something that must start over is a parent of what another driver is at."""
    for run, decision in decisions.items():
        disturbed = sorted((plan.descendants([run]) - {run}).intersection(holders))
        if decision.replaces is not None and disturbed:
            raise PlanError(
                f"{decision.job.name} cannot start over now: {plan.tasks[disturbed[0]].name} needs it, and another "
                f"driver on {holders[disturbed[0]].place} is at that; run again once it has ended"
            )


def _earlier_specs(store: Store, sweep: Sweep) -> dict[str, RunSpec]:
    """The spec that each job name had when this sweep was last planned otherwise; {} while ids are provisional."""
    specs: dict[str, RunSpec] = {}
    for plan in store.plans() if sweep.is_prepared else ():
        is_other = plan.plan_id != sweep.plan.plan_id and plan.sweep == sweep.request.sweep
        for job in plan.jobs if is_other else ():
            try:
                specs[f"{job.label}@{job.seed}"] = store.spec(job.run_id)
            except CorruptFileError:
                continue
    return specs


def git_state(folder: Path) -> tuple[str, bool]:
    """Commit of the checkout that a folder lies in, and whether it has changes; ("", False) outside of one."""
    commit = _git(folder, ["rev-parse", "HEAD"])
    return commit, bool(commit and _git(folder, ["status", "--porcelain"]))


def _git(folder: Path, arguments: Iterable[str]) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
