"""Who is at work in a store, as far as its records tell: for a person to read, nothing rests on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from analysis.records import Records
from analysis.words import age_text, format_seconds
from trainers.errors import CorruptFileError
from trainers.leases import STALE_SECONDS, DriverRecord
from trainers.records import decode_record
from trainers.removal import changed_at
from trainers.storage import Store
from trainers.whereabouts import is_gone


@dataclass(frozen=True, kw_only=True)
class Driver:
    """One driver; `silent_seconds` since its last sign of life, by this machine's clock."""

    record: DriverRecord
    silent_seconds: float
    is_alive: bool

    @property
    def words(self) -> str:
        """`driver on box (process 7), last sign of life 0:04 ago`."""
        if is_gone(self.record.machine, self.record.pid, self.record.begun):
            return f"driver on {self.record.place} is gone: it was killed"
        if self.is_alive:
            return f"driver on {self.record.place}, last sign of life {format_seconds(self.silent_seconds)} ago"
        return f"driver on {self.record.place}: no sign of life for {age_text(self.silent_seconds)}"


class Drivers:
    """All drivers, and the jobs that they say to be at, as of the last look."""

    def __init__(self, store: Store, records: Records, now: Callable[[], float]) -> None:
        self._store, self._records, self._now = store, records, now
        self._beats = dict[str, tuple[int, float | None]]()
        self._holders = dict[str, str]()
        self.by_token: dict[str, Driver] = {}

    def look(self) -> None:
        """Read what has changed."""
        self.by_token = {}
        for token in self._store.driver_tokens():
            record = self._records.read(self._store.driver_file(token), DriverRecord)
            if record is not None:
                self.by_token[token] = self._driver(replace(record, token=token))
        leases = set(self._store.lease_ids())
        self._holders = {task: holder for task, holder in self._holders.items() if task in leases}
        for task in leases:
            if self._holders.get(task) not in self.by_token:  # new, or taken over
                self._holders[task] = self._holder(task)

    def _driver(self, record: DriverRecord) -> Driver:
        """Alive if its record is new, or was seen to change while it was watched: clocks may differ."""
        beats, moved_at = self._beats.get(record.token, (record.beats, None))
        if beats != record.beats:
            moved_at = time.monotonic()
        self._beats[record.token] = record.beats, moved_at
        silent = max(0.0, self._now() - changed_at(self._store.driver_file(record.token)))
        if moved_at is not None:
            silent = time.monotonic() - moved_at
        is_alive = silent < STALE_SECONDS and not is_gone(record.machine, record.pid, record.begun)
        return Driver(record=record, silent_seconds=silent, is_alive=is_alive)

    def _holder(self, task: str) -> str:
        try:
            return str(decode_record(self._store.lease_file(task)).get("driver"))
        except CorruptFileError:
            return ""

    def at(self, task: str, attempt_driver: str = "") -> Driver | None:
        """The living driver that is at a job: by its lease, or the one that began its newest attempt."""
        for token in (self._holders.get(task, ""), attempt_driver):
            driver = self.by_token.get(token)
            if driver is not None and driver.is_alive:
                return driver
        return None

    @property
    def expected(self) -> dict[str, float]:
        """Seconds of an epoch by group id, as drivers that are here, or were, expect them."""
        drivers = self.by_token.values()
        return {group: seconds for driver in drivers for group, seconds in driver.record.epoch_seconds.items()}

    @property
    def silent_seconds(self) -> float:
        """Since the last sign of life of any driver, where none is alive."""
        return 0.0 if self.alive else min((driver.silent_seconds for driver in self.by_token.values()), default=0.0)

    @property
    def alive(self) -> list[Driver]:
        """Those that live."""
        return [driver for driver in self.by_token.values() if driver.is_alive]
