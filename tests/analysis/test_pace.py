"""How long the jobs of a watched sweep will take: which guess comes before which, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.overview import Glance, Phase
from analysis.pace import with_paces


def glance(run: str, role: str = "student", **changes: Any) -> Glance:
    known = {"id": run, "name": run, "label": run, "role": role, "phase": Phase.WAITING, "num_epochs": 10}
    return Glance(**known | changes)


def test_what_a_driver_expects_is_corrected_by_what_was_measured() -> None:
    jobs = {
        "a": glance("a", phase=Phase.RUNNING, num_epochs_done=4, epoch_seconds=3.0),
        "b": glance("b", role="teacher"),
        "c": glance("c"),
    }
    groups = {run: f"group {run}" for run in jobs}
    known, seconds = with_paces(jobs, groups, {"group a": 2.0, "group b": 8.0})
    assert {run: job.epoch_seconds for run, job in known.items()} == {"a": 3.0, "b": 12.0, "c": 3.0}
    assert seconds == {"a": 6 * 3.0, "b": 10 * 12.0, "c": 10 * 3.0}


@pytest.mark.parametrize("expected", [{}, {"group b": 0.0}, {"group a": 0.0}])
def test_without_anything_to_expect_jobs_are_like_those_of_their_group_label_or_role(
    expected: dict[str, float],
) -> None:
    jobs = {
        "a": glance("a", phase=Phase.DONE, epoch_seconds=2.0),
        "a1": glance("a1"),
        "t": glance("t", role="teacher", phase=Phase.DONE, epoch_seconds=30.0),
        "t1": glance("t1", role="teacher"),
    }
    known, _ = with_paces(jobs, {"a": "group a", "a1": "group a", "t": "t", "t1": "t1"}, expected)
    assert (known["a1"].epoch_seconds, known["t1"].epoch_seconds) == (2.0, 30.0)


def test_before_anything_was_measured_the_drivers_expectation_stands() -> None:
    known, seconds = with_paces({"a": glance("a"), "b": glance("b")}, {"a": "x", "b": "y"}, {"x": 2.0})
    assert (known["a"].epoch_seconds, known["b"].epoch_seconds, seconds) == (2.0, None, {"a": 20.0})
