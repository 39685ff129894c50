"""Who is at a job: the decision by its definition, and what drivers do with it on a store."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers import heartbeat
from trainers.heartbeat import driving, write_record
from trainers.leases import STALE_SECONDS, DriverRecord, Leases, Watch
from trainers.records import decode
from trainers.storage import Store
from trainers.whereabouts import begun_at, is_gone, this_machine


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def elsewhere(token: str, beats: int = 0) -> DriverRecord:
    """A driver on a host of which only its beats are known."""
    return DriverRecord(token=token, host="far", pid=7, started_at="", beats=beats)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ours(store: Store, clock: Clock) -> Leases:
    return Leases(store, "ours", Watch(clock))


@pytest.fixture
def theirs(store: Store, clock: Clock) -> Leases:
    write_record(store, elsewhere("theirs"))
    return Leases(store, "theirs", Watch(clock))


LOOKS = st.lists(st.tuples(st.floats(0, 50), st.none() | st.integers(0, 2)), max_size=20)


@given(LOOKS)
def test_a_driver_lives_unless_it_has_no_record_or_all_looks_of_a_whole_period_saw_the_same_beat(looks: Any) -> None:
    clock = Clock()
    watch, history = Watch(clock, patience=60.0), list[tuple[float, int | None]]()
    for seconds, beats in looks:
        clock.seconds += seconds
        history.append((clock.seconds, beats))
        same = next((n for n, (_, before) in enumerate(reversed(history)) if before != beats), len(history))
        is_stale = beats is None or clock.seconds - history[-same][0] >= 60.0
        assert watch.lives("d", beats) == (not is_stale)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 1)), max_size=10))
def test_drivers_are_watched_each_by_itself(looks: Any) -> None:
    clock = Clock()
    both, alone = Watch(clock), {"a": Watch(clock), "b": Watch(clock)}
    for token, beats in looks:
        clock.seconds += 25
        assert both.lives(token, beats) == alone[token].lives(token, beats)


def test_a_job_is_free_then_ours_and_of_nobody_once_it_has_ended(store: Store, ours: Leases) -> None:
    assert ours.take("job")
    assert store.lease_ids() == ("job",)
    assert ours.take("job"), "ours stays ours"
    assert ours.holders(["job"]) == {}, "we are nobody else"
    ours.release("job")
    assert store.lease_ids() == ()


def test_a_job_of_a_driver_that_beats_is_not_taken(store: Store, ours: Leases, theirs: Leases, clock: Clock) -> None:
    assert theirs.take("job")
    for beats in range(1, 10):
        assert not ours.take("job")
        assert ours.holders(["job", "other"])["job"].place == "far (process 7)"
        clock.seconds += STALE_SECONDS - 1
        write_record(store, elsewhere("theirs", beats))
    assert not ours.take("job")


def test_a_job_is_taken_over_once_its_driver_was_watched_for_a_whole_period_without_a_beat(
    store: Store, ours: Leases, theirs: Leases, clock: Clock
) -> None:
    theirs.take("job")
    clock.seconds += 10 * STALE_SECONDS
    assert not ours.take("job"), "never seen before, so it may be alive"
    clock.seconds += STALE_SECONDS
    assert ours.take("job")
    theirs.release("job")
    assert store.lease_ids() == ("job",), "the old owner leaves alone what was taken over"


def test_a_lease_without_a_driver_or_that_cannot_be_read_is_taken_over(store: Store, ours: Leases) -> None:
    Leases(store, "nobody", Watch()).take("job")
    assert ours.take("job")
    store.lease_file("torn").write_bytes(b"{")
    assert ours.take("torn")


def test_a_driver_whose_record_cannot_be_read_counts_as_alive_for_a_period(
    store: Store, ours: Leases, theirs: Leases, clock: Clock
) -> None:
    theirs.take("job")
    store.driver_file("theirs").write_bytes(b"")
    assert not ours.take("job")
    clock.seconds += STALE_SECONDS
    assert ours.take("job")


def test_of_drivers_that_ask_for_one_job_at_once_one_gets_it(store: Store) -> None:
    tokens = [f"d{number}" for number in range(5)]
    for token in tokens:
        write_record(store, elsewhere(token))
    assert [Leases(store, token, Watch()).take("job") for token in tokens].count(True) == 1


def test_a_store_that_cannot_be_written_stops_no_job(store: Store, ours: Leases, monkeypatch: Any) -> None:
    def full(*args: Any, **more: Any) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trainers.leases.create", full)
    assert ours.take("job")
    ours.release("job")


def test_a_driver_gives_everything_back_when_it_ends(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), driving(store) as leases:
        assert store.driver_tokens() == (leases.token,)
        leases.take("one"), leases.take("two")
        leases.release("one")
        assert store.lease_ids() == ("two",)
        raise KeyboardInterrupt
    assert (store.driver_tokens(), store.lease_ids()) == ((), ())


def test_beats_go_on_after_a_write_that_failed(
    store: Store, monkeypatch: pytest.MonkeyPatch, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    beats, write = list[int](), heartbeat.write_record

    def sometimes_full(to: Store, record: DriverRecord) -> None:
        beats.append(record.beats)
        if record.beats in (1, 2):
            raise OSError(28, "No space left on device")
        write(to, record)

    monkeypatch.setattr(heartbeat, "write_record", sometimes_full)
    with driving(store, every=0.001):
        wait_until(lambda: len(beats) > 5)
    assert beats == list(range(len(beats)))


def test_a_driver_says_what_it_expects_with_every_beat(
    store: Store, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    with driving(store, {"group": 2.5}, every=0.001) as leases:

        def record() -> DriverRecord:
            return decode(store.driver_file(leases.token), DriverRecord)

        wait_until(lambda: record().beats > 2)
        assert record().epoch_seconds == {"group": 2.5}


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    def wait(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.002)

    return wait


def test_a_process_of_this_machine_that_is_gone_need_not_be_waited_for(store: Store, ours: Leases) -> None:
    if not this_machine():
        pytest.skip("this system does not tell its machine")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        begun = begun_at(child.pid)
        record = replace(elsewhere("theirs"), pid=child.pid, machine=this_machine(), begun=begun)
        write_record(store, record)
        Leases(store, "theirs", Watch()).take("job")
        assert not ours.take("job")
        child.kill()
        while begun_at(child.pid):
            time.sleep(0.002)
        assert ours.take("job"), "as soon as it is dead, though its parent has not buried it"
    ours.remove_dead()
    assert store.driver_tokens() == ()


def test_only_a_process_of_this_very_machine_is_known_to_be_gone() -> None:
    here, now = this_machine(), begun_at(os.getpid())
    assert not is_gone("another boot", os.getpid(), "5")
    assert not is_gone("", os.getpid(), "5")
    assert not is_gone(here, os.getpid(), now)
    assert is_gone(here, os.getpid(), now + "1") == bool(here), "its number was given to another process"
