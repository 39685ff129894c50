"""Where the numbers of a page come from: commands, data, code, versions, machines; and what has no numbers, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from analysis.tables import UNFINISHED, Row
from trainers.errors import SweepError
from trainers.result import Status
from trainers.shown import one_line, printable
from trainers.storage import Store

MOST_LOGS, LOG_LINES, LINE_CHARACTERS = 20, 30, 400
"""A page shows the ends of the logs of so many failed jobs."""

_WHERE = ("git_commit", "git_is_dirty", "torch_version", "hardware", "device", "num_threads", "host")


def data_sets(store: Store, runs: Sequence[Row]) -> list[Row]:
    """Every data set that the runs used, as its manifest has it; what is known of it where that is gone."""
    names = {run["data_fingerprint"]: run["data_name"] for run in runs if run["data_fingerprint"] is not None}
    return [_data_set(store, fingerprint, name) for fingerprint, name in names.items()]


def _data_set(store: Store, fingerprint: str, name: str | None) -> Row:
    try:
        manifest = store.manifest(fingerprint)
    except (SweepError, OSError):
        return {"fingerprint": fingerprint, "name": name, "is_there": False}
    return {"is_there": True, **{key: value for key, value in msgspec.to_builtins(manifest).items() if key != "files"}}


def environments(runs: Sequence[Row]) -> list[Row]:
    """Each combination of code, versions and machine that made results, and how many of them."""
    done = Counter(tuple(run[name] for name in _WHERE) for run in runs if run["status"] == Status.OK.value)
    return [{**dict(zip(_WHERE, values, strict=True)), "num_runs": number} for values, number in done.most_common()]


def versions(store: Store, runs: Sequence[Row]) -> dict[str, str]:
    """What else the newest result was made with."""
    done = max(
        (run for run in runs if run["status"] == Status.OK.value), key=lambda run: run["finished_at"], default=None
    )
    try:
        result = None if done is None else store.result(done["run_id"])
    except (SweepError, OSError):
        result = None
    if result is None:
        return {}
    found = result.environment
    return {"Python": found.python, "torch": found.torch, "torchvision": found.torchvision, **found.packages}


def failures(store: Store, runs: Sequence[Row]) -> list[Row]:
    """Jobs without a result: what, why, and the end of the log of those that failed."""
    missing = [run for run in runs if run["status"] not in (Status.OK.value, UNFINISHED)]
    missing.sort(key=lambda run: (run["status"] != Status.FAILED.value, run["label"] or "", run["seed"] or 0))
    rows = []
    for number, run in enumerate(missing):
        is_read = run["status"] == Status.FAILED.value and number < MOST_LOGS
        rows.append(
            {**{name: run[name] for name in _OF_FAILURE}, "log": end_of_log(store, run["run_id"]) if is_read else None}
        )
    return rows


_OF_FAILURE = ("run_id", "label", "seed", "status", "reason", "blocked_by", "log_path")


def end_of_log(store: Store, run: str) -> str | None:
    """The last lines of the newest attempt's log; None if there is none to read."""
    try:
        attempts = store.attempts(run)
        lines = attempts[-1].log_file.read_text(errors="replace").splitlines() if attempts else []
    except (SweepError, OSError):
        return None
    return "\n".join(printable(line)[:LINE_CHARACTERS] for line in lines[-LOG_LINES:]) or None


def state_line(runs: Sequence[Row]) -> str:
    """`24 ok, 1 failed`, in words for a heading."""
    counts = Counter(run["status"] for run in runs)
    return one_line(", ".join(f"{number} {status}" for status, number in counts.most_common()))
