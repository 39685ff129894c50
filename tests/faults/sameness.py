"""What must be the same in two stores that came to their ends on different ways: all but times, hosts and attempts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TIMES = ("images_per_second", "epoch_seconds")
OF_THE_WAY = (
    *("attempt", "train_seconds", "started_at", "finished_at", "resumed_from_epochs", "images_per_second"),
    *("reads_logits", "environment", "latency_seconds"),
)
"""Of a result. That logits were read or computed changes no bit; the environment holds the host, and is compared apart.
"""
OF_THE_PLACE = ("host", "git_commit", "git_is_dirty")
COLUMNS_OF_THE_WAY = (
    *("train_seconds", "images_per_second", "started_at", "finished_at", "num_attempts", "log_path", "reads_logits"),
    "latency_seconds",
    *OF_THE_PLACE,
)


def summary(root: Path) -> dict[str, Any]:
    """Everything that must be equal, by name, as plain values."""
    from trainers.storage import Store

    store, found = Store(root), dict[str, Any]()
    for run in store.run_ids():
        found[f"run {run}"] = of_run(store, run)
    found["plans"] = list(store.plan_ids())
    for pattern in ("data/*/*.npy", "logits/*/*/epoch-*", "weights/*", "plugins/**/*.py"):
        files = [file for file in sorted(root.glob(pattern)) if not is_hidden(file.relative_to(root))]
        found[pattern] = {str(file.relative_to(root)): digest(file) for file in files}
    return found | tables(store)


def is_hidden(path: Path) -> bool:
    """What a kill left of unfinished work, which nobody reads and pruning sweeps up."""
    return any(part.startswith(".") for part in path.parts)


def of_run(store: Any, run: str) -> dict[str, Any]:
    """The bytes of a run's files, and what its result says."""
    import msgspec

    from trainers.storage import CURVES, PREDICTIONS, WEIGHTS

    state = store.state(run)
    if state.result is None:
        return {"failure": state.failure and state.failure.reason}
    attempt = store.attempt(run, state.result.attempt)
    content = msgspec.to_builtins(state.result)
    environment = {key: value for key, value in content["environment"].items() if key not in OF_THE_PLACE}
    files = {name: digest(attempt.folder / name) for name in (WEIGHTS, PREDICTIONS)}
    facts = {key: value for key, value in content.items() if key not in (*OF_THE_WAY, "files")}
    return {"result": facts, "environment": environment, "files": files, "curves": curves(attempt, CURVES)}


def curves(attempt: Any, name: str) -> list[dict[str, Any]]:
    """The epochs without their times and speeds."""
    import msgspec

    records = [msgspec.to_builtins(record) for record in attempt.curves()]
    return [{key: value for key, value in record.items() if key not in (*TIMES, "reads_logits")} for record in records]


def tables(store: Any) -> dict[str, Any]:
    """The tables that a command writes, gathered anew, without what tells of the way."""
    from analysis.rank import write_ranking

    written = write_ranking(store)
    frames = {"runs": written.runs, "ranking": written.ranking, "gains": written.gains}
    return {
        f"table {name}": frame.drop(columns=[c for c in frame.columns if c.startswith(COLUMNS_OF_THE_WAY)]).to_json(
            orient="records", double_precision=15, default_handler=str
        )
        for name, frame in frames.items()
    }


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def problems_of(root: Path, expected: dict[str, Any]) -> Iterator[str]:
    """What a reader of an interrupted store says that is not so, or cannot say for an error."""
    from analysis.gather import gather
    from analysis.rank import write_ranking
    from analysis.verify import parts
    from trainers.errors import SweepError
    from trainers.storage import Store

    store = Store(root)
    for run in store.run_ids():
        found = of_run(store, run)
        if store.state(run).corrupt:
            yield f"{run}: {store.state(run).corrupt}"
        if "result" in found and found != expected[f"run {run}"]:
            yield f"{run}: {found} is not {expected[f'run {run}']}"
    finished = {run for run in store.run_ids() if store.result(run)}
    rows = gather(store).runs.to_pylist()
    if {row["run_id"] for row in rows if row["status"] == "ok"} != finished:
        yield f"gathered {rows}, finished {finished}"
    try:
        write_ranking(store)
    except SweepError as error:
        if store.plan_ids():
            yield f"rank: {error}"
    for part in parts(store):
        yield from (f"verify: {problem}" for problem in part.check() if not problem.is_note)
