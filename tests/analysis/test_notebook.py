"""Two lines give a store's tables and charts, and importing them costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import analysis
from trainers.errors import SpecError, StoreError

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "student_<script>alert(1)</script>\u202e"
TWO_LINES = 'import analysis\nsweep = analysis.open("petite-store")\n'


@pytest.fixture
def opened(lab: Any, make_spec: Any) -> Any:
    """Two seeds of one group, one of a larger one, and one that failed."""
    for seed, accuracy in enumerate((0.80, 0.84)):
        lab.finish(make_spec(seed=seed), accuracy)
    lab.finish(make_spec(model="resnet18"), 0.9, num_params=11_182_155, latency_seconds=0.004)
    lab.fail(make_spec(model="conv_plain"))
    labelled = [(HOSTILE, make_spec(seed=seed)) for seed in (0, 1)]
    lab.plan(*labelled, ("teacher_scratch", make_spec(model="resnet18")), ("conv_plain", make_spec(model="conv_plain")))
    return analysis.open(lab.store.root)


def test_two_lines_are_enough_and_the_first_imports_nothing_slow(opened: Any, lab: Any) -> None:
    lab.store.root.rename(lab.store.root.parent / "petite-store")
    script = (
        "import sys\nimport analysis\nslow = {'pandas', 'pyarrow', 'altair', 'numpy', 'scipy'} & set(sys.modules)\n"
        f"{TWO_LINES}"
        "print(slow, len(sweep.runs), len(sweep.ranking), len(sweep.gains), len(sweep.pareto().to_json()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=lab.store.root.parent,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.split()[:4] == ["set()", "4", "3", "0"], done.stderr


def test_tables_are_those_of_the_store(opened: Any, lab: Any) -> None:
    for name, frame in (("runs", opened.runs), ("curves", opened.curves), ("ranking", opened.ranking)):
        assert frame.equals(pq.read_table(lab.store.table_file(name)).to_pandas())
    assert list(opened.table("comparisons").columns) and opened.gains.empty
    with pytest.raises(SpecError, match="has no table 'nothing'"):
        opened.table("nothing")


def test_a_store_that_has_its_tables_is_only_read(opened: Any, lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {file: file.stat().st_mtime_ns for file in lab.store.root.rglob("*")}
    assert len(analysis.open(lab.store.root).runs) == 4
    assert {file: file.stat().st_mtime_ns for file in lab.store.root.rglob("*")} == before


def test_what_is_new_is_there_after_a_refresh(opened: Any, lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec(seed=2))
    assert len(analysis.open(lab.store.root).runs) == 4
    assert len(analysis.open(lab.store.root, refresh=True).runs) == 5


def test_the_pareto_chart_has_a_row_per_ranked_group(opened: Any) -> None:
    for size in ("num_params", "num_macs"):
        (rows,) = opened.pareto(size).to_dict()["datasets"].values()
        assert [row["label"] for row in rows] == ["teacher_scratch", HOSTILE]
    assert [row["num_params"] for row in rows] == [11_182_155, 152_075]
    with pytest.raises(SpecError, match="unknown size 'weight'; have: num_params, "):
        opened.pareto("weight")


def test_learning_curves_are_means_over_seeds_with_the_best_epochs(opened: Any) -> None:
    (rows,) = opened.learning_curves().to_dict()["datasets"].values()
    own = [row for row in rows if row["name"] == HOSTILE and row["epoch"] == 2]
    validation = next(row for row in own if row["part"] == "validation")
    assert validation["accuracy"] == pytest.approx(0.82) and (validation["low"], validation["high"]) == (0.80, 0.84)
    assert sorted(row["accuracy"] for row in own if row["part"] == "best epoch of a seed") == [0.80, 0.84]


def test_a_notebook_shows_the_ranking_and_obeys_no_label(opened: Any) -> None:
    shown = opened._repr_html_()
    assert shown.count("<tr>") == 1 + 3
    assert "<script>" not in shown and "student_&lt;script&gt;alert(1)&lt;/script&gt;?" in shown
    half = 12.706204736432095 * 0.02  # t of one degree of freedom; sd / sqrt(2) of 0.80 and 0.84 is 0.02
    assert f"<td>82.00 ±{100 * half:.2f}</td>" in shown and "<td>90.00</td>" in shown
    assert "<td>4.00 ms</td>" in shown and "<td>1 failed</td>" in shown
    assert repr(opened).endswith("3 groups ranked; runs: 3 ok, 1 failed, 0 blocked")


def test_no_store_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store at"):
        analysis.open(tmp_path / "nowhere")
