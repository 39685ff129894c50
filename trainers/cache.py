"""What a process must have as local files of a store that is none: copies by content, one per machine.

    $PETITE_CACHE or ~/.cache/petite/files/<SHA-256>/       weights and logits
                                     data/<fingerprint>/    prepared data, and preparations under way
                                     plugins/<digest>/      users' plug-ins
                                     logs/<digest>/         Ray's messages, by the store

A copy is compared with its checksums before it gets its name, under a lock: processes that want the same wait for one
of them to fetch it. All of it may be deleted while nothing runs.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from trainers.errors import CorruptFileError
from trainers.files import check_file, fetch
from trainers.locks import locked
from trainers.remote import Place, RemotePath
from trainers.result import FileRecord


def cache_folder() -> Path:
    """Where copies lie on this machine."""
    return Path(os.environ.get("PETITE_CACHE") or "~/.cache/petite").expanduser().absolute()


def local_file(file: Place, expected: FileRecord) -> Path:
    """A file whose whole content was compared: itself, or a copy of an object; CorruptFileError if it is another."""
    if isinstance(file, Path):
        check_file(file, expected, is_read=True)
        return file
    copy = cache_folder() / "files" / expected.sha256 / f"content{file.suffix}"
    with locked(copy.parent):
        try:
            check_file(copy, expected, is_read=True)
        except CorruptFileError:
            _fetched(file, copy, expected)
    return copy


def local_data(folder: Place, fingerprint: str, files: Callable[[], Mapping[str, FileRecord]]) -> Path:
    """A folder of prepared data: itself, or its copy, complete if it is there; `files` is asked for when one is made.

    CorruptFileError if the store's differ from their checksums.
    """
    if isinstance(folder, Path):
        return folder
    copy = cache_folder() / "data" / fingerprint
    if not copy.is_dir():
        with locked(cache_folder() / "data" / f".copying-{fingerprint}"):
            if not copy.is_dir():
                _copy_folder(folder, copy, files())
    return copy


def check_data(folder: Place, fingerprint: str, files: Mapping[str, FileRecord]) -> None:
    """CorruptFileError if files of prepared data, read whole, are not what was written; a damaged copy is made anew."""
    local = local_data(folder, fingerprint, lambda: files)
    try:
        _check_files(local, files)
    except CorruptFileError:
        if isinstance(folder, Path):
            raise
        shutil.rmtree(local)
        local_data(folder, fingerprint, lambda: files)


def _check_files(folder: Path, files: Mapping[str, FileRecord]) -> None:
    for name, expected in files.items():
        check_file(folder / name, expected, is_read=True)


def _copy_folder(folder: RemotePath, copy: Path, files: Mapping[str, FileRecord]) -> None:
    aside = copy.with_name(f".writing-{uuid.uuid4().hex}")
    aside.mkdir()
    try:
        for name, expected in files.items():
            fetch(folder / name, aside / name)
            _check_copy(folder / name, aside / name, expected)
        fetch(folder / "manifest.json", aside / "manifest.json")
        os.replace(aside, copy)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _fetched(file: RemotePath, copy: Path, expected: FileRecord) -> None:
    aside = copy.with_name(f".writing-{uuid.uuid4().hex}")
    try:
        fetch(file, aside)
        _check_copy(file, aside, expected)
        os.replace(aside, copy)
    finally:
        aside.unlink(missing_ok=True)


def _check_copy(file: RemotePath, copy: Path, expected: FileRecord) -> None:
    try:
        check_file(copy, expected, is_read=True)
    except CorruptFileError as error:
        raise CorruptFileError(str(error).replace(str(copy), str(file))) from error
