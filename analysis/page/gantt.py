"""What the page says of time: rows for the Gantt chart, the critical path in words, how busy each host was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from analysis.cells import duration_text
from analysis.page.cells import run_name
from analysis.page.logits_spans import LogitsWork, logits_work
from analysis.page.timeline import Span, critical_path, in_slots, spans, utilisation, work_seconds
from analysis.tables import Row
from trainers.result import PlanRecord
from trainers.storage import Store

MOST_DRAWN, MOST_LANES = 2_000, 100
COLUMNS = ("run_id", "name", "role", "lane", "state", "start", "end", "minutes", "is_critical", "speed")


def gantt(
    store: Store, runs: Sequence[Row], plans: Sequence[PlanRecord], now: float | None
) -> tuple[Row | None, list[Row]]:
    """For the template (None if nothing was started), and the rows of the chart, in minutes since the first start."""
    logits = logits_work(store, runs, now)
    found = in_slots([*spans(store, runs, now), *logits.spans])
    if not found:
        return None, []
    by_run = {run["run_id"]: run for run in runs} | logits.rows
    first = min(span.start for span in found)
    path = critical_path(found, _parents(plans, logits))
    drawn = _drawn(found)
    rows = [_row(span, by_run[span.run_id], first, span.run_id in path) for span in drawn]
    template = {
        "text": _text(found, path),
        "first": datetime.fromtimestamp(first, UTC).isoformat(),
        "path": [{"run_id": run, "name": run_name(by_run[run]), "is_run": run not in logits.rows} for run in path],
        "num_hidden": len(found) - len(drawn),
        "hosts": [_host(row) for row in utilisation(found)],
    }
    return template, rows


def _drawn(found: Sequence[Span]) -> list[Span]:
    """As many as a page has room for, lane by lane."""
    lanes = set(sorted({(span.host, span.slot) for span in found})[:MOST_LANES])
    shown = [span for span in found if (span.host, span.slot) in lanes][:MOST_DRAWN]
    return sorted(shown, key=lambda span: (span.host, span.slot, span.start))


def _parents(plans: Sequence[PlanRecord], logits: LogitsWork) -> Mapping[str, tuple[str, ...]]:
    planned = {job.run_id: job.parents for plan in plans for job in plan.jobs}
    return planned | {run: (*planned.get(run, ()), *parents) for run, parents in logits.parents.items()}


def _row(span: Span, run: Row, first: float, is_critical: bool) -> Row:
    start, end = (span.start - first) / 60, (span.end - first) / 60
    return {
        "run_id": span.run_id,
        "name": run_name(run),
        "role": run["role"],
        "lane": f"{span.host} {span.slot}",
        "state": span.state,
        "start": round(start, 4),
        "end": round(end, 4),
        "minutes": round(end - start, 4),
        "is_critical": is_critical,
        "speed": run["images_per_second"],
    }


def _text(found: Sequence[Span], path: Sequence[str]) -> str:
    whole = max(span.end for span in found) - min(span.start for span in found)
    work = work_seconds(found)
    on_path, busy = sum(work[run] for run in path), sum(work.values())
    return (
        f"{duration_text(busy)} of work in {duration_text(whole)} from the first start to the last end. However many "
        f"machines there are, it takes {duration_text(on_path)}: the critical path."
    )


def _host(row: Row) -> dict[str, Any]:
    used = "" if row["share"] is None else f"{100 * row['share']:.0f}"
    return row | {"busy": duration_text(row["busy_seconds"]), "used": used}
