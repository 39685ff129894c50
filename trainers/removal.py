"""How parts of a store are measured and removed, so that it reads correctly at every moment.

A folder is renamed to a hidden name first and deleted then: a crash in between leaves a leftover
that nobody reads and the next pruning sweeps up. Links are removed, never followed.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path

from trainers.attempt import PREDICTIONS, WEIGHTS
from trainers.errors import CorruptFileError, StoreError
from trainers.files import exists, is_folder, matching, subfolders
from trainers.leases import Leases, Watch
from trainers.records import decode, decode_record
from trainers.remote import Listed, Place, RemotePath
from trainers.result import Result
from trainers.storage import Store

HIDDEN = (".preparing-", ".writing-", ".probe-", ".removing-")
"""Beginnings of the names of unfinished work."""


def files_below(path: Place) -> Iterator[Place]:
    """A file, or all files and links below a folder; links are not followed. What vanishes meanwhile is left out."""
    if isinstance(path, RemotePath):
        yield from (found.path for found in _listed(path))
    else:
        yield from _files_below(path)


def _files_below(path: Path) -> Iterator[Path]:
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for folder, inner, names in os.walk(path):
        yield from (Path(folder, name) for name in names)
        yield from (Path(folder, name) for name in inner if Path(folder, name).is_symlink())


def _listed(path: RemotePath) -> list[Listed]:
    """An object, or all objects below a place."""
    return path.listed() or [found for found in (path.found(),) if found is not None]


def size_bytes(path: Place) -> int:
    """Bytes of a file or of all files in a folder."""
    if isinstance(path, RemotePath):
        return sum(found.size_bytes for found in _listed(path))
    return sum(file.lstat().st_size for file in _files_below(path) if os.path.lexists(file))


def changed_at(path: Place) -> float:
    """When a file, or anything in a folder, was last written, in seconds since 1970; 0 if it is not there."""
    if isinstance(path, RemotePath):
        return max((found.modified_at for found in _listed(path)), default=0.0)
    times = [file.lstat().st_mtime for file in (path, *_files_below(path)) if os.path.lexists(file)]
    return max(times, default=0.0)


def real_place(path: Place) -> Place:
    """Where links lead."""
    return path.resolve() if isinstance(path, Path) else path


def way_in(store: Store, path: Place) -> str:
    """The way from the store to a place in it."""
    return str(path).removeprefix(f"{store.root}/")


def data_fingerprints(store: Store) -> tuple[str, ...]:
    """All prepared data sets."""
    return tuple(name for name in subfolders(store.root / "data") if name != "requests")


def weights_digests(store: Store) -> tuple[str, ...]:
    """All weights from outside."""
    return tuple(file.stem for file in matching(store.root / "weights", "[!.]*.safetensors"))


def leftovers(store: Store, gone: Collection[str] = ()) -> list[Place]:
    """What interrupted work left, what belonged to results that were set aside, and requests for data that is `gone`.

    Of whatever age, in the order in which they must be removed: a result that was set aside goes after its files.
    """
    hidden = [path for path in _entries(store) if path.name.startswith(HIDDEN)]
    set_aside = [path for run in store.run_ids() for path in _set_aside(store, run)]
    logs = matching(store.root / "logs", "tune-*")
    files = matching(store.root / "data" / "requests", "[!.]*.json")
    requests = [file for file in files if _is_idle(store, file, gone)]
    return [*hidden, *set_aside, *logs, *requests, *_of_drivers(store)]


def _of_drivers(store: Store) -> Iterator[Place]:
    """Records of drivers, which rewrite them every few seconds while they live, and leases that nobody holds."""
    yield from map(store.driver_file, store.driver_tokens())
    leases = store.lease_ids()
    held = Leases(store, "", Watch()).holders(leases)
    yield from (store.lease_file(task) for task in leases if task not in held)


def _entries(store: Store) -> Iterator[Place]:
    """All files and folders of the store, what is inside hidden folders left out."""
    if isinstance(store.root, RemotePath):  # where nothing is written aside or hidden but our probes
        yield from store.root.iterdir()
        return
    for folder, inner, names in os.walk(store.root):
        yield from (Path(folder, name) for name in sorted((*inner, *names)))
        inner[:] = [name for name in inner if not name.startswith(".")]


def _set_aside(store: Store, run: str) -> Iterator[Place]:
    """Results of a run that count no more, each after the large files of its attempt.

    On an object store a result that was being set aside when the process died still counts, and keeps its files.
    """
    for file in matching(store.run_folder(run), "set-aside-*.json"):
        try:
            attempt = decode(file, Result).attempt
            folder = store.attempt(run, attempt).folder
            if attempt != _attempt_of_result(store, run):
                yield from (path for path in (folder / WEIGHTS, folder / PREDICTIONS) if exists(path))
        except CorruptFileError:
            pass
        yield file


def _attempt_of_result(store: Store, run: str) -> str | None:
    file = store.run_folder(run) / "result.json"
    return decode(file, Result).attempt if exists(file) else None


def _is_idle(store: Store, request: Place, gone: Collection[str]) -> bool:
    """Whether a request leads to data that is not there any more, or will not be."""
    try:
        fingerprint = str(decode_record(request)["fingerprint"])
        return fingerprint in gone or not is_folder(store.data_folder(fingerprint))
    except (CorruptFileError, KeyError):
        return True


def remove(store: Store, path: Place) -> None:
    """Remove a file, folder or link of the store; StoreError if the way to it leads out of the store."""
    if isinstance(path, RemotePath):
        path.remove_all()
        path.unlink()
        return
    if not path.parent.resolve().is_relative_to(Path(str(store.root)).resolve()):
        raise StoreError(f"{path} lies outside the store (a link leads there); remove it by hand")
    aside = path if path.name.startswith(HIDDEN) else path.with_name(f".removing-{uuid.uuid4().hex}")
    try:
        if aside != path:
            os.replace(path, aside)
        if aside.is_dir() and not aside.is_symlink():
            shutil.rmtree(aside)
        else:
            aside.unlink()
    except FileNotFoundError:  # another pruning was faster
        return
