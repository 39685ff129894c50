"""What a person wants to know of one run, as lines of text: its spec, result, files, and how to load its network."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from analysis.evidence import Evidence, status_of
from analysis.words import size_text
from trainers.attempt import Attempt
from trainers.fields import flatten
from trainers.find_plugins import find_plugins
from trainers.removal import files_below, size_bytes
from trainers.shown import one_line
from trainers.spec import RunSpec, run_id
from trainers.storage import Store

_OWN = ("files", "environment", "parent_weights", "run_id", "group_id", "attempt")
"""Fields of a result that have a section of their own."""


def show_lines(store: Store, run: str, evidence: Mapping[str, Evidence]) -> Iterator[str]:
    """All of one run, section by section."""
    known = evidence[run]
    name = f" {known.job.label}@{known.job.seed} ({known.job.role.value})" if known.job else ""
    yield f"run {run}{name}: {status_of(run, evidence)}, {size_text(size_bytes(store.run_folder(run)))}"
    yield f"folder  {store.run_folder(run)}"
    yield from (f"PROBLEM {one_line(problem)}" for problem in (*known.problems, *known.curve_problems))
    if known.state.failure is not None and known.result is None:
        yield f"FAILED  {one_line(known.state.failure.reason)}"
    if known.spec is not None:
        yield from _section("spec", _own_fields(known.spec))
        yield from _section("parents", _parents(known.spec, evidence)) if known.spec.parents else ()
    if known.result is not None:
        yield from _section("result", _plain(known.result, without=_OWN))
        yield from _section("environment", _plain(known.result.environment))
    yield from _attempts(known)
    if known.result is not None:
        yield from _section("to load the network in Python", {})
        yield from (f"  {line}" for line in loading_code(store, run))


def loading_code(store: Store, run: str) -> tuple[str, str, str]:
    """Three lines of Python that load a run's network, a user's own model too, and classify pictures."""
    copy = find_plugins(store, run)
    own = f", plugins={str(copy)!r}" if copy else ""
    return (
        "from trainers.load_run import load_run",
        f"run = load_run({str(store.root)!r}, {run!r}{own})",
        "probabilities = run.predict(pictures)  # of PIL; beside it: run.network, run.class_names, run.preprocess",
    )


def log_lines(run: str, known: Evidence) -> Iterator[str]:
    """The log of the newest attempt, and why it failed."""
    if not known.attempts:
        yield f"run {run} was not started yet"
        return
    attempt = known.attempts[-1]
    yield f"{attempt.log_file} (attempt {len(known.attempts)} of {len(known.attempts)})"
    try:
        yield from attempt.log_file.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        yield "(no log: the attempt wrote none, or wrote it on another machine)"
    if known.state.failure is not None:
        yield f"FAILED: {one_line(known.state.failure.reason)}"


def _section(title: str, fields: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield title
    width = max(map(len, fields), default=0)
    yield from (f"  {key:{width}}  {_value(value)}" for key, value in fields.items())


def _own_fields(spec: RunSpec) -> dict[str, Any]:
    """The spec without its parents, which have lines of their own."""
    return {key: value for key, value in flatten(spec.without_parents()).items() if value is not None}


def _parents(spec: RunSpec, evidence: Mapping[str, Evidence]) -> dict[str, Any]:
    relations = [("teacher", teacher) for teacher in spec.teachers]
    relations += [("starts from", spec.init_run)] if spec.init_run is not None else []
    parents = {run_id(parent): word for word, parent in relations}
    return {run: f"{word}{_label(run, evidence)}" for run, word in parents.items()}


def _label(run: str, evidence: Mapping[str, Evidence]) -> str:
    known = evidence.get(run)
    if known is None:
        return ", not in this store"
    return f", {known.job.label}@{known.job.seed}" if known.job else ""


def _attempts(known: Evidence) -> Iterator[str]:
    for attempt in known.attempts:
        is_it = known.result is not None and known.result.attempt == attempt.token
        yield from _section(f"attempt {attempt.token}{' (the result is from it)' if is_it else ''}", _files(attempt))


def _files(attempt: Attempt) -> dict[str, Any]:
    return {file.name: size_text(size_bytes(file)) for file in sorted(files_below(attempt.folder))}


def _plain(value: Any, without: tuple[str, ...] = ()) -> dict[str, Any]:
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {name: content for name, content in fields.items() if name not in without}


def _value(value: Any) -> str:
    return one_line(f"{value:.6g}" if isinstance(value, float) else str(value))
