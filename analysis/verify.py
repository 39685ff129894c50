"""Every checksum of a store, read and compared: records, files of finished runs, prepared data, weights.

A generator of problems, one line each with what to do; nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from trainers.attempt import read_checkpoint
from trainers.errors import CorruptFileError
from trainers.files import check_file, children, exists
from trainers.records import decode, decode_record
from trainers.remote import Place
from trainers.removal import data_fingerprints, files_below, weights_digests
from trainers.result import FileRecord, Result
from trainers.storage import Store

RUN_AGAIN = "delete the run's folder and run its sweep again, which trains it anew"
PREPARE_AGAIN = "delete the data's folder and run its sweep again, which prepares it anew"
FETCH_AGAIN = "delete the file and run its sweep again, which reads it anew from where it came"
WRITE_AGAIN = "delete the file; students run their teacher instead, or a job writes it anew"
LATER = "to have checksums, delete it and run its sweep again"

Problems = Iterator["Problem"]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong, of what, and what to do; a `note` is no damage."""

    about: str
    what: str
    to_do: str
    is_note: bool = False


@dataclass(frozen=True, kw_only=True)
class Part:
    """One thing to verify, and the function that reads it."""

    name: str
    check: Callable[[], Problems]


def parts(store: Store) -> tuple[Part, ...]:
    """Everything that has checksums, in the order in which it is read."""
    plans = [Part(name=f"plan {plan}", check=_plan(store, plan)) for plan in store.plan_ids()]
    runs = [Part(name=f"run {run}", check=_run(store, run)) for run in store.run_ids()]
    data = [Part(name=f"data {name}", check=_data(store, name)) for name in data_fingerprints(store)]
    weights = [Part(name=f"weights {digest}", check=_weights(store, digest)) for digest in weights_digests(store)]
    logits = [Part(name=f"logits {name}", check=_logits(store, name)) for name in store.logits_ids()]
    return (*plans, *runs, *data, *weights, *logits)


def _plan(store: Store, plan: str) -> Callable[[], Problems]:
    def check() -> Problems:
        to_do = "run its sweep again, which writes it anew, or delete it"
        yield from _damage(f"plan {plan}", to_do, lambda: decode_record(store.plan_file(plan)))

    return check


def _run(store: Store, run: str) -> Callable[[], Problems]:
    def check() -> Problems:
        about = f"run {run}"
        if _is_empty(store.run_folder(run)):  # a kill came before its spec was there: nothing is lost
            return
        yield from _damage(about, RUN_AGAIN, lambda: store.spec(run))
        yield from _result(store, run)
        yield from _who_worked(about, store.run_folder(run) / "attempts")
        for file in store.checkpoints(run):
            yield from _damage(about, "delete it: an earlier one is used, or none", _read(read_checkpoint, file))

    return check


def _who_worked(about: str, attempts: Place) -> Problems:
    """The small records of all attempts at something."""
    for file in files_below(attempts):
        if file.suffix == ".json":
            yield from _damage(about, "delete it: it only says who worked there", _read(decode_record, file))


def _result(store: Store, run: str) -> Problems:
    """The result, and every file that it names, whole."""
    file = store.run_folder(run) / "result.json"
    if not exists(file):
        return
    try:
        result = decode(file, Result)
    except CorruptFileError as error:
        yield Problem(about=f"run {run}", what=str(error), to_do=RUN_AGAIN)
        return
    for name, record in result.files.items():
        path = store.attempt(run, result.attempt).folder / name
        yield from _damage(f"run {run}", RUN_AGAIN, _compare(path, record))


def _data(store: Store, fingerprint: str) -> Callable[[], Problems]:
    def check() -> Problems:
        about = f"data {fingerprint}"
        try:
            manifest = store.manifest(fingerprint)
        except CorruptFileError as error:
            yield Problem(about=about, what=str(error), to_do=PREPARE_AGAIN)
            return
        if not manifest.files:
            yield Problem(about=about, what="not verifiable: prepared by an older version", to_do=LATER, is_note=True)
        for name, record in manifest.files.items():
            yield from _damage(about, PREPARE_AGAIN, _compare(store.data_folder(fingerprint) / name, record))

    return check


def _weights(store: Store, digest: str) -> Callable[[], Problems]:
    def check() -> Problems:
        about, file = f"weights {digest}", store.weights_record(digest)
        if not exists(file):
            yield Problem(about=about, what="not verifiable: kept by an older version", to_do=LATER, is_note=True)
            return
        yield from _damage(about, FETCH_AGAIN, lambda: _compare(store.weights_file(digest), decode(file, FileRecord))())

    return check


def _logits(store: Store, logits: str) -> Callable[[], Problems]:
    def check() -> Problems:
        about, folder = f"logits {logits}", store.logits(logits)
        if _is_empty(folder.folder):
            return
        yield from _damage(about, "run its sweep again, which asks for them anew", folder.request)
        for source, epoch in folder.all_epochs():
            yield from _damage(about, WRITE_AGAIN, partial(folder.read_epoch, source, epoch))
        yield from _who_worked(about, folder.folder / "attempts")

    return check


def _is_empty(folder: Place) -> bool:
    """Whether there is nothing in a folder but unfinished work."""
    return all(path.name.startswith(".") for path in children(folder))


def _compare(file: Place, expected: FileRecord) -> Callable[[], object]:
    return lambda: check_file(file, expected, is_read=True)


def _read(reader: Callable[[Place], object], file: Place) -> Callable[[], object]:
    return lambda: reader(file)


def _damage(about: str, to_do: str, read: Callable[[], object]) -> Problems:
    """What a reader has to complain about."""
    try:
        read()
    except (CorruptFileError, OSError) as error:
        yield Problem(about=about, what=str(error), to_do=to_do)
