"""Loggers beside a sweep: told while it runs, and unable to hold it up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from analysis import feed
from analysis.feed import Feed, fed
from analysis.logged import LoggedRun, Standing


class Notes:
    """A logger that keeps what it is told; `answer` is called at every run."""

    place = "here"

    def __init__(self, answer: Callable[[LoggedRun], None] = lambda run: None) -> None:
        self.told: list[tuple[str, Standing, int]] = []
        self.answer, self.was_told = answer, threading.Event()

    def write(self, run: LoggedRun) -> None:
        self.answer(run)
        self.told.append((run.name, run.standing, len(run.curves)))
        self.was_told.set()

    def close(self) -> None:
        self.told.append(("closed", Standing.OK, 0))


@pytest.fixture
def make_feed(lab: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A feed of a logger of ours, and what was said of it."""

    def make(logger: Any, every: float) -> tuple[Feed, list[str]]:
        said: list[str] = []
        monkeypatch.setattr(feed, "open_log", lambda store, text: logger)
        monkeypatch.setattr(feed, "EVERY_SECONDS", every)
        return Feed(lab.store, "mlflow:http://host", said.append), said

    return make


def begin(lab: Any, spec: Any, num_epochs: int) -> None:
    """An attempt of a driver that is at the job."""
    lab.begin(spec, num_epochs=num_epochs)
    lease = lab.store.lease_file(lab.store.run_ids()[0])
    lease.parent.mkdir(exist_ok=True)
    lease.write_text("{}")


def test_a_running_job_is_told_of_while_it_runs_and_the_rest_at_the_end(
    lab: Any, make_spec: Any, make_feed: Any
) -> None:
    plan = lab.plan(("student_scratch", make_spec()), ("student_other", make_spec(seed=1)))
    logger = Notes()
    one, said = make_feed(logger, 0.01)
    with fed([one], plan):
        begin(lab, make_spec(), 1)
        assert logger.was_told.wait(30)
        lab.finish(make_spec())
        lab.store.remove_lease(lab.store.run_ids()[0])
        lab.finish(make_spec(seed=1))
    assert ("student_scratch@0", Standing.RUNNING, 1) in logger.told
    assert logger.told.count(("student_scratch@0", Standing.OK, 2)) == 1
    assert logger.told.count(("student_other@1", Standing.OK, 2)) == 1
    assert logger.told[-1][0] == "closed" and said == []


def test_what_has_not_changed_is_not_told_again(lab: Any, make_spec: Any) -> None:
    plan = lab.plan(("student_scratch", make_spec()))
    begin(lab, make_spec(), 1)
    news = feed.News(lab.store, feed.planned_jobs([plan]))
    assert [len(list(news.of_running())) for _ in range(2)] == [1, 0]
    lab.begin(make_spec(), num_epochs=2)
    assert [len(run.curves) for run in news.of_running()] == [2]
    lab.finish(make_spec())
    lab.store.remove_lease(lab.store.run_ids()[0])
    assert [run.standing for run in news.of_running()] == [Standing.OK]
    assert [*news.of_running(), *news.of_all()] == []


def test_what_a_logger_failed_at_is_news_still(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec())
    news = feed.News(lab.store, feed.planned_jobs([lab.plan(("student_scratch", make_spec()))]))
    given = news.of_all()
    next(given)
    given.close()  # type: ignore[attr-defined]
    assert len(list(news.of_all())) == 1


def test_a_logger_that_fails_is_said_once_and_tried_again_at_the_end(lab: Any, make_spec: Any, make_feed: Any) -> None:
    failed = threading.Event()
    number = 0

    def fail_once(run: LoggedRun) -> None:
        nonlocal number
        number += 1
        if number == 1:
            failed.set()
            raise ZeroDivisionError("a bug\nin the library")

    plan, logger = lab.plan(("student_scratch", make_spec())), Notes(fail_once)
    one, said = make_feed(logger, 0.01)
    with fed([one], plan):
        begin(lab, make_spec(), 1)
        assert failed.wait(30)
        lab.finish(make_spec())
    assert len(said) == 1 and said[0].startswith("--log mlflow: a bug in the library; the sweep goes on;")
    assert f"`python -m analysis.log {lab.store.root} mlflow:http://host`" in said[0]
    assert [name for name, *_ in logger.told] == ["student_scratch@0", "closed"]


def test_a_logger_that_hangs_does_not_hold_up_the_end(
    lab: Any, make_spec: Any, make_feed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.finish(make_spec())
    release = threading.Event()
    logger = Notes(lambda run: release.wait(60) and None)
    one, said = make_feed(logger, 60)
    monkeypatch.setattr(feed, "PATIENCE_SECONDS", 0.1)
    with fed([one], lab.plan(("student_scratch", make_spec()))):
        pass
    assert logger.told == [] and said[0].startswith("--log mlflow: it takes long;")
    release.set()
    one._thread.join(30)


def test_what_a_sweep_raises_is_raised_and_the_rest_told(lab: Any, make_spec: Any, make_feed: Any) -> None:
    logger = Notes()
    one, _ = make_feed(logger, 60)
    with pytest.raises(KeyboardInterrupt), fed([one], lab.plan(("student_scratch", make_spec()))):
        lab.finish(make_spec())
        raise KeyboardInterrupt
    assert [name for name, *_ in logger.told] == ["student_scratch@0", "closed"]
