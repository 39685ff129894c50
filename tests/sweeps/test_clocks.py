"""A clock that jumps does no harm: the plan that was made last stays the latest one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sweeps import driver
from trainers.attempt import after
from trainers.result import PlanRecord
from trainers.storage import Store


@dataclass(frozen=True)
class Planned:
    """As much of a sweep as is recorded."""

    plan_id: str
    clock: str

    @property
    def plan(self) -> Any:
        return SimpleNamespace(jobs=())

    def record(self, command: str) -> PlanRecord:
        return PlanRecord(
            plan_id=self.plan_id, sweep="report", command=command, data_name="", planned_at=self.clock, jobs=()
        )


def test_the_plan_made_last_is_the_latest_even_if_the_clock_went_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    clocks = {
        "first": "2030-01-01T00:00:00.000+00:00",
        "second": "2026-01-01T00:00:00.000+00:00",
        "third": "2026-01-01T00:00:01.000+00:00",
        "fourth": "2031-01-01T00:00:00.000+00:00",
    }
    for made, (plan, clock) in enumerate(clocks.items(), start=1):
        driver._record(Planned(plan, clock), store, "command")  # type: ignore[arg-type]
        assert [one.plan_id for one in store.plans()] == list(clocks)[:made]
    driver._record(Planned("first", clocks["second"]), store, "again")  # type: ignore[arg-type]
    assert store.plans()[-1].plan_id == "first"
    assert store.plans()[-2].planned_at == clocks["fourth"], "a clock that is right is believed"


def test_a_moment_after_another_sorts_behind_it() -> None:
    assert after("2026-12-31T23:59:59.999+00:00") == "2027-01-01T00:00:00.000+00:00"
    assert after("") == after("no time") == after("9999-12-31T23:59:59.999+00:00") == ""
