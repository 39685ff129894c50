"""What past runs took, from a store's derived table, sound or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweeps.estimates import History, Measured, kind_of
from sweeps.history import read_history
from trainers.spec import canonical_json, to_dict
from trainers.storage import Store


def row(spec: Any, **changes: Any) -> dict[str, Any]:
    """4 epochs of 50 pictures in 10 s: 50 ms a picture; 12.5 s in all, 2.5 s of them besides."""
    times = {"started_at": "2026-01-01T10:00:00.000+00:00", "finished_at": "2026-01-01T10:00:12.500+00:00"}
    counts = {"num_macs": 7, "num_train_images": 50, "epochs": 4, "train_seconds": 10.0}
    where = {"device": "cpu", "num_threads": 2}
    return {**counts, **where, **times, "spec_json": canonical_json(to_dict(spec)), "label": "x", **changes}


def write(store: Store, rows: list[dict[str, Any]]) -> None:
    store.table_file("runs").parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), store.table_file("runs"))


def test_a_run_gives_its_kind_and_its_seconds(make_spec: Any, tmp_path: Path) -> None:
    store, teacher = Store(tmp_path), make_spec(seed=9)
    spec = make_spec(teacher=teacher, co_teachers=(teacher,))
    write(store, [row(spec)])
    (run,) = read_history(store).runs
    finished = "2026-01-01T10:00:12.500+00:00"
    expected = {"num_macs": 7, "device": "cpu", "num_threads": 2, "extra_seconds": 2.5, "finished_at": finished}
    assert run == Measured(kind=kind_of(spec), seconds_per_image=0.05, pixels=16, **expected)


def test_a_run_that_read_its_teachers_logits_is_of_another_kind(make_spec: Any, tmp_path: Path) -> None:
    spec = make_spec(teacher=make_spec(seed=9))
    write(Store(tmp_path), [row(spec, reads_logits=reads) for reads in (True, False, None)])
    kinds = [run.kind for run in read_history(Store(tmp_path)).runs]
    assert kinds == [kind_of(spec, reads_logits=True), kind_of(spec), kind_of(spec)] and kinds[0] != kinds[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"train_seconds": None},
        {"epochs": 0},
        {"num_train_images": None},
        {"train_seconds": float("nan")},
        {"spec_json": "{"},
        {"spec_json": None},
        {"spec_json": "[]"},
        {"num_threads": None},
        {"finished_at": "yesterday"},
    ],
)
def test_a_run_that_is_not_finished_or_makes_no_sense_is_passed_over(
    make_spec: Any, tmp_path: Path, changes: dict[str, Any]
) -> None:
    write(Store(tmp_path), [row(make_spec()), row(make_spec(), **changes)])
    assert len(read_history(Store(tmp_path)).runs) == 1


@pytest.mark.parametrize("content", [None, b"", b"PAR1 not really", b"\0" * 100])
def test_without_a_sound_table_there_is_no_history(tmp_path: Path, content: bytes | None) -> None:
    file = Store(tmp_path).table_file("runs")
    if content is not None:
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
    assert read_history(Store(tmp_path)) == History()


def test_a_table_of_something_else_is_no_history(tmp_path: Path) -> None:
    write(Store(tmp_path), [{"x": 1}])
    assert read_history(Store(tmp_path)) == History()


def test_a_finished_sweep_is_its_own_history(finished: Any) -> None:
    history = read_history(Store(finished.store))
    assert len(history.runs) == 9 and {run.device for run in history.runs} == {"cpu"}
    assert all(run.num_macs > 0 and run.seconds_per_image > 0 for run in history.runs)


@pytest.mark.parametrize(
    "finished_at", ["2027-01-01T10:00:00.000+00:00", "2026-01-01T09:00:00.000+00:00", "2026-01-01T11:00:11.000+00:00"]
)
def test_a_clock_that_was_set_during_a_run_gives_no_seconds_besides_its_epochs(
    make_spec: Any, tmp_path: Path, finished_at: str
) -> None:
    write(Store(tmp_path), [row(make_spec(), finished_at=finished_at)])
    assert read_history(Store(tmp_path)).extra_seconds == 0.0
