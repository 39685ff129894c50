"""Run directories -> runs.parquet and curves.parquet: `python -m analysis.gather STORE`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from analysis.command import existing_store, exit_code
from analysis.evidence import Evidence, nearest_failed, read_store, status_of
from analysis.tables import CURVES_SCHEMA, RUNS_SCHEMA, Row, count_line, to_table, write_tables
from analysis.words import counted
from trainers.errors import CorruptFileError
from trainers.result import Environment, Result, Split, Status
from trainers.spec import RunSpec, canonical_json, group_id, run_id, to_dict
from trainers.storage import WEIGHTS, Store

__all__ = ["CURVES_SCHEMA", "RUNS_SCHEMA", "Tables", "gather"]

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
    "has_mixed_environment",
    "reads_logits",
    "started_at",
    "finished_at",
)
_FROM_ENVIRONMENT = ("host", "device", "hardware", "num_threads", "git_commit", "git_is_dirty")


@dataclass(frozen=True, kw_only=True)
class Tables:
    """One row per run (RUNS_SCHEMA), and one per run and epoch (CURVES_SCHEMA)."""

    runs: pa.Table
    curves: pa.Table


def gather(store: Store) -> Tables:
    """Read all runs and plans of a store and write its two tables; a damaged file never stops it."""
    evidence = read_store(store)
    data = _data_columns(store, evidence)
    runs = to_table((_run_row(run, evidence, data) for run in evidence), RUNS_SCHEMA)
    curves = to_table((row for known in evidence.values() for row in _curve_rows(known)), CURVES_SCHEMA)
    write_tables({store.table_file("runs"): runs, store.table_file("curves"): curves})
    return Tables(runs=runs, curves=curves)


def _run_row(run: str, evidence: Mapping[str, Evidence], data: Mapping[str, Row]) -> Row:
    known = evidence[run]
    return {
        "run_id": run,
        "num_attempts": len(known.attempts),
        **_start_columns(known),
        **_plan_columns(known),
        **_status_columns(run, evidence),
        **_spec_columns(known.spec, evidence, data),
        **(_result_columns(known.result) if known.result else {}),
    }


def _plan_columns(known: Evidence) -> Row:
    job, plan = known.job, known.plan
    if job is None or plan is None:
        return {}
    columns = {"plan_id": plan.plan_id, "sweep": plan.sweep, "label": job.label, "role": job.role.value}
    return {**columns, "seed": job.seed, "group_id": job.group_id}


def _start_columns(known: Evidence) -> Row:
    started = known.started
    return {"host": started.host, "started_at": started.started_at} if started else {}


def _status_columns(run: str, evidence: Mapping[str, Evidence]) -> Row:
    known = evidence[run]
    blocker = nearest_failed(run, evidence)
    status = status_of(run, evidence)
    is_blocked = status == Status.BLOCKED.value and blocker is not None
    return {
        "status": status,
        "blocked_by": blocker.name if is_blocked and blocker else None,
        "reason": _reason(known, status, blocker),
        "log_path": _log_path(known),
    }


def _reason(known: Evidence, status: str, blocker: Evidence | None) -> str | None:
    """Why a run has no result; of a finished one, what is wrong with its curves."""
    failure = known.state.failure
    if status == Status.FAILED.value and failure is not None:
        return "; ".join((failure.reason, *known.problems))
    if known.problems or status == Status.OK.value:
        return "; ".join((*known.problems, *known.curve_problems)) or None
    if status == Status.BLOCKED.value and blocker is not None:
        return f"{blocker.name} failed"
    return "; ".join((_progress(known), *known.curve_problems))


def _progress(known: Evidence) -> str:
    if not known.attempts:
        return "not started"
    epochs = known.spec.epochs if known.spec else "?"
    return f"{len(known.curves)} of {epochs} epochs done"


def _log_path(known: Evidence) -> str | None:
    """The log as it lies here; the recorded path, if the log stayed on another machine."""
    if not known.attempts:
        return None
    log = known.attempts[-1].log_file
    failure = known.state.failure
    return failure.log_path if failure and not log.exists() else str(log)


def _spec_columns(spec: RunSpec | None, evidence: Mapping[str, Evidence], data: Mapping[str, Row]) -> Row:
    if spec is None:
        return {}
    return {
        "group_id": group_id(spec),
        "seed": spec.seed,
        "view_seed": spec.view_seed,
        "model": spec.model.name,
        "objective": spec.objective.name,
        "data_fingerprint": spec.data,
        **data.get(spec.data, {}),
        "epochs": spec.epochs,
        "batch_size": spec.batch_size,
        "optimizer": spec.optimizer.name.value,
        "lr": spec.optimizer.lr,
        "precision": spec.precision.value,
        "spec_json": canonical_json(to_dict(spec)),
        **_teacher_columns(spec.teacher, evidence),
    }


def _teacher_columns(teacher: RunSpec | None, evidence: Mapping[str, Evidence]) -> Row:
    if teacher is None:
        return {}
    teacher_id = run_id(teacher)
    known = evidence.get(teacher_id)
    label = known.job.label if known and known.job else None
    return {"teacher_run_id": teacher_id, "teacher_group_id": group_id(teacher), "teacher_label": label}


def _result_columns(result: Result) -> Row:
    weights = result.files.get(WEIGHTS)
    return {
        **{name: getattr(result, name) for name in _FROM_RESULT},
        **_environment_columns(result.environment),
        "weights_sha256": weights.sha256 if weights else None,
    }


def _environment_columns(environment: Environment) -> Row:
    columns = {name: getattr(environment, name) for name in _FROM_ENVIRONMENT}
    return {**columns, "torch_version": environment.torch}


def _curve_rows(known: Evidence) -> list[Row]:
    common: Row = {"run_id": known.run, **_plan_columns(known)}
    if known.spec is not None:
        common |= {"group_id": group_id(known.spec), "seed": known.spec.seed}
    return [{**common, **vars(record), "loss_parts": list(record.loss_parts.items())} for record in known.curves]


def _data_columns(store: Store, evidence: Mapping[str, Evidence]) -> dict[str, Row]:
    """Fingerprint -> what is known of the data, from its manifest; its name from finished runs, if there are any."""
    specs = [known.spec for known in evidence.values() if known.spec]
    columns = {data: _manifest_columns(store, data) for data in {spec.data for spec in specs}}
    for known in evidence.values():
        if known.spec and known.result:
            columns[known.spec.data]["data_name"] = known.result.data_name
    return columns


def _manifest_columns(store: Store, fingerprint: str) -> Row:
    try:
        manifest = store.manifest(fingerprint)
    except CorruptFileError:
        return {}
    sizes = {"image_size": manifest.image_size, "num_train_images": manifest.num_images.get(Split.TRAIN)}
    return {"data_name": manifest.name, "resize": manifest.resize, **sizes}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: exit code 0, or 2 with one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m analysis.gather", description=__doc__)
    parser.add_argument("store", metavar="STORE", help="the folder that run_all.py --store was given")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _print_tables(existing_store(options.store)))


def _print_tables(store: Store) -> None:
    tables = gather(store)
    print(
        f"{store.table_file('runs')} and {store.table_file('curves').name}: {counted(tables.curves.num_rows, 'epoch')}"
    )
    print(count_line(tables.runs["status"].to_pylist(), shows_zero_unfinished=True))


if __name__ == "__main__":
    raise SystemExit(main())
