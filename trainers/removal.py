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
from trainers.files import decode, decode_record, subfolders
from trainers.result import Result
from trainers.storage import Store

HIDDEN = (".preparing-", ".writing-", ".probe-", ".removing-")
"""Beginnings of the names of unfinished work."""


def files_below(path: Path) -> Iterator[Path]:
    """A file, or all files and links below a folder; links are not followed. What vanishes meanwhile is left out."""
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for folder, inner, names in os.walk(path):
        yield from (Path(folder, name) for name in names)
        yield from (Path(folder, name) for name in inner if Path(folder, name).is_symlink())


def size_bytes(path: Path) -> int:
    """Bytes of a file or of all files in a folder."""
    return sum(file.lstat().st_size for file in files_below(path) if os.path.lexists(file))


def changed_at(path: Path) -> float:
    """When a file, or anything in a folder, was last written, in seconds since 1970; 0 if it is not there."""
    times = [file.lstat().st_mtime for file in (path, *files_below(path)) if os.path.lexists(file)]
    return max(times, default=0.0)


def data_fingerprints(store: Store) -> tuple[str, ...]:
    """All prepared data sets."""
    return tuple(name for name in subfolders(store.root / "data") if name != "requests")


def weights_digests(store: Store) -> tuple[str, ...]:
    """All weights from outside."""
    return tuple(sorted(file.stem for file in (store.root / "weights").glob("[!.]*.safetensors")))


def leftovers(store: Store, gone: Collection[str] = ()) -> list[Path]:
    """What interrupted work left, what belonged to results that were set aside, and requests for data that is `gone`.

    Of whatever age, in the order in which they must be removed: a result that was set aside goes after its files.
    """
    hidden = [path for path in _entries(store) if path.name.startswith(HIDDEN)]
    set_aside = [path for run in store.run_ids() for path in _set_aside(store, run)]
    logs = sorted((store.root / "logs").glob("tune-*"))
    files = sorted((store.root / "data" / "requests").glob("[!.]*.json"))
    requests = [file for file in files if _is_idle(store, file, gone)]
    return [*hidden, *set_aside, *logs, *requests]


def _entries(store: Store) -> Iterator[Path]:
    """All files and folders of the store, what is inside hidden folders left out."""
    for folder, inner, names in os.walk(store.root):
        yield from (Path(folder, name) for name in sorted((*inner, *names)))
        inner[:] = [name for name in inner if not name.startswith(".")]


def _set_aside(store: Store, run: str) -> Iterator[Path]:
    """Results of a run that count no more, each after the large files of its attempt."""
    for file in sorted(store.run_folder(run).glob("set-aside-*.json")):
        try:
            folder = store.attempt(run, decode(file, Result).attempt).folder
            yield from (path for path in (folder / WEIGHTS, folder / PREDICTIONS) if path.exists())
        except CorruptFileError:
            pass
        yield file


def _is_idle(store: Store, request: Path, gone: Collection[str]) -> bool:
    """Whether a request leads to data that is not there any more, or will not be."""
    try:
        fingerprint = str(decode_record(request)["fingerprint"])
        return fingerprint in gone or not store.data_folder(fingerprint).exists()
    except (CorruptFileError, KeyError):
        return True


def remove(store: Store, path: Path) -> None:
    """Remove a file, folder or link of the store; StoreError if the way to it leads out of the store."""
    if not path.parent.resolve().is_relative_to(store.root.resolve()):
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
