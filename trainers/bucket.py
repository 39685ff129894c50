"""Requests to an object store: one client per bucket, retries with back-off, and what fails in one line.

Endpoint, keys and region come from the environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_REGION, or whatever else the AWS tools read: profiles of an instance, web identities).
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from trainers.errors import UnreachableError
from trainers.remote import Listed, RemotePath

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a request may take, how often obstore tries it, and our pauses between such rounds, in seconds."""

    request_seconds: float
    num_retries: int
    retry_seconds: float
    pauses: tuple[float, ...]


WORKING = Patience(request_seconds=120, num_retries=8, retry_seconds=150, pauses=(1, 4, 15))
"""Some minutes: an outage shorter than that costs nothing but time. A request that changes something is not repeated by
obstore after a timeout, though all of ours may be: the rounds do that."""

FIRST_LOOK = Patience(request_seconds=5, num_retries=2, retry_seconds=6, pauses=())
"""Before anything has begun, a wrong address is likelier than an outage."""

CONNECT_SECONDS = 3
PART_BYTES = 16 * 2**20
"""Of a large object that a request fetches."""


def get(path: RemotePath) -> bytes:
    """An object; FileNotFoundError if there is none."""
    return _asked(path, lambda store: bytes(obstore.get(store, path.key).bytes()))


def get_parts(path: RemotePath, size_bytes: int) -> Iterator[bytes]:
    """An object of this size in pieces, so that it is never in memory as a whole."""
    for start in range(0, size_bytes, PART_BYTES):
        yield _asked(path, partial(_range, path, start, min(start + PART_BYTES, size_bytes)))


def _range(path: RemotePath, start: int, end: int, store: S3Store) -> bytes:
    return bytes(obstore.get_range(store, path.key, start=start, end=end))


def put(path: RemotePath, content: bytes | Path) -> None:
    """Write or replace an object, the content of a local file if it is a path: as one step, for whoever reads."""
    _asked(path, lambda store: obstore.put(store, path.key, content))


def create(path: RemotePath, content: bytes) -> bool:
    """Write an object that is not there yet (If-None-Match); False, and nothing changed, if it was.

    An answer may get lost after the object was written: what lies there already counts as ours if it is the same.
    """
    try:
        _asked(path, lambda store: obstore.put(store, path.key, content, mode="create", use_multipart=False))
    except FileExistsError:
        return get(path) == content
    return True


def copy(source: RemotePath, target: RemotePath) -> None:
    """Write an object again under another name."""
    _asked(source, lambda store: obstore.copy(store, source.key, target.key))


def delete(paths: Sequence[RemotePath]) -> None:
    """Remove objects one after the other, in their order; those that are not there are passed over."""
    for path in paths:
        _asked(path, partial(_deleted, path))


def _deleted(path: RemotePath, store: S3Store) -> None:
    try:
        obstore.delete(store, path.key)
    except FileNotFoundError:
        return


def entry(path: RemotePath) -> Listed | None:
    """What is known of an object without reading it; None if there is none."""
    try:
        return _entry(path, _asked(path, lambda store: obstore.head(store, path.key)))
    except FileNotFoundError:
        return None


def below(folder: RemotePath) -> list[Listed]:
    """All objects below a place, sorted by key."""
    found = _asked(folder, lambda store: obstore.list(store, folder.key or None).collect())
    root = RemotePath(folder.bucket)
    return sorted((_entry(root / meta["path"], meta) for meta in found), key=lambda one: one.path)


def between(folder: RemotePath, first: str, last: str) -> list[Listed]:
    """The objects in the folders right in a folder whose names lie between two, both included, sorted by key."""
    root, found = RemotePath(folder.bucket), list[Listed]()
    offset, end = f"{folder.key}/{first}", f"{folder.key}/{last}0"  # the character after the slash
    while True:
        batch = _asked(folder, partial(_batch, folder, offset))
        listed = [_entry(root / meta["path"], meta) for meta in batch]
        found += [one for one in listed if one.path.key < end]
        if not listed or listed[-1].path.key >= end:
            return sorted(found, key=lambda one: one.path)
        offset = listed[-1].path.key


def _batch(folder: RemotePath, offset: str, store: S3Store) -> Sequence[Any]:
    return next(iter(obstore.list(store, folder.key or None, offset=offset, chunk_size=1000)), [])


def has_any(folder: RemotePath) -> bool:
    """Whether any object lies below."""
    return _asked(folder, lambda store: bool(next(iter(obstore.list(store, folder.key or None, chunk_size=1)), [])))


