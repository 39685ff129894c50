"""Run folders -> two tables of what is in them, apart from any plan; a chunk of runs at a time, by any process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pyarrow as pa

from analysis.evidence import Evidence, ids_of_parent, read_run
from analysis.listed import signatures
from analysis.signature import is_remote, settled_signature
from analysis.tables import CURVES_SCHEMA, RUNS_SCHEMA, Row, to_table
from trainers.result import Environment, Result
from trainers.spec import RunSpec, canonical_json, to_dict
from trainers.storage import WEIGHTS, Store

NUM_THREADS = 16
"""That ask an object store at the same time; each waits for its answers most of the time."""

OF_PLANS_AND_DATA = (
    *("plan_id", "sweep", "label", "role", "status", "reason", "blocked_by", "teacher_label"),
    *("data_name", "image_size", "resize"),
)
"""Columns of RUNS_SCHEMA that a run's own folder does not decide."""

OF_FOLDER = tuple(name for name in RUNS_SCHEMA.names if name not in OF_PLANS_AND_DATA)

FACTS_SCHEMA = pa.schema(
    [
        *(RUNS_SCHEMA.field(name) for name in OF_FOLDER),
        pa.field("is_finished", pa.bool_(), nullable=False),
        pa.field("own_data_name", pa.string()),
        pa.field("problems", pa.string()),
        pa.field("curve_problems", pa.string()),
        pa.field("failure", pa.string()),
        pa.field("parents", pa.list_(pa.string())),
        pa.field("num_epochs_done", pa.int64()),
        pa.field("attempt", pa.string()),
        pa.field("files", pa.string()),
        pa.field("signature", pa.binary()),
    ]
)
"""One row per run. `problems` and `failure` are texts; `attempt` and `signature` are there for finished runs that may
be taken for unchanged later on (see `analysis.signature`)."""

_FROM_RESULT = (
    "initialized_from",
    "best_epoch",
    "best_validation_accuracy",
    "last_validation_accuracy",
    "test_accuracy",
    "train_accuracy",
    "num_params",
    "num_macs",
    "size_bytes",
    "num_train_images",
    "num_validation_images",
    "num_test_images",
    "train_seconds",
    "images_per_second",
    "latency_seconds",
    "has_mixed_environment",
    "reads_logits",
    "started_at",
    "finished_at",
)
_FROM_ENVIRONMENT = ("host", "device", "hardware", "num_threads", "git_commit", "git_is_dirty")
_FROM_EPOCH = tuple(name for name in CURVES_SCHEMA.names if name not in ("run_id", "group_id", "label", "seed"))


def read_facts(root: str, runs: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """Facts (FACTS_SCHEMA) and curves (CURVES_SCHEMA, without labels) of these runs, in their order."""
    store, rows, read = Store(root), [], []
    if is_remote(root):
        return _read_remote_facts(store, runs)
    for run in runs:
        read_at = time.time()
        known = read_run(store, run)
        rows.append(_facts_row(known, partial(_settled_signature, root, read_at)))
        read.append(known)
    return to_table(rows, FACTS_SCHEMA), _curves_table(read)


def _settled_signature(root: str, read_at: float, run: str, attempt: str, files: str) -> bytes:
    return settled_signature(root, run, attempt, files, read_at)


def _read_remote_facts(store: Store, runs: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """The same, several runs at a time; those that changed while they were read have no signature."""
    before = signatures(str(store.root), runs)
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        read = list(pool.map(partial(read_run, store), runs))
    after = signatures(str(store.root), runs)

    def signature(run: str, attempt: str, files: str) -> bytes:
        return after[run] if before.get(run) == after.get(run, b"") else b""

    return to_table([_facts_row(known, signature) for known in read], FACTS_SCHEMA), _curves_table(read)


def _facts_row(known: Evidence, signature: Callable[[str, str, str], bytes]) -> Row:
    failure = known.state.failure
    return {
        "run_id": known.run,
        "num_attempts": len(known.attempts),
        "log_path": _log_path(known),
        "is_finished": known.is_finished,
        "problems": "; ".join(known.problems) or None,
        "curve_problems": "; ".join(known.curve_problems) or None,
        "failure": None if failure is None else failure.reason,
        "parents": list(known.spec_parents) if not known.is_finished else None,
        "num_epochs_done": len(known.curves),
        **_start_columns(known),
        **_spec_columns(known.spec, known.group_id),
        **(_result_columns(known.result) if known.result else {}),
        **_signature_columns(known, signature),
    }


def _signature_columns(known: Evidence, signature: Callable[[str, str, str], bytes]) -> Row:
    if known.result is None or known.curve_problems:
        return {}
    attempt, files = known.result.attempt, "\n".join(known.result.files)
    taken = signature(known.run, attempt, files)
    return {"attempt": attempt, "files": files, "signature": taken} if taken else {}


def _start_columns(known: Evidence) -> Row:
    started = known.started
    return {"host": started.host, "started_at": started.started_at} if started else {}


def _log_path(known: Evidence) -> str | None:
    """The log as it lies here; the recorded path, if the log stayed on another machine."""
    if not known.attempts:
        return None
    log = known.attempts[-1].log_file
    failure = known.state.failure
    return failure.log_path if failure and not log.exists() else str(log)


def _spec_columns(spec: RunSpec | None, group: str | None) -> Row:
    if spec is None:
        return {}
    return {
        "group_id": group,
        "seed": spec.seed,
        "view_seed": spec.view_seed,
        "model": spec.model.name,
        "objective": spec.objective.name,
        "data_fingerprint": spec.data,
        "epochs": spec.epochs,
        "batch_size": spec.batch_size,
        "optimizer": spec.optimizer.name.value,
        "lr": spec.optimizer.lr,
        "precision": spec.precision.value,
        "spec_json": canonical_json(to_dict(spec)),
        **_teacher_columns(spec.teacher),
    }


def _teacher_columns(teacher: RunSpec | None) -> Row:
    if teacher is None:
        return {}
    run, group = ids_of_parent(teacher)
    return {"teacher_run_id": run, "teacher_group_id": group}


def _result_columns(result: Result) -> Row:
    weights = result.files.get(WEIGHTS)
    return {
        **{name: getattr(result, name) for name in _FROM_RESULT},
        **_environment_columns(result.environment),
        "own_data_name": result.data_name,
        "weights_sha256": weights.sha256 if weights else None,
    }


def _environment_columns(environment: Environment) -> Row:
    columns = {name: getattr(environment, name) for name in _FROM_ENVIRONMENT}
    return {**columns, "torch_version": environment.torch}


def _curves_table(read: Sequence[Evidence]) -> pa.Table:
    """Column by column: there are many epochs."""
    runs = [known for known in read for _ in known.curves]
    epochs = [record for known in read for record in known.curves]
    columns = {name: [getattr(record, name) for record in epochs] for name in _FROM_EPOCH}
    columns["loss_parts"] = [list(parts.items()) for parts in columns["loss_parts"]]
    columns["run_id"] = [known.run for known in runs]
    columns["group_id"] = [known.group_id for known in runs]
    columns["seed"] = [known.spec.seed if known.spec else None for known in runs]
    columns["label"] = [None] * len(runs)
    return pa.table([pa.array(columns[field.name], field.type) for field in CURVES_SCHEMA], schema=CURVES_SCHEMA)
