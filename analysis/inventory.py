"""What a store holds and which of it may go, with sizes and reasons; reads the disk, changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from analysis.evidence import Evidence, read_store
from analysis.prune import ACTIVE_SECONDS, KnownRun, Wishes, planned_runs, removable_runs
from trainers.errors import PluginError, StoreError
from trainers.files import exists
from trainers.leases import Leases, Watch
from trainers.remote import Place
from trainers.removal import changed_at, data_fingerprints, leftovers, size_bytes, way_in, weights_digests
from trainers.result import PlanRecord
from trainers.spec import RunSpec, run_id
from trainers.storage import Store
from trainers.teacher_logits import logits_id, logits_read_by

LEFTOVER_SECONDS = 86_400.0
"""Unfinished work that nobody touched for so long belongs to a process that is gone."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing that may go: a run, a plan, prepared data, weights from outside, teachers' logits, or a leftover."""

    kind: str
    name: str
    paths: tuple[Place, ...]
    size_bytes: int
    age_seconds: float
    why: str


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """What goes, in the order in which it must, and how many more runs would go if plans did not name or need them."""

    items: tuple[Item, ...]
    num_spared_by_plans: int


def make_pruning(store: Store, wishes: Wishes, now: float) -> Pruning:
    """All that a pruning removes; StoreError if a plan cannot be read, unless that is forced."""
    _check_plans(store, wishes)
    plans = store.plans()
    evidence = read_store(store, plans)
    runs = known_runs(store, evidence, plans, now)
    doomed = removable_runs(runs, wishes)
    items = [*_plan_items(store, runs, doomed, now), *_run_items(store, evidence, runs, doomed)]
    if wishes.unreferenced:
        kept = [evidence[run] for run in runs if run not in doomed]
        items += _unneeded(store, [known.spec for known in kept], now)
        items += _unread(store, [known.spec for known in kept if not known.is_finished], now)
        gone = {item.name for item in items if item.kind == "data"}
        items += _leftover_items(store, gone, any(known.is_active for known in runs.values()), now)
    limit = wishes.older_than_seconds or 0.0
    forced = removable_runs(runs, replace(wishes, force=True, unreferenced=False))
    return Pruning(
        items=tuple(item for item in items if item.kind == "plan" or item.age_seconds >= limit),
        num_spared_by_plans=len((forced & planned_runs(runs)) - doomed),
    )


def known_runs(
    store: Store, evidence: Mapping[str, Evidence], plans: Sequence[PlanRecord], now: float
) -> dict[str, KnownRun]:
    """The runs that have a folder, as pruning looks at them."""
    named: dict[str, set[str]] = {}
    for plan in plans:
        for job in plan.jobs:
            named.setdefault(job.run_id, set()).add(plan.plan_id)
    new = {plan.plan_id for plan in plans if now - (_seconds(plan.planned_at) or 0.0) < ACTIVE_SECONDS}
    held = Leases(store, "", Watch()).holders(store.run_ids())  # a driver says so itself, whatever the clock says
    known = {run: _known(store, evidence[run], frozenset(named.get(run, ())), new, now) for run in store.run_ids()}
    return {run: replace(one, is_active=True) if run in held else one for run, one in known.items()}


def _known(store: Store, known: Evidence, plans: frozenset[str], new_plans: set[str], now: float) -> KnownRun:
    age = now - _time_of(store, known)
    ancestors = {run_id(spec) for spec in lineage([known.spec])} - {known.run} if known.spec else set()
    return KnownRun(
        run=known.run,
        data=known.spec.data if known.spec else None,
        ancestors=frozenset(ancestors | set(known.parents)),
        plans=plans,
        age_seconds=age,
        validation_accuracy=known.result.best_validation_accuracy if known.result else None,
        is_active=_is_active(known, age, is_of_new_plan=bool(plans & new_plans)),
    )


def _is_active(known: Evidence, age_seconds: float, *, is_of_new_plan: bool) -> bool:
    """Whether a run is being trained, or is about to be; an epoch may take longer than an hour."""
    if known.state.result is not None:
        return False
    longest_epoch = max((record.epoch_seconds for record in known.curves), default=0.0)
    is_fresh = age_seconds < max(ACTIVE_SECONDS, 3 * longest_epoch)
    return is_of_new_plan or (is_fresh and known.state.failure is None)


