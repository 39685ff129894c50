"""When and where teachers' logits were written: work that is no run, but fills slots and is waited for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from analysis.logits_sets import label_of, request_of
from analysis.page.timeline import Span, spans_of
from analysis.tables import Row
from trainers.errors import SweepError
from trainers.spec import RunSpec, run_id
from trainers.storage import Store
from trainers.teacher_logits import logits_id, logits_read_by

ROLE = "logits"


@dataclass(frozen=True, kw_only=True)
class LogitsWork:
    """By the id of a set: `rows` is what a chart names it by; `parents` says, for sets and their readers, what came
    before each.
    """

    spans: list[Span] = field(default_factory=list)
    rows: dict[str, Row] = field(default_factory=dict)
    parents: dict[str, tuple[str, ...]] = field(default_factory=dict)


def logits_work(store: Store, runs: Sequence[Row], now: float | None) -> LogitsWork:
    """The sets whose teacher is one of the runs; `now` is the end of those that are being written, if any is."""
    by_run, work = {run["run_id"]: run for run in runs}, LogitsWork()
    for logits in store.logits_ids():
        request = request_of(store, logits)
        teacher = by_run.get(run_id(request.spec.teacher)) if request else None
        if request is None or teacher is None:
            continue
        folder = store.logits(logits)
        work.spans.extend(spans_of(logits, folder.attempts, folder.finished_at, now))
        label = label_of(teacher["label"] or teacher["run_id"])
        seed = {"seed": request.spec.view_seed}
        work.rows[logits] = {"run_id": logits, "label": label, **seed, "role": ROLE, "images_per_second": None}
        work.parents[logits] = (teacher["run_id"],)
    for run in runs if work.rows else ():
        work.parents[run["run_id"]] = tuple(logits for logits in _read_by(run) if logits in work.rows)
    return work


def _read_by(run: Mapping[str, str | None]) -> tuple[str, ...]:
    text = run["spec_json"]
    if text is None:
        return ()
    try:
        return tuple(map(logits_id, logits_read_by(msgspec.json.decode(text, type=RunSpec))))
    except (SweepError, msgspec.MsgspecError):  # of a plug-in that is gone
        return ()
