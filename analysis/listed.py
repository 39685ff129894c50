"""Whether runs on an object store are still those that were read: by what a listing says of their objects.

A listing names a thousand objects in one answer, with their sizes and tags, which change with their content; no time
is compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from trainers.remote import RemotePath, place_of
from trainers.spec import digest_of


def signatures(root: str, runs: Sequence[str]) -> dict[str, bytes]:
    """Of each run that has objects: changes with any of them, and with a new one. Lists from the first to the last."""
    folder = place_of(root) / "runs"
    assert isinstance(folder, RemotePath), root
    found: dict[str, list[list[object]]] = defaultdict(list)
    for one in folder.listed(after=min(runs, default=""), until=max(runs, default="")):
        way = one.path.relative_to(folder)
        found[way.parts[0]].append([str(way), one.size_bytes, one.tag])
    return {run: digest_of(found[run]).encode() for run in runs if run in found}
