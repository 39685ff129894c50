"""Drivers that share a store in a bucket."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from trainers.heartbeat import driving, write_record
from trainers.leases import STALE_SECONDS, DriverRecord, Leases, Watch
from trainers.storage import Store


def test_of_drivers_that_ask_a_bucket_for_one_job_at_once_one_gets_it_and_keeps_it_while_it_beats(bucket: str) -> None:
    store, seconds = Store(bucket).open(), [0.0]
    drivers = [DriverRecord(token=f"d{number}", host="far", pid=1, started_at="", beats=0) for number in range(4)]
    for driver in drivers:
        write_record(store, driver)
    leases = [Leases(store, driver.token, Watch(lambda: seconds[0])) for driver in drivers]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda one: one.take("job"), leases))
    assert got.count(True) == 1
    owner = got.index(True)
    other = leases[owner - 1]
    assert other.holders(["job"])["job"].token == drivers[owner].token
    seconds[0] += STALE_SECONDS
    write_record(store, replace(drivers[owner], beats=1))
    assert not other.take("job")
    seconds[0] += STALE_SECONDS
    assert other.take("job")


def test_a_driver_leaves_nothing_in_the_bucket(bucket: str) -> None:
    store = Store(bucket).open()
    with driving(store) as leases:
        assert leases.take("one") and leases.take("two")
        leases.release("one")
        assert (store.driver_tokens(), store.lease_ids()) == ((leases.token,), ("two",))
    assert (store.driver_tokens(), store.lease_ids()) == ((), ())
