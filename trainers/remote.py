"""Places of a store on an object store, by their URI: as much of what `pathlib.Path` gives as a store needs.

There are no folders there: one is there while something lies below it, and goes with the last of that.
"""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path, PurePosixPath
from types import ModuleType

from trainers.errors import StoreError

SCHEME = "s3://"
_ANY_SCHEME = re.compile(r"(?i)([a-z][a-z0-9+.-]*):/+")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_REMOVED_IN_ORDER = {"result.json": 0, "manifest.json": 0, "spec.json": 2}
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True, order=True)
class RemotePath:
    """A place in a bucket: `s3://bucket/prefix/name`, without a slash at its end."""

    uri: str

    def __str__(self) -> str:
        return self.uri

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self.uri}/{name}")

    @property
    def bucket(self) -> str:
        """`s3://bucket`."""
        return SCHEME + self.uri.removeprefix(SCHEME).partition("/")[0]

    @property
    def key(self) -> str:
        """What comes after the bucket; empty for the bucket itself."""
        return self.uri.removeprefix(SCHEME).partition("/")[2]

    @property
    def name(self) -> str:
        return PurePosixPath(self.key).name

    @property
    def stem(self) -> str:
        return PurePosixPath(self.key).stem

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.key).suffix

    @property
    def parent(self) -> RemotePath:
        """The folder that it lies in; of a bucket, itself."""
        return RemotePath(self.uri.rpartition("/")[0]) if self.key else self

    def with_name(self, name: str) -> RemotePath:
        return self.parent / name

    def relative_to(self, other: RemotePath) -> PurePosixPath:
        """The way from a folder to a place in it."""
        return PurePosixPath(self.key).relative_to(other.key)

    # Each of these asks the bucket, whose client is not loaded for a local store

    def exists(self) -> bool:
        """Whether an object lies right here."""
        return self.found() is not None

    def is_dir(self) -> bool:
        """Whether any object lies below."""
        return bool(_bucket().has_any(self))

    def size(self) -> int:
        """Bytes of the object; FileNotFoundError if there is none."""
        found = self.found()
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such object", str(self))
        return found.size_bytes

    def found(self) -> Listed | None:
        """What is known of the object without reading it; None if there is none."""
        one: Listed | None = _bucket().entry(self)
        return one

    def listed(self, after: str = "", until: str = "") -> list[Listed]:
        """All objects below, sorted; none if nothing is there, or an object right here.

        Given two names, only what lies in folders of names from the one to the other.
        """
        every: list[Listed] = _bucket().between(self, after, until) if after else _bucket().below(self)
        return every

    def look(self) -> None:
        """UnreachableError, within seconds, if nothing can be read in here."""
        _bucket().check_readable(self)

    def digest(self) -> str:
        """SHA-256 of the object, which is fetched in pieces."""
        sha256 = hashlib.sha256()
        for part in self.parts():
            sha256.update(part)
        return sha256.hexdigest()

    def parts(self) -> Iterator[bytes]:
        """The content in pieces; FileNotFoundError if there is none."""
        yield from _bucket().get_parts(self, self.size())

    def probe(self, name: str) -> None:
        """Write and remove an object in here; UnreachableError, within seconds, if that cannot be done."""
        _bucket().check_writable(self / name)

    def read_bytes(self) -> bytes:
        """All of it; FileNotFoundError if there is none."""
        return bytes(_bucket().get(self))

    def read_text(self, errors: str = "strict") -> str:
        """The same, as UTF-8."""
        return self.read_bytes().decode(errors=errors)

    def write_bytes(self, content: bytes | Path) -> None:
        """Write or replace it as one step, by what a local file holds if that is given."""
        _bucket().put(self, content)

    def create(self, content: bytes) -> bool:
        """Write it if it is not there; False, and nothing changed, if another content was."""
        return bool(_bucket().create(self, content))

    def copy_to(self, target: RemotePath) -> None:
        """Have it a second time."""
        _bucket().copy(self, target)

    def unlink(self, missing_ok: bool = True) -> None:
        """Remove it; of one that is not there an object store says nothing."""
        _bucket().delete([self])

    def remove_all(self) -> None:
        """Remove all objects below: what says that others are complete first, what says what they are last."""
        every = sorted(self.listed(), key=lambda found: _REMOVED_IN_ORDER.get(found.path.name, 1))
        _bucket().delete([found.path for found in every])

    def subfolders(self) -> list[str]:
        """Names of the folders right in here, sorted."""
        return list(_bucket().names(self)[0])

    def iterdir(self) -> list[RemotePath]:
        """Folders and objects right in here."""
        folders, objects = _bucket().names(self)
        return [self / name for name in (*folders, *objects)]

    def glob(self, pattern: str) -> list[RemotePath]:
        """The objects below whose way from here has the parts of a pattern; `*` stops at a slash, there is no `**`."""
        fixed = _fixed_parts(pattern)
        every = (self / fixed if fixed else self).listed()
        return [path for path in (found.path for found in every) if _matches(path.relative_to(self), pattern)]


def _fixed_parts(pattern: str) -> str:
    """The folders that a pattern names before its first wild card."""
    return "/".join(takewhile(lambda part: not _WILD.search(part), pattern.split("/")[:-1]))


def _matches(way: PurePosixPath, pattern: str) -> bool:
    wanted = pattern.split("/")
    return len(way.parts) == len(wanted) and all(map(fnmatchcase, way.parts, wanted))


def _bucket() -> ModuleType:
    from trainers import bucket

    return bucket


@dataclass(frozen=True, kw_only=True)
class Listed:
    """An object that a listing found; `tag` changes with its content."""

    path: RemotePath
    size_bytes: int
    modified_at: float
    tag: str


Place = Path | RemotePath
"""A file or folder of a store, wherever that is."""


def place_of(root: str | Path | RemotePath) -> Place:
    """Where a user wants the store: a folder, absolute, or a place in a bucket; StoreError for what is neither."""
    if isinstance(root, RemotePath):
        return root
    text = str(root)
    scheme = _ANY_SCHEME.match(text)
    if scheme is None:
        return Path(root).expanduser().absolute()
    if scheme[1].lower() != "s3":
        raise StoreError(f"store {text!r}: {scheme[1]} is not known; allowed: a folder, or s3://BUCKET/PREFIX")
    bucket, *parts = text[scheme.end() :].rstrip("/").split("/")
    if not _BUCKET.fullmatch(bucket) or any(not _is_name(part) for part in parts):
        raise StoreError(f"store {text!r} is no place in a bucket; give s3://BUCKET/PREFIX")
    return RemotePath("/".join([SCHEME + bucket, *parts]))


def _is_name(part: str) -> bool:
    """Whether a part of a prefix means itself, to us and to whoever lists the bucket."""
    return part not in ("", ".", "..") and part.isprintable() and not set(part) & set('\\?#%*[]{}^"<>|`~')
