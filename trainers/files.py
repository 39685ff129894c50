"""Single files of the store: records with a checksum, atomic writes, and checks of what is read."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from trainers.errors import CorruptFileError, SpecError, StoreError
from trainers.result import FileRecord
from trainers.spec import canonical_json, from_dict

T = TypeVar("T")


@dataclass(frozen=True)
class _Record(Generic[T]):
    """A record as it lies in its file."""

    sha256: str
    content: T


def file_digest(file: Path) -> str:
    """SHA-256 of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_record(file: Path) -> FileRecord:
    """Size and checksum of a file as it lies there."""
    return FileRecord(size_bytes=file.stat().st_size, sha256=file_digest(file))


def check_file(file: Path, expected: FileRecord, *, is_read: bool) -> None:
    """CorruptFileError if a file is missing, has another size or, where it `is_read`, another content."""
    _check_size(file, expected)
    if is_read and file_digest(file) != expected.sha256:
        raise CorruptFileError(f"{file} does not match its checksum")


def checked_content(file: Path, expected: FileRecord) -> bytes:
    """The content of a file, compared with its size and checksum; CorruptFileError if it is not what was written."""
    _check_size(file, expected)
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != expected.sha256:
        raise CorruptFileError(f"{file} does not match its checksum")
    return content


def _check_size(file: Path, expected: FileRecord) -> None:
    try:
        size = os.stat(file).st_size
    except (FileNotFoundError, NotADirectoryError):
        raise CorruptFileError(f"{file} is missing") from None
    if size != expected.size_bytes:
        raise CorruptFileError(f"{file} has {size} bytes, not {expected.size_bytes}")


def encode_record(content: dict[str, Any]) -> bytes:
    checksum = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    return json.dumps({"sha256": checksum, "content": content}, indent=1, allow_nan=False).encode() + b"\n"


def decode_record(file: Path) -> dict[str, Any]:
    """The content of a record; CorruptFileError if it cannot be read or its checksum does not hold."""
    return _content(file, _read(file))


def decode(file: Path, kind: type[T]) -> T:
    """A typed record; CorruptFileError if it cannot be read, its checksum does not hold, or it is no such thing."""
    text = _read(file)
    value = _decoded_at_once(text, kind)
    if value is not None:
        return value
    try:
        return from_dict(kind, _content(file, text))
    except SpecError as error:
        raise CorruptFileError(f"{file} is damaged: {error}") from error


def _read(file: Path) -> bytes:
    try:
        with open(file, "rb", buffering=0) as stream:
            return stream.read()
    except OSError as error:
        raise CorruptFileError(f"{file} cannot be read: {error}") from error


def _content(file: Path, text: bytes) -> dict[str, Any]:
    try:
        record = json.loads(text)
        content: dict[str, Any] = record["content"]
        is_intact = hashlib.sha256(canonical_json(content).encode()).hexdigest() == record["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptFileError(f"{file} cannot be read: {error}") from error
    if not is_intact or not isinstance(content, dict):
        raise CorruptFileError(f"{file} does not match its checksum")
    return content


def _decoded_at_once(text: bytes, kind: type[T]) -> T | None:
    """The value of an intact record, several times sooner than by plain data; None if that takes a closer look.

    Written back in canonical order it must have the record's checksum, so that it is neither damaged nor altered by its
    types. Canonical JSON writes some numbers and characters in another way: those records are looked at closer.
    """
    try:
        record: _Record[T] = _decoder(kind).decode(text)  # type: ignore[arg-type]
        canonical = _ENCODER.encode(record.content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return record.content if hashlib.sha256(canonical).hexdigest() == record.sha256 else None


_ENCODER = msgspec.json.Encoder(order="sorted")


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_Record[kind])


def write(file: Path, content: bytes, *, is_synced: bool = True) -> None:
    """Replace a file as one step: written aside, synchronised, renamed.

    `is_synced` False leaves it to the system when the content is on the disk: a process that dies loses nothing, a
    machine that loses its power may.
    """
    aside = _write_aside(file, content)
    try:
        with _naming(file):
            if is_synced:
                _sync(aside)
            os.replace(aside, file)
    finally:
        aside.unlink(missing_ok=True)


def create(file: Path, content: bytes, after: Iterable[Path] = ()) -> bool:
    """Create a complete file or, if there is one, change nothing and return False.

    The files that it speaks of (`after`) are on the disk before it is there. All are synchronised at once: a
    journalling file system commits them together, and four take a fifth of the time of one after the other.
    """
    aside = _write_aside(file, content)
    try:
        with _naming(file):
            _sync_all((aside, *after))
        os.link(aside, file)
    except FileExistsError:
        return False
    finally:
        aside.unlink(missing_ok=True)
    return True


def _write_aside(file: Path, content: bytes) -> Path:
    """Write beside the file, not synchronised yet."""
    aside = file.parent / f".writing-{uuid.uuid4().hex}"
    try:
        with _naming(file):
            try:
                aside.write_bytes(content)
            except FileNotFoundError:
                file.parent.mkdir(parents=True, exist_ok=True)
                aside.write_bytes(content)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    return aside


def _sync_all(files: tuple[Path, ...]) -> None:
    if len(files) == 1:
        _sync(files[0])
        return
    with ThreadPoolExecutor(len(files)) as pool:
        list(pool.map(_sync, files))


def _sync(file: Path) -> None:
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """StoreError that says what was being written when the disk was full."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StoreError(f"disk full while writing {file}; free some space and run again") from error
        raise


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, but for hidden ones (unfinished work); [] if it is not there."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
