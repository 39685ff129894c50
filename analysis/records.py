"""Records of a store that are looked at again and again: each is decoded once while its file stays as it is."""

from __future__ import annotations

from typing import TypeVar

from trainers.errors import CorruptFileError
from trainers.files import identity_of
from trainers.records import decode
from trainers.remote import Place

T = TypeVar("T")


class Records:
    """What was read so far."""

    def __init__(self) -> None:
        self._known = dict[Place, tuple[object, object]]()

    def read(self, file: Place, kind: type[T]) -> T | None:
        """A record; None if there is none, or none that can be trusted."""
        try:
            identity = identity_of(file)
        except OSError:
            self._known.pop(file, None)
            return None
        known = self._known.get(file)
        if known is None or known[0] != identity:
            known = self._known[file] = identity, _decoded(file, kind)
        value = known[1]
        assert value is None or isinstance(value, kind)
        return value


def _decoded(file: Place, kind: type[T]) -> T | None:
    try:
        return decode(file, kind)
    except CorruptFileError:
        return None