def _time_of(store: Store, known: Evidence) -> float:
    """When a run finished, as it says itself (a copied store has new file times); else its last change."""
    finished = _seconds(known.state.result.finished_at) if known.state.result else None
    return changed_at(store.run_folder(known.run)) if finished is None else finished


def _seconds(moment: str) -> float | None:
    """An ISO 8601 time in seconds since 1970; None if it is not one."""
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return None


def lineage(specs: Iterable[RunSpec | None]) -> Iterator[RunSpec]:
    """Specs and all that are nested in them."""
    for spec in specs:
        if spec is not None:
            yield spec
            yield from lineage(spec.parents)


def _check_plans(store: Store, wishes: Wishes) -> None:
    damaged = sorted(set(store.plan_ids()) - {plan.plan_id for plan in store.plans()})
    if damaged and not wishes.force:
        raise StoreError(
            f"{store.plan_file(damaged[0])} is damaged, so nobody knows which runs it needs; "
            "run its sweep again, move it away, or pass --force"
        )


def _plan_items(store: Store, runs: Mapping[str, KnownRun], doomed: set[str], now: float) -> Iterator[Item]:
    """Plans that lose the last of their runs."""
    for plan in store.plans():
        here = {job.run_id for job in plan.jobs} & set(runs)
        if here and here <= doomed:
            file = store.plan_file(plan.plan_id)
            yield _item("plan", plan.plan_id, (file,), now, "none of its runs is left")


def _run_items(
    store: Store, evidence: Mapping[str, Evidence], runs: Mapping[str, KnownRun], doomed: set[str]
) -> Iterator[Item]:
    """Children before their parents, so that a kill in between leaves no run without what it was trained from."""
    for run in sorted(doomed, key=lambda run: (-len(runs[run].ancestors), run)):
        why = "forced: a plan names it" if runs[run].plans else "in no plan"
        job = evidence[run].job
        name = f"{run} {job.label}@{job.seed}" if job else run
        yield replace(_item("run", name, (store.run_folder(run),), 0.0, why), age_seconds=runs[run].age_seconds)


def _unneeded(store: Store, kept: Sequence[RunSpec | None], now: float) -> Iterator[Item]:
    """Prepared data and weights that no kept run names; nothing while the spec of a kept run cannot be read."""
    if None in kept:
        return
    specs = tuple(lineage(kept))
    for fingerprint in set(data_fingerprints(store)) - {spec.data for spec in specs}:
        item = _item("data", fingerprint, (store.data_folder(fingerprint),), now, "no run uses it")
        if item.age_seconds >= ACTIVE_SECONDS:  # younger data may be waiting for the sweep that prepared it
            yield item
    for digest in set(weights_digests(store)) - {spec.init_weights.digest for spec in specs if spec.init_weights}:
        files = (store.weights_file(digest), store.weights_record(digest))
        item = _item("weights", digest, tuple(file for file in files if exists(file)), now, "no run starts from them")
        if item.age_seconds >= ACTIVE_SECONDS:
            yield item


def _unread(store: Store, unfinished: Sequence[RunSpec | None], now: float) -> Iterator[Item]:
    """Teachers' logits that no unfinished run will read; nothing while it cannot be told what one reads."""
    try:
        wanted = {logits_id(one) for spec in unfinished if spec for one in logits_read_by(spec)}
    except PluginError:
        return
    held = Leases(store, "", Watch()).holders(store.logits_ids())
    for logits in set(store.logits_ids()) - wanted if None not in unfinished else ():
        item = _item("logits", logits, (store.logits(logits).folder,), now, "all that read them are done")
        if item.age_seconds >= ACTIVE_SECONDS and logits not in held:
            yield item


def _leftover_items(store: Store, gone: set[str], is_active: bool, now: float) -> Iterator[Item]:
    """Old leftovers; Ray's own folders stay while anything is being trained, since it rarely writes to them."""
    for path in leftovers(store, gone):
        item = _item("leftover", way_in(store, path), (path,), now, "left by a process that is gone")
        is_old = item.age_seconds >= LEFTOVER_SECONDS or path.name.startswith(".removing-")
        is_in_use = is_active and path.name.startswith("tune-")
        if is_old and not is_in_use:
            yield item


def _item(kind: str, name: str, paths: tuple[Place, ...], now: float, why: str) -> Item:
    newest = max((changed_at(path) for path in paths), default=0.0)
    size = sum(size_bytes(path) for path in paths)
    return Item(kind=kind, name=name, paths=paths, size_bytes=size, age_seconds=now - newest, why=why)