def names(folder: RemotePath) -> tuple[list[str], list[str]]:
    """Of the folders and of the objects right in a folder, each sorted."""
    found = _asked(folder, lambda store: obstore.list_with_delimiter(store, folder.key or None))
    folders = [prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"]]
    return sorted(folders), sorted(meta["path"].rpartition("/")[2] for meta in found["objects"])


def check_writable(path: RemotePath) -> None:
    """Write and remove an object; UnreachableError within seconds if that cannot be done."""
    try:
        _asked(path, lambda store: obstore.put(store, path.key, b"", mode="create"), FIRST_LOOK)
    except FileNotFoundError as error:
        raise UnreachableError(f"{_where()} is no object store (it answers 404); look at AWS_ENDPOINT_URL") from error
    _asked(path, partial(_deleted, path), FIRST_LOOK)


def check_readable(folder: RemotePath) -> None:
    """List the beginning of a folder; UnreachableError within seconds if that cannot be done."""
    _asked(folder, lambda store: next(iter(obstore.list(store, folder.key or None, chunk_size=1)), None), FIRST_LOOK)


def _entry(path: RemotePath, meta: Any) -> Listed:
    tag = str(meta["e_tag"] or "")
    return Listed(path=path, size_bytes=meta["size"], modified_at=meta["last_modified"].timestamp(), tag=tag)


def _asked(path: RemotePath, request: Callable[[S3Store], T], patience: Patience | None = None) -> T:
    """The answer to a request, which may be made several times.

    FileNotFoundError, FileExistsError; all else is UnreachableError, which is no OSError: nobody may take a store that
    does not answer for a file that is missing or damaged.
    """
    chosen = patience or WORKING
    for pause in (*chosen.pauses, None):
        try:
            return request(_client(path.bucket, chosen, _environment()))
        except AlreadyExistsError as error:
            raise FileExistsError(errno.EEXIST, "there is one already", str(path)) from error
        except FileNotFoundError as error:
            if "NoSuchBucket" not in str(error):
                raise FileNotFoundError(errno.ENOENT, "there is no such object", str(path)) from error
            raise UnreachableError(_told(path, error)) from error
        except BaseError as error:
            if pause is None or _is_refusal(error):
                raise UnreachableError(_told(path, error)) from error
            time.sleep(pause)
    raise AssertionError("the last pause is None")


def _environment() -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


@lru_cache(maxsize=8)
def _client(bucket: str, patience: Patience, environment: tuple[tuple[str, str], ...]) -> S3Store:
    """obstore reads the environment itself; it is an argument so that another one gets another client."""
    is_plain = any(name.startswith("AWS_ENDPOINT") and value.startswith("http://") for name, value in environment)
    return S3Store.from_url(
        bucket,
        client_options={
            "allow_http": is_plain,
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=patience.request_seconds),
        },
        retry_config={
            "max_retries": patience.num_retries,
            "retry_timeout": timedelta(seconds=patience.retry_seconds),
            "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=15), "base": 2},
        },
    )


def _status(error: Exception) -> str:
    """Number and words of the answer, if there was one."""
    found = re.search(r"status code: (\d+[^:\n]*)", str(error))
    return found[1] if found else ""


def _is_denial(error: Exception) -> bool:
    return isinstance(error, PermissionDeniedError | UnauthenticatedError) or _status(error)[:3] in ("401", "403")


def _is_refusal(error: Exception) -> bool:
    """Whether the same request would be answered in the same way: it was understood, and the server is not too busy."""
    return _is_denial(error) or (_status(error)[:1] == "4" and _status(error)[:3] not in ("408", "409", "429"))


def _where() -> str:
    return os.environ.get("AWS_ENDPOINT_URL") or "AWS"


def _told(path: RemotePath, error: Exception) -> str:
    """One line: which bucket, where, and what it said."""
    text = str(error)
    where = _where()
    if "NoSuchBucket" in text:
        return f"no bucket {path.bucket} at {where}; create it, or choose another --store"
    if _is_denial(error):
        return f"{path.bucket} at {where} denies access to {path.key}; look at AWS_ACCESS_KEY_ID and what it may do"
    reason = _status(error) or text.partition("\n")[0].rpartition(" - ")[2]
    return f"{path.bucket} at {where} cannot be used ({reason.strip()}); look at AWS_ENDPOINT_URL, AWS_REGION and keys"
