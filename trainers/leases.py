"""Leases: which driver of a store is at which job, so that several drivers rarely do the same work twice.

    <store>/drivers/<token>.json    a driver; its beats count up while it lives
    <store>/leases/<task>.json      created once, by the driver that is at the job; removed when the job has ended

Leases only save work. That no result is lost or mixed comes from attempts that write into folders of their own, and
from `result.json`, which is created once. So a lease that is lost, or taken by two, costs time and nothing else.
No clock of one machine is compared with that of another: a driver counts as alive while its beats move.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from trainers.errors import CorruptFileError, UnreachableError
from trainers.files import create
from trainers.records import decode, decode_record, encode_record
from trainers.storage import Store
from trainers.whereabouts import is_gone

STALE_SECONDS = 60.0
"""A driver that was watched for so long without a beat is taken to be gone: six beats."""

FAULTS = (OSError, UnreachableError)
"""Of the store: they stop no job and no beat, since leases only save work."""

MAX_TAKEOVERS = 3
"""Of one lease at once; whoever is beaten to it so often does the job without one."""


@dataclass(frozen=True, kw_only=True)
class DriverRecord:
    """A driver as it says of itself. `machine` and `begun` tell its process apart where the system can.

    `epoch_seconds` is how long it expects an epoch of some jobs to take, by their group ids: for whoever watches.
    """

    token: str
    host: str
    pid: int
    started_at: str
    beats: int
    machine: str = ""
    begun: str = ""
    epoch_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where a person finds it."""
        return f"{self.host} (process {self.pid})"


class Watch:
    """Which drivers live, by their beats and the clock of this process alone (`clock`, seconds that never go back).

    A driver that is seen for the first time counts as alive until it was watched for `patience` seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, patience: float = STALE_SECONDS) -> None:
        self._clock, self._patience = clock, patience
        self._last: dict[str, tuple[int, float]] = {}

    def lives(self, token: str, beats: int | None) -> bool:
        """Told the beats of a driver just now (None: it has no record), whether it is alive."""
        if beats is None:
            self._last.pop(token, None)
            return False
        now = self._clock()
        if token not in self._last or self._last[token][0] != beats:
            self._last[token] = beats, now
        return now - self._last[token][1] < self._patience


class Leasing(Protocol):
    """What a scheduler asks of leases."""

    def take(self, task: str) -> bool:
        """Whether a job is ours to start: nobody else who lives is at it."""

    def release(self, task: str) -> None:
        """A job of ours has ended."""

    def holders(self, tasks: Collection[str]) -> dict[str, DriverRecord]:
        """Who is at which of these jobs, but for ourselves; only drivers that live."""


class Alone:
    """For whoever shares a store with nobody: every job is free."""

    def take(self, task: str) -> bool:
        """Always."""
        return True

    def release(self, task: str) -> None:
        """Nothing to do."""

    def holders(self, tasks: Collection[str]) -> dict[str, DriverRecord]:
        """Nobody."""
        return {}


class Leases:
    """The leases of one driver, `token`, and what it sees of those of others."""

    def __init__(self, store: Store, token: str, watch: Watch) -> None:
        self.token, self._store, self._watch = token, store, watch
        self._held: set[str] = set()

    def take(self, task: str) -> bool:
        """Whether a job is ours to start; False while another driver that lives is at it."""
        for _ in range(MAX_TAKEOVERS):
            try:
                if self._created(task) or self._holder(task) == self.token:
                    break
                if self.holders([task]):
                    return False
                self._store.remove_lease(task)
            except FAULTS:  # a store that cannot be written is told of by the job itself
                break
        self._held.add(task)
        return True

    def release(self, task: str) -> None:
        """A job of ours has ended; what another driver has taken over meanwhile stays its own."""
        self._held.discard(task)
        with suppress(*FAULTS):  # it is stale as soon as this driver has ended
            if self._holder(task) == self.token:
                self._store.remove_lease(task)

    def release_all(self) -> None:
        """Nothing of ours runs any more."""
        for task in sorted(self._held):
            self.release(task)

    def holders(self, tasks: Collection[str]) -> dict[str, DriverRecord]:
        """Who is at which of these jobs, but for ourselves; only drivers that live."""
        taken = set(self._store.lease_ids()).intersection(tasks)
        tokens = {task: self._holder(task) for task in sorted(taken)}
        alive = {driver.token: driver for driver in self._living(set(tokens.values()) - {self.token, None})}
        return {task: alive[token] for task, token in tokens.items() if token in alive}

    def remove_dead(self) -> None:
        """Take away the records of drivers that ended without doing so; what they held is free."""
        tokens = set(self._store.driver_tokens()) - {self.token}
        for token in tokens - {driver.token for driver in self._living(tokens)}:
            with suppress(*FAULTS):
                self._store.remove_driver(token)

    def _created(self, task: str) -> bool:
        content = encode_record({"driver": self.token})
        return create(self._store.lease_file(task), content, is_synced=False)

    def _holder(self, task: str) -> str | None:
        """The token in a lease; None if there is none, or it says nothing."""
        try:
            return str(decode_record(self._store.lease_file(task)).get("driver"))
        except CorruptFileError:
            return None

    def _living(self, tokens: Collection[str | None]) -> Iterator[DriverRecord]:
        present = set(self._store.driver_tokens())
        for token in sorted(filter(None, tokens)):
            record = self._record(token) if token in present else None
            is_seen = self._watch.lives(token, None if record is None else record.beats)
            if record is not None and is_seen and not is_gone(record.machine, record.pid, record.begun):
                yield record

    def _record(self, token: str) -> DriverRecord:
        """What a driver says; a stand-in where that cannot be read, since it may well be alive."""
        try:
            return replace(decode(self._store.driver_file(token), DriverRecord), token=token)
        except CorruptFileError:
            return DriverRecord(token=token, host="an unknown host", pid=0, started_at="", beats=-1)
