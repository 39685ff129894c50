"""Which runs may go: by hand on small families, and against a definition by brute force on random ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from analysis.prune import KnownRun, Wishes, removable_runs

DAY = 86_400.0


def known(run: str, **changes: Any) -> KnownRun:
    base = KnownRun(
        run=run,
        data="d",
        ancestors=frozenset(),
        plans=frozenset(),
        age_seconds=40 * DAY,
        validation_accuracy=0.5,
        is_active=False,
    )
    return replace(base, **{**changes, "ancestors": frozenset(changes.get("ancestors", ""))})


def gone(*runs: KnownRun, **wishes: Any) -> str:
    """Ids of the runs that go, in one word."""
    return "".join(sorted(removable_runs({run.run: run for run in runs}, Wishes(**wishes))))


PLANNED = frozenset({"plan"})


def test_runs_of_a_plan_and_their_teachers_stay_without_force() -> None:
    runs = known("t"), known("s", plans=PLANNED, ancestors="t"), known("x")
    assert gone(*runs, unreferenced=True) == "x"
    assert gone(*runs, older_than_seconds=0.0) == "x"
    assert gone(*runs, older_than_seconds=0.0, force=True) == "stx"
    assert gone(*runs, unreferenced=True, force=True) == "x"


def test_a_teacher_stays_with_its_young_student() -> None:
    runs = known("t"), known("s", ancestors="t", age_seconds=DAY), known("x")
    assert gone(*runs, older_than_seconds=30 * DAY) == "x"


def test_the_best_of_every_data_set_stay_with_what_they_were_trained_from() -> None:
    runs = (
        known("p", data="source", validation_accuracy=0.1),
        known("a", validation_accuracy=0.9, ancestors="tp"),
        known("b", validation_accuracy=0.8),
        known("c", validation_accuracy=0.7),
        known("t", validation_accuracy=0.2),
        known("q", data="source", validation_accuracy=0.3),
        known("u", validation_accuracy=None),
    )
    assert gone(*runs, keep_best=2) == "cu"
    assert gone(*runs, keep_best=1) == "bcu"


def test_last_months_sweeps_go_but_for_the_three_best() -> None:
    old = [known(name, plans=PLANNED, validation_accuracy=index / 10) for index, name in enumerate("abcde")]
    young = known("y", age_seconds=DAY, validation_accuracy=0.0)
    assert gone(*old, young, older_than_seconds=30 * DAY, keep_best=3, force=True) == "ab"


def test_what_is_being_trained_stays_even_by_force_with_its_teacher_and_the_jobs_that_wait_beside_it() -> None:
    runs = (
        known("t"),
        known("s", ancestors="t", is_active=True, validation_accuracy=None, plans=PLANNED),
        known("w", plans=PLANNED, validation_accuracy=None),
        known("x", plans=frozenset({"another"})),
    )
    assert gone(*runs, older_than_seconds=0.0, force=True) == "x"


@st.composite
def families(draw: st.DrawFn) -> dict[str, KnownRun]:
    runs: dict[str, KnownRun] = {}
    for name in "abcdefgh"[: draw(st.integers(1, 8))]:
        parents = draw(st.sets(st.sampled_from(sorted(runs)), max_size=2)) if runs else set[str]()
        ancestors = parents | {above for parent in parents for above in runs[parent].ancestors}
        runs[name] = known(
            name,
            ancestors=ancestors,
            data=draw(st.sampled_from("de")),
            plans=frozenset(draw(st.sets(st.sampled_from("PQ")))),
            age_seconds=draw(st.sampled_from([1.0, 2.0, 3.0])),
            validation_accuracy=draw(st.none() | st.sampled_from([0.1, 0.2, 0.3])),
            is_active=draw(st.sampled_from([False] * 5 + [True])),
        )
    return runs


WISHES = st.builds(
    Wishes,
    older_than_seconds=st.none() | st.sampled_from([0.0, 2.0]),
    unreferenced=st.booleans(),
    keep_best=st.none() | st.integers(1, 3),
    force=st.booleans(),
)


@given(families(), WISHES)
def test_a_run_goes_if_and_only_if_nothing_that_must_stay_is_it_or_was_trained_from_it(
    runs: dict[str, KnownRun], wishes: Wishes
) -> None:
    def must_stay(known: KnownRun) -> bool:
        better = [
            other
            for other in runs.values()
            if (other.data, known.validation_accuracy is None) == (known.data, False)
            and other.validation_accuracy is not None
            and (-other.validation_accuracy, other.run) < (-(known.validation_accuracy or 0), known.run)
        ]
        is_best = known.validation_accuracy is not None and len(better) < (wishes.keep_best or 0)
        is_young = wishes.older_than_seconds is not None and known.age_seconds < wishes.older_than_seconds
        is_planned = bool(known.plans) and (wishes.unreferenced or not wishes.force)
        is_at_work = known.is_active or any(other.is_active and other.plans & known.plans for other in runs.values())
        return is_best or is_young or is_planned or is_at_work

    staying = [known for known in runs.values() if must_stay(known)]
    expected = {run for run in runs if not any(run == known.run or run in known.ancestors for known in staying)}
    assert removable_runs(runs, wishes) == expected
