"""A driver's sign of life in its store: a record that a thread writes anew every few seconds."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from types import MappingProxyType

from trainers.attempt import now
from trainers.files import write
from trainers.leases import FAULTS, DriverRecord, Leases, Watch
from trainers.records import encode_record
from trainers.storage import Store
from trainers.whereabouts import begun_at, this_machine

BEAT_SECONDS = 10.0


@contextmanager
def driving(
    store: Store, epoch_seconds: Mapping[str, float] = MappingProxyType({}), *, every: float = BEAT_SECONDS
) -> Iterator[Leases]:
    """The leases of this process as a driver of a store, which beats `every` so many seconds until the context ends.

    Then its leases are given back and its record is removed; after a kill they are stale. The record says what is
    expected of epochs, by group ids.
    """
    record = replace(_record_of_this_process(), epoch_seconds=dict(epoch_seconds))
    leases = Leases(store, record.token, Watch())
    over = threading.Event()
    write_record(store, record)
    thread = threading.Thread(target=_beat, args=(store, record, over, every), name="heartbeat", daemon=True)
    thread.start()
    try:
        leases.remove_dead()
        yield leases
    finally:
        over.set()
        thread.join()
        leases.release_all()
        leases.remove_dead()
        with suppress(*FAULTS):  # without another beat it is stale
            store.remove_driver(record.token)


def write_record(store: Store, record: DriverRecord) -> None:
    """Replace a driver's record; nothing rests on it that a machine without power could lose."""
    write(store.driver_file(record.token), encode_record(asdict(record)), is_synced=False)


def _record_of_this_process() -> DriverRecord:
    return DriverRecord(
        token=uuid.uuid4().hex[:8],
        host=socket.gethostname(),
        pid=os.getpid(),
        started_at=now(),
        beats=0,
        machine=this_machine(),
        begun=begun_at(os.getpid()),
    )


def _beat(store: Store, record: DriverRecord, over: threading.Event, every: float) -> None:
    while not over.wait(every):
        record = replace(record, beats=record.beats + 1)
        with suppress(*FAULTS):  # a disk that is full or away for a while must not stop the beats for good
            write_record(store, record)
