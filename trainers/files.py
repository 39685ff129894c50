"""Single files of the store: atomic writes, and checks of what is read.

All that a store does to its files goes through here, and works on a folder and on an object store alike.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from trainers.errors import CorruptFileError, StoreError
from trainers.remote import Place, RemotePath
from trainers.result import FileRecord
from trainers.space import disk_full, is_full

NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


def file_digest(file: Place) -> str:
    """SHA-256 of a file's content."""
    if isinstance(file, RemotePath):
        return file.digest()
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_record(file: Path) -> FileRecord:
    """Size and checksum of a file as it lies there."""
    return FileRecord(size_bytes=file.stat().st_size, sha256=file_digest(file))


def check_file(file: Place, expected: FileRecord, *, is_read: bool) -> None:
    """CorruptFileError if a file is missing, has another size or, where it `is_read`, another content."""
    _check_size(file, expected)
    if is_read and file_digest(file) != expected.sha256:
        raise CorruptFileError(f"{file} does not match its checksum")


def checked_content(file: Place, expected: FileRecord) -> bytes:
    """The content of a file, compared with its size and checksum; CorruptFileError if it is not what was written."""
    _check_size(file, expected)
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != expected.sha256:
        raise CorruptFileError(f"{file} does not match its checksum")
    return content


def _check_size(file: Place, expected: FileRecord) -> None:
    try:
        size = size_of(file)
    except (FileNotFoundError, NotADirectoryError):
        raise CorruptFileError(f"{file} is missing") from None
    if size != expected.size_bytes:
        raise CorruptFileError(f"{file} has {size} bytes, not {expected.size_bytes}")


def read(file: Place) -> bytes:
    """All of a file; OSError if it cannot be read."""
    if isinstance(file, RemotePath):
        return file.read_bytes()
    with open(file, "rb", buffering=0) as stream:
        return stream.read()


def exists(file: Place) -> bool:
    """Whether there is such a file."""
    return file.exists() if isinstance(file, RemotePath) else os.path.exists(file)


def is_folder(folder: Place) -> bool:
    """Whether there is such a folder."""
    return folder.is_dir() if isinstance(folder, RemotePath) else os.path.isdir(folder)


def identity_of(file: Place) -> tuple[int | str, ...]:
    """Changes whenever the file is written; FileNotFoundError if there is none."""
    if isinstance(file, RemotePath):
        found = file.found()
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such object", str(file))
        return found.size_bytes, found.tag
    status = os.stat(file)
    return status.st_size, status.st_mtime_ns, status.st_ino


def readable(file: Place) -> Path | io.BytesIO:
    """What readers of Parquet take: the file, or the content of an object; OSError if there is none."""
    return file if isinstance(file, Path) else io.BytesIO(file.read_bytes())


def size_of(file: Place) -> int:
    """Bytes of a file; FileNotFoundError if there is none."""
    return file.size() if isinstance(file, RemotePath) else os.stat(file).st_size


def write(file: Place, content: bytes, *, is_synced: bool = True) -> None:
    """Replace a file as one step: written aside, synchronised, renamed.

    `is_synced` False leaves it to the system when the content is on the disk: a process that dies loses nothing, a
    machine that loses its power may. An object store has but one way: what it has taken is there.
    """
    if isinstance(file, RemotePath):
        file.write_bytes(content)
        return
    aside = _write_aside(file, content)
    try:
        with _naming(file):
            if is_synced:
                _sync(aside)
            os.replace(aside, file)
    finally:
        aside.unlink(missing_ok=True)


