"""What a store keeps of things from outside, by their content: weights, and a user's plug-ins."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from pathlib import Path

import msgspec

from trainers.cache import cache_folder, local_file
from trainers.errors import CorruptFileError, PluginError
from trainers.files import check_file, exists, fetch, remove_tree, subfolders, write
from trainers.locks import locked
from trainers.plugin_folder import PluginFolder, read_folder
from trainers.records import decode, encode_record
from trainers.remote import Place, RemotePath
from trainers.result import FileRecord


class KeptWeights:
    """The folder `weights` of a store: a file per digest of its source, and beside it its own size and checksum."""

    def __init__(self, home: Place) -> None:
        self._home = home

    def file(self, digest: str) -> Place:
        """Where they are."""
        return self._home / f"{digest}.safetensors"

    def record(self, digest: str) -> Place:
        """Size and checksum of the file."""
        return self._home / f"{digest}.json"

    def local_file(self, digest: str) -> Path | None:
        """Where they can be read by whoever reads files alone; None if they are not kept yet.

        Compared with their record, which those that an older version kept do not have; CorruptFileError if they differ.
        """
        file, record = self.file(digest), self.record(digest)
        if not exists(file):
            return None
        if not exists(record):
            return file if isinstance(file, Path) else None
        expected = decode(record, FileRecord)
        if isinstance(file, RemotePath):
            return local_file(file, expected)
        check_file(file, expected, is_read=True)
        return file

    def write(self, digest: str, content: bytes) -> None:
        """Keep them; the record comes first, so that a kill in between leaves none without it."""
        record = FileRecord(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        write(self.record(digest), encode_record(msgspec.to_builtins(record)))
        write(self.file(digest), content)


class KeptPlugins:
    """The folder `plugins` of a store: a copy of each user's folder, by its digest."""

    def __init__(self, home: Place) -> None:
        self._home = home

    def folder(self, digest: str) -> PluginFolder:
        """A copy, where Python can import it; CorruptFileError if it is not what its name says."""
        home = self._home / digest
        path = _copied(home, digest) if isinstance(home, RemotePath) else home
        try:
            folder = read_folder(path)
        except PluginError as error:
            raise CorruptFileError(f"{home} is damaged ({error}); run again with --plugins") from error
        if folder.digest != digest:
            raise CorruptFileError(f"{home} was altered (it has {folder.digest}); run again with --plugins")
        return folder

    def digests(self) -> tuple[str, ...]:
        """All copies, sorted."""
        return tuple(subfolders(self._home))

    def write(self, folder: PluginFolder) -> PluginFolder:
        """Copy a user's plug-ins to where every worker finds them; gives the copy."""
        try:
            return self.folder(folder.digest)
        except CorruptFileError:  # most likely it is not there yet: nothing is removed that another command may write
            self._publish(folder)
        try:
            return self.folder(folder.digest)
        except CorruptFileError:  # something else lay there
            remove_tree(self._home / folder.digest)
            self._publish(folder)
        return self.folder(folder.digest)

    def _publish(self, folder: PluginFolder) -> None:
        if isinstance(self._home, RemotePath):
            for name, content in folder.files.items():
                write(self._home / folder.digest / name, content)
        else:
            _write_at_once(self._home, folder)


def _write_at_once(home: Path, folder: PluginFolder) -> None:
    aside = home / f".writing-{uuid.uuid4().hex}"
    for name, content in folder.files.items():
        write(aside / name, content)
    try:
        os.replace(aside, home / folder.digest)
    except OSError:  # another command was faster with the same
        shutil.rmtree(aside)


def _copied(home: RemotePath, digest: str) -> Path:
    """The copy in this machine's cache, made anew unless it is what its name says."""
    copy = cache_folder() / "plugins" / digest
    with locked(copy.parent / f".copying-{digest}"):
        if not _is_intact(copy, digest):
            shutil.rmtree(copy, ignore_errors=True)
            aside = copy.with_name(f".writing-{uuid.uuid4().hex}")
            aside.mkdir()
            for file in home.glob("*/*.py"):
                fetch(file, aside / file.relative_to(home))
            os.replace(aside, copy)
    return copy


def _is_intact(copy: Path, digest: str) -> bool:
    try:
        return read_folder(copy).digest == digest
    except PluginError:
        return False
