"""A place in a bucket as one listing saw it: what lies where is known without asking, and what was read is kept.

Many looks at a store that hardly changes take a listing each (a request per thousand objects), and one request for
every object that is read and has changed. Nothing can be written through it.
"""

from __future__ import annotations

import io
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from trainers.remote import Listed, RemotePath

READ_ONLY = "a snapshot of a bucket cannot be written to"


class Snapshot:
    """What a listing found below a place; empty before the first `look`."""

    def __init__(self, root: RemotePath) -> None:
        self._source = RemotePath(root.uri)
        self._found, self._uris = dict[str, Listed](), list[str]()
        self._names = dict[str, set[str]]()
        self._contents: dict[str, tuple[str, bytes]] = {}

    @property
    def root(self) -> SeenPath:
        """The place itself."""
        return SeenPath(self._source.uri, self)

    def look(self) -> None:
        """List it anew; contents of objects that changed or went are forgotten."""
        self._found = {one.path.uri: one for one in self._source.listed()}
        self._uris, self._names = sorted(self._found), {}
        for uri in self._uris:
            self._name(uri)
        kept = ((uri, known) for uri, known in self._contents.items() if uri in self._found)
        self._contents = {uri: known for uri, known in kept if known[0] == self._found[uri].tag}

    def _name(self, uri: str) -> None:
        """Enter an object, and the folders that it lies in, among the names of theirs."""
        while len(uri) > len(self._source.uri):
            folder, _, name = uri.rpartition("/")
            names = self._names.setdefault(folder, set())
            if name in names:
                return
            names.add(name)
            uri = folder

    def found(self, uri: str) -> Listed | None:
        """What the listing said of an object."""
        return self._found.get(uri)

    def names(self, folder: str) -> list[str]:
        """Of all that lies right in a folder, sorted."""
        return sorted(self._names.get(folder, ()))

    def below(self, folder: str) -> list[Listed]:
        """All objects below a folder, sorted."""
        start, end = bisect_left(self._uris, f"{folder}/"), bisect_left(self._uris, f"{folder}0")
        return [self._found[uri] for uri in self._uris[start:end]]

    def content(self, uri: str) -> bytes:
        """Of an object as it is now; FileNotFoundError if there is none."""
        known, found = self._contents.get(uri), self._found.get(uri)
        if known is None:
            content = RemotePath(uri).read_bytes()
            known = self._contents[uri] = found.tag if found else "", content
        return known[1]


@dataclass(frozen=True, order=True)
class SeenPath(RemotePath):
    """A place in a snapshot."""

    snapshot: Snapshot = field(compare=False, repr=False)

    def __truediv__(self, name: str) -> SeenPath:
        return SeenPath(f"{self.uri}/{name}", self.snapshot)

    @property
    def parent(self) -> SeenPath:
        return SeenPath(super().parent.uri, self.snapshot)

    def with_name(self, name: str) -> SeenPath:
        return self.parent / name

    def is_dir(self) -> bool:
        return bool(self.snapshot.names(self.uri))

    def found(self) -> Listed | None:
        return self.snapshot.found(self.uri)

    def listed(self, after: str = "", until: str = "") -> list[Listed]:
        inside = ((one, one.path.uri[len(self.uri) + 1 :].partition("/")[0]) for one in self.snapshot.below(self.uri))
        return [one for one, name in inside if not after or after <= name <= until]

    def read_bytes(self) -> bytes:
        return self.snapshot.content(self.uri)

    def subfolders(self) -> list[str]:
        return [name for name in self.snapshot.names(self.uri) if (self / name).is_dir()]

    def iterdir(self) -> list[RemotePath]:
        return [self / name for name in self.snapshot.names(self.uri)]

    def parts(self) -> Iterator[bytes]:
        yield self.read_bytes()

    def write_bytes(self, content: bytes | Path) -> NoReturn:
        raise io.UnsupportedOperation(READ_ONLY)

    def create(self, content: bytes) -> NoReturn:
        raise io.UnsupportedOperation(READ_ONLY)

    def copy_to(self, target: RemotePath) -> NoReturn:
        raise io.UnsupportedOperation(READ_ONLY)

    def unlink(self, missing_ok: bool = True) -> NoReturn:
        raise io.UnsupportedOperation(READ_ONLY)

    def remove_all(self) -> NoReturn:
        raise io.UnsupportedOperation(READ_ONLY)

    def probe(self, name: str) -> NoReturn:
        raise io.UnsupportedOperation(READ_ONLY)