def create(file: Place, content: bytes, after: Iterable[Place] = (), *, is_synced: bool = True) -> bool:
    """Create a complete file or, if there is one, change nothing and return False; `is_synced` as in `write`.

    The files that it speaks of (`after`) are on the disk before it is there. All are synchronised at once: a
    journalling file system commits them together, and four take a fifth of the time of one after the other.
    """
    if isinstance(file, RemotePath):
        return file.create(content)
    aside = _write_aside(file, content)
    try:
        with _naming(file):
            if is_synced:
                _sync_all((aside, *(one for one in after if isinstance(one, Path))))
            _link(aside, file)
    except FileExistsError:
        return False
    finally:
        aside.unlink(missing_ok=True)
    return True


def probe_writing(root: Place) -> None:
    """Make a folder, and a file in it that goes again; OSError or UnreachableError if that cannot be done."""
    name = f".probe-{uuid.uuid4().hex}"
    if isinstance(root, RemotePath):
        root.probe(name)
        return
    root.mkdir(parents=True, exist_ok=True)
    create(root / name, b"")
    (root / name).unlink()


def fetch(file: RemotePath, target: Path) -> None:
    """Copy an object to a local file, on the disk when this ends; CorruptFileError if there is none."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _naming(target), target.open("wb") as stream:
            stream.writelines(file.parts())
            stream.flush()
            os.fsync(stream.fileno())
    except FileNotFoundError:
        raise CorruptFileError(f"{file} is missing") from None


def append(file: Path, text: str) -> None:
    """Add to the end of a file."""
    with _naming(file), file.open("a") as stream:
        stream.write(text)


def rename(file: Place, name: str) -> None:
    """Give a file another name in its folder: as one step, or, on an object store, the new one before the old goes."""
    if isinstance(file, RemotePath):
        file.copy_to(file.with_name(name))
        file.unlink()
    else:
        os.replace(file, file.with_name(name))


def remove(file: Place) -> None:
    """Remove a file; nothing happens if there is none."""
    file.unlink(missing_ok=True)


def remove_tree(folder: Place) -> None:
    """Remove a folder and all in it, as far as that can be done."""
    if isinstance(folder, RemotePath):
        folder.remove_all()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def remove_at_once(folder: Place) -> None:
    """Remove a folder so that a reader sees all or none; what says that it is complete goes first in a bucket."""
    if isinstance(folder, RemotePath):
        folder.remove_all()
        return
    aside = folder.with_name(f".removing-{uuid.uuid4().hex}")
    os.replace(folder, aside)
    shutil.rmtree(aside)


def make_folder(folder: Place) -> None:
    """A new folder, which an object store has no need of; FileExistsError if there is one."""
    if isinstance(folder, Path):
        with _naming(folder):
            folder.mkdir(parents=True)


def first_look(folder: Place) -> None:
    """UnreachableError, within seconds, for an object store that does not answer."""
    if isinstance(folder, RemotePath):
        folder.look()


def matching(folder: Place, pattern: str) -> list[Place]:
    """The files in a folder whose way from there looks like a pattern, sorted."""
    return list(sorted(folder.glob(pattern)) if isinstance(folder, Path) else folder.glob(pattern))


def children(folder: Place) -> list[Place]:
    """All that lies right in a folder."""
    return list(folder.iterdir())


def entry_is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is one, or a link to one; a link that leads to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def subfolders(folder: Place) -> list[str]:
    """Names of the folders in a folder, sorted, but for hidden ones (unfinished work); [] if it is not there."""
    if isinstance(folder, RemotePath):
        return [name for name in folder.subfolders() if not name.startswith(".")]
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".") and entry_is_folder(entry)]
            return sorted(names)
    except (FileNotFoundError, NotADirectoryError):
        return []


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


def _link(aside: Path, file: Path) -> None:
    """FileExistsError if the file is there already; StoreError where no file can have two names."""
    try:
        os.link(aside, file)
    except OSError as error:
        if error.errno in NO_LINKS:
            raise StoreError(
                f"the file system of {file.parent} has no hard links (FAT and exFAT have none), by which a result is "
                "created once and whole"
            ) from error
        raise


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
    """DiskFullError that says what was being written when the disk was full."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise disk_full(file) from error
        raise
