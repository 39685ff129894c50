"""Prepared data in a store: how it is found, made by one process of a machine at a time, and published."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import msgspec

from trainers.cache import cache_folder, check_data, local_data
from trainers.errors import CorruptFileError, DamagedDataError, DataError, SpecError
from trainers.files import create, exists, file_record, remove_at_once, write
from trainers.locks import is_held, locked
from trainers.records import decode, decode_record, encode_record
from trainers.remote import Place, RemotePath
from trainers.result import Manifest
from trainers.texts import check_part

ABANDONED_SECONDS = 24 * 3600
MANIFEST = "manifest.json"


class DataStore:
    """The folder `data` of a store. Preparations are made in it, or for an object store in the machine's cache."""

    def __init__(self, home: Place) -> None:
        self._home = home

    def folder(self, fingerprint: str) -> Place:
        """Where a prepared data set lies."""
        return self._home / fingerprint

    def local_folder(self, fingerprint: str) -> Path:
        """Where its files can be mapped into memory; CorruptFileError if the copy that this takes cannot be made."""
        return local_data(self.folder(fingerprint), fingerprint, lambda: self.manifest(fingerprint).files)

    def manifest(self, fingerprint: str) -> Manifest:
        """Its description; it is written last, so its presence means complete."""
        return decode(self.folder(fingerprint) / MANIFEST, Manifest)

    def of_request(self, request: str) -> Manifest | None:
        """What a request led to before, if it is complete; its origin is the request's own."""
        index = self._request_file(request)
        if not exists(index):
            return None
        try:
            record = decode_record(index)
            fingerprint = str(record["fingerprint"])
            check_part("fingerprint", fingerprint)
            manifest = self.manifest(fingerprint)
        except (CorruptFileError, SpecError, KeyError):
            return None
        return replace(manifest, origin=str(record.get("origin", manifest.origin)))

    @property
    def _workshop(self) -> Path:
        return cache_folder() / "data" if isinstance(self._home, RemotePath) else self._home

    @contextmanager
    def preparation(self, request: str) -> Iterator[Path]:
        """The folder of an unfinished preparation, for one process at a time; what is in it is from an earlier try.

        It goes when the preparation ends, be it with data that cannot be used; after a kill it stays, for the next try.
        """
        folder = self._workshop / f".preparing-{request}"
        self._remove_abandoned(but=folder)
        with locked(folder):
            try:
                yield folder
            except DataError:
                _leave(folder)
                raise
            _leave(folder)

    def _remove_abandoned(self, but: Path) -> None:
        """What killed preparations left, of which nobody has taken one up again for a day.

        A clock that jumps ahead only has them prepared again: what somebody is at is locked.
        """
        for folder in self._workshop.glob(".preparing-*"):
            with suppress(FileNotFoundError):  # another command has just ended its own
                age_seconds = time.time() - folder.stat().st_mtime
                if folder != but and age_seconds > ABANDONED_SECONDS and not is_held(folder):
                    shutil.rmtree(folder, ignore_errors=True)

    def publish(self, folder: Path, manifest: Manifest, request: str) -> Manifest:
        """Give a prepared folder its place, its files' checksums noted; an equal one that is there already is kept."""
        manifest = replace(manifest, files={file.name: file_record(file) for file in sorted(folder.iterdir())})
        write(folder / MANIFEST, encode_record(msgspec.to_builtins(manifest)))
        target = self._workshop / manifest.fingerprint
        try:
            os.replace(folder, target)
        except OSError:  # something lies there already: the same pictures, or what is left of them
            if _is_manifest(target / MANIFEST):
                shutil.rmtree(folder)
            else:
                shutil.rmtree(target)
                os.replace(folder, target)
        home = self.folder(manifest.fingerprint)
        if isinstance(home, RemotePath):
            _upload(target, home, manifest)
        record = {"fingerprint": manifest.fingerprint, "origin": manifest.origin}
        write(self._request_file(request), encode_record(record))
        return replace(self.manifest(manifest.fingerprint), origin=manifest.origin)

    def set_damaged_aside(self, fingerprint: str) -> None:
        """DamagedDataError if a data set's files, read whole, are not what was written; it is removed then.

        A run would train on altered pixels without noticing. What an older version prepared has no checksums.
        """
        try:
            check_data(self.folder(fingerprint), fingerprint, self.manifest(fingerprint).files)
        except CorruptFileError as error:
            remove_at_once(self.folder(fingerprint))
            raise DamagedDataError(str(error)) from error

    def _request_file(self, request: str) -> Place:
        return self._home / "requests" / f"{request}.json"


def _leave(folder: Path) -> None:
    """Remove a preparation's folder; whoever comes at this moment may put a lock into it, and then it is theirs."""
    shutil.rmtree(folder, ignore_errors=True)


def _upload(folder: Path, home: RemotePath, manifest: Manifest) -> None:
    """Its files, then the manifest, unless it is there: then so is all the rest, with the same content."""
    if _is_manifest(home / MANIFEST):
        return
    for name in manifest.files:
        (home / name).write_bytes(folder / name)
    content = (folder / MANIFEST).read_bytes()
    if not create(home / MANIFEST, content) and not _is_manifest(home / MANIFEST):
        write(home / MANIFEST, content)


def _is_manifest(file: Place) -> bool:
    try:
        return bool(decode(file, Manifest))
    except CorruptFileError:
        return False
