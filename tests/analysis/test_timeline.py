"""When attempts ran: slots, critical path and use of hosts, against brute force and small cases by hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.page.gantt import gantt
from analysis.page.logits_spans import logits_work
from analysis.page.timeline import INTERRUPTED, RUNNING, Span, critical_path, in_slots, spans, utilisation
from analysis.tables import RUNS_SCHEMA, table_rows
from trainers.records import encode_record
from trainers.result import Started
from trainers.teacher_logits import LogitsRequest, logits_id, logits_read_by


def span(run: str, start: float, end: float, host: str = "a") -> Span:
    return Span(run_id=run, host=host, start=start, end=end, state="ok")


times = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.integers(0, 10)), max_size=30)


@given(times)
def test_slots_are_as_many_as_ran_at_once_and_no_two_attempts_share_one(drawn: list[tuple[str, int, int]]) -> None:
    found = in_slots(
        span(str(number), start, start + length, host) for number, (host, start, length) in enumerate(drawn)
    )
    assert len(found) == len(drawn)
    for one, other in itertools.combinations(found, 2):
        is_apart = one.end <= other.start or other.end <= one.start
        assert is_apart or (one.host, one.slot) != (other.host, other.slot)
    for host in "ab":
        own = [one for one in found if one.host == host]
        at_once = [sum(one.start <= moment < one.end for one in own) for moment in range(45)]
        assert max((one.slot for one in own if one.end > one.start), default=0) <= max(1, max(at_once))


graphs = st.lists(st.tuples(st.integers(1, 9), st.sets(st.integers(0, 7))), min_size=1, max_size=8)


@given(graphs)
def test_the_critical_path_is_the_chain_with_most_work(drawn: list[tuple[int, set[int]]]) -> None:
    work = {str(number): length for number, (length, _) in enumerate(drawn)}
    parents = {str(number): [str(one) for one in above if one < number] for number, (_, above) in enumerate(drawn)}

    def longest(run: str) -> int:
        return work[run] + max(map(longest, parents[run]), default=0)

    path = critical_path([span(run, 0, length) for run, length in work.items()], parents)
    assert sum(work[run] for run in path) == max(map(longest, work))
    assert all(before in parents[after] for before, after in itertools.pairwise(path))
    assert not parents[path[0]]


def test_parents_that_never_ran_are_no_part_of_the_critical_path() -> None:
    assert critical_path([span("kid", 0, 5)], {"kid": ("done before",)}) == ["kid"]
    assert critical_path([], {}) == []


def test_the_use_of_a_host_is_its_share_of_all_its_slots_until_the_last_end() -> None:
    found = in_slots([span("a", 0, 10), span("b", 0, 5), span("c", 0, 5, "other")])
    rows = {row["host"]: (row["num_slots"], row["busy_seconds"], row["share"]) for row in utilisation(found)}
    assert rows == {"a": (2, 15, 0.75), "other": (1, 5, 0.5)}
    assert utilisation([]) == []


def runs_of(lab: Any) -> list[dict[str, Any]]:
    from analysis.rank import ranked

    rows: list[dict[str, Any]] = table_rows(ranked(lab.store, all_runs=True).runs, RUNS_SCHEMA.names)
    return rows


def test_every_attempt_is_told_with_its_end_as_far_as_it_is_known(lab: Any, make_spec: Callable[..., Any]) -> None:
    retried, running, failed = make_spec(seed=1), make_spec(seed=2), make_spec(seed=3)
    first = lab.begin(retried, num_epochs=1)
    first.write_started(Started(host="old", pid=1, started_at="2025-12-31T23:59:00.000+00:00", resumed_from_epoch=0))
    lab.finish(retried)
    lab.begin(running, num_epochs=1)
    lab.fail(failed)
    lab.finish(make_spec(seed=0))
    start, now = 1767225600.0, 1767225700.0  # 2026-01-01 in UTC
    found = {(one.run_id, one.state): (one.host, one.start, one.end) for one in spans(lab.store, runs_of(lab), now)}
    seeds = {run["run_id"]: run["seed"] for run in runs_of(lab)}
    assert {(seeds[run], state): value for (run, state), value in found.items()} == {
        (0, "ok"): ("box", start, start + 90),
        (1, INTERRUPTED): ("old", start - 60, start - 56),  # one epoch of 4 s
        (1, "ok"): ("box", start, start + 90),
        (2, RUNNING): ("box", start, now),
        (3, "failed"): ("box", start, start + 9),
    }


def test_logits_fill_slots_and_stand_between_a_teacher_and_its_readers(lab: Any, make_spec: Callable[..., Any]) -> None:
    teacher = make_spec(model="resnet18")
    student = make_spec(teacher=teacher)
    at = [f"2026-01-01T00:0{minute}:00.000+00:00" for minute in range(5)]
    lab.finish(teacher, started_at=at[0], finished_at=at[1])
    lab.finish(student, started_at=at[3], finished_at=at[4])
    plan = lab.plan(("teacher_good", teacher), ("student_kd", student))
    (read,) = logits_read_by(student)
    folder = lab.store.logits(logits_id(read))
    folder.write_request(LogitsRequest(spec=read, num_epochs=2))
    attempt = folder.begin_attempt()
    attempt.write_started(Started(host="box", pid=1, started_at=at[1], resumed_from_epoch=0))
    (running,) = logits_work(lab.store, runs_of(lab), 1767225700.0).spans
    assert (running.state, running.end) == (RUNNING, 1767225700.0)
    (attempt.folder / "done.json").write_bytes(encode_record({"finished_at": at[3]}))
    template, rows = gantt(lab.store, runs_of(lab), [plan], None)
    drawn = [(row["name"], row["role"], row["start"], row["minutes"], row["is_critical"]) for row in rows]
    assert drawn == [
        ("teacher_good@0", "teacher", 0.0, 1.0, True),
        ("logits(teacher_good)@0", "logits", 1.0, 2.0, True),
        ("student_kd@0", "student", 3.0, 1.0, True),
    ]
    assert template is not None and [step["is_run"] for step in template["path"]] == [True, False, True]


@pytest.mark.parametrize(("num_epochs", "resumed_from", "seconds"), [(0, 0, 0.0), (3, 0, 12.0), (3, 2, 4.0)])
def test_an_attempt_that_did_not_say_when_it_stopped_lasts_as_long_as_its_epochs(
    lab: Any, make_spec: Callable[..., Any], num_epochs: int, resumed_from: int, seconds: float
) -> None:
    attempt, at = lab.begin(make_spec(), num_epochs=num_epochs), "2026-01-01T00:00:00.000+00:00"
    attempt.write_started(Started(host="box", pid=1, started_at=at, resumed_from_epoch=resumed_from))
    (one,) = spans(lab.store, runs_of(lab))
    assert (one.state, one.end - one.start) == (INTERRUPTED, seconds)
