"""Records of the store: JSON with a checksum, read as typed values or not at all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from trainers.errors import CorruptFileError, SpecError
from trainers.files import read
from trainers.remote import Place
from trainers.spec import canonical_json, from_dict

T = TypeVar("T")


@dataclass(frozen=True)
class _Record(Generic[T]):
    """A record as it lies in its file."""

    sha256: str
    content: T


def encode_record(content: dict[str, Any]) -> bytes:
    checksum = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    return json.dumps({"sha256": checksum, "content": content}, indent=1, allow_nan=False).encode() + b"\n"


def decode_record(file: Place) -> dict[str, Any]:
    """The content of a record; CorruptFileError if it cannot be read or its checksum does not hold."""
    return _content(file, _read(file))


def decode(file: Place, kind: type[T]) -> T:
    """A typed record; CorruptFileError if it cannot be read, its checksum does not hold, or it is no such thing."""
    text = _read(file)
    value = _decoded_at_once(text, kind)
    if value is not None:
        return value
    try:
        return from_dict(kind, _content(file, text))
    except SpecError as error:
        raise CorruptFileError(f"{file} is damaged: {error}") from error


def _read(file: Place) -> bytes:
    try:
        return read(file)
    except OSError as error:
        raise CorruptFileError(f"{file} cannot be read: {error}") from error


def _content(file: Place, text: bytes) -> dict[str, Any]:
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
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
        return None
    return record.content if hashlib.sha256(canonical).hexdigest() == record.sha256 else None


_ENCODER = msgspec.json.Encoder(order="sorted")


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_Record[kind])
