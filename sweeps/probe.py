"""What every machine of a cluster must have before the first trial: our packages in one version, and the same store."""

from __future__ import annotations

import os
import platform
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from trainers.errors import CorruptFileError, ResourceError, StoreError, UnreachableError
from trainers.files import first_look, remove, write
from trainers.records import decode_record, encode_record
from trainers.remote import SCHEME
from trainers.storage import Store

PACKAGES = (
    *("torch", "torchvision", "ray", "numpy", "pandas", "pyarrow", "pillow", "scipy"),
    *("msgspec", "safetensors", "rich", "obstore"),
)
"""What pyproject.toml asks for, but for what draws the page, which no node does; a missing one ends a job halfway."""

ALIKE = ("torch", "torchvision")
"""Their versions change numbers, which must not depend on where a job was placed."""

HOW_TO_SHARE = "give --store s3://BUCKET/PREFIX, or a folder that every node mounts at the same path and may write to"
HOW_TO_REACH = "start Ray there with the AWS_ variables that this machine has, or give the node a role"
HOW_TO_INSTALL = "install the same there as elsewhere (setup_commands in cluster.yaml do)"


@dataclass(frozen=True, kw_only=True)
class Report:
    """One machine's answer; `versions` are "" for what is not installed, `store_problem` is in words."""

    node: str
    versions: Mapping[str, str]
    store_problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A file with a content that nobody can guess, left in a store by whom we can trust to see the right one."""

    root: str
    name: str
    content: str


@contextmanager
def marked(store: Store) -> Iterator[Mark]:
    """A store with a mark, while machines look for it."""
    mark = Mark(root=str(store.root), name=f".probe-{uuid.uuid4().hex}", content=uuid.uuid4().hex)
    write(store.root / mark.name, encode_record({"content": mark.content}))
    try:
        yield mark
    finally:
        remove(store.root / mark.name)


def look(address: str, mark: Mark) -> Report:
    """This machine's answer. Imports neither torch nor anything else that takes long."""
    versions = {"Python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}
    return Report(node=f"{address} ({socket.gethostname()})", versions=versions, store_problem=_store_problem(mark))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _store_problem(mark: Mark) -> str:
    """What keeps this machine from using the store; "" for nothing."""
    root = Store(mark.root).root
    try:
        first_look(root)
    except UnreachableError as error:
        return f"does not reach the store ({error})"
    try:
        found = decode_record(root / mark.name).get("content")
    except CorruptFileError as error:
        why = getattr(error.__cause__, "strerror", None) or error
        return f"has no store at {root}, or another one than this machine ({why})"
    if found != mark.content:
        return f"has another store at {root} than this machine"
    own = root / f"{mark.name}-{uuid.uuid4().hex}"
    try:
        write(own, encode_record({"host": socket.gethostname(), "pid": os.getpid()}))
        remove(own)
    except UnreachableError as error:
        return f"cannot write to the store ({error})"
    except OSError as error:
        return f"cannot write to the store {root} ({error.strerror or error})"
    return ""


def check(reports: Sequence[Report]) -> list[str]:
    """What differs without harm, one line each; StoreError or ResourceError for what would spoil a sweep."""
    for report in reports:
        if report.store_problem:
            to_do = HOW_TO_REACH if SCHEME in report.store_problem else HOW_TO_SHARE
            raise StoreError(f"node {report.node} {report.store_problem}; {to_do}")
        missing = [name for name, found in report.versions.items() if not found]
        if missing:
            raise ResourceError(f"node {report.node} lacks {', '.join(missing)}; {HOW_TO_INSTALL}")
    differing = {name: text for name in ("Python", *PACKAGES) if (text := _difference(name, reports))}
    for name in ALIKE:
        if name in differing:
            raise ResourceError(f"{differing[name]}: numbers would depend on the node; {HOW_TO_INSTALL}")
    return list(differing.values())


def _difference(package: str, reports: Sequence[Report]) -> str:
    """Two nodes that have a package in two versions; "" if none do."""
    first: dict[str, str] = {}
    for report in reports:
        first.setdefault(report.versions[package], report.node)
    if len(first) < 2:
        return ""
    (one, here), (other, there), *_ = first.items()
    return f"{package} is {one} on node {here} and {other} on node {there}"
