"""What a page works out of its tables; expected values by hand or by brute force."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.page import learning
from analysis.page.answer import answers, at_budget
from analysis.page.learning import learning_curves
from analysis.page.render import in_columns, script_json
from analysis.tables import CURVES_SCHEMA, to_table


def group(name: str, accuracy: float, size: int, *, n: int = 3, **more: Any) -> dict[str, Any]:
    low, high = (accuracy - 0.01, accuracy + 0.01) if n > 1 else (None, None)
    row = {"group_id": name, "label": name, "variant": None, "rank": 1, "n": n, "num_params": size // 4}
    row |= {"size_bytes": size, "data_name": "plates", "data_fingerprint": "f00d"}
    accuracies = {"mean": accuracy, "low": low, "high": high, "bootstrap_low": None, "bootstrap_high": None}
    return row | {f"validation_accuracy_{part}": value for part, value in accuracies.items()} | more


def test_an_answer_says_how_sure_it_is() -> None:
    ranking = [group("large", 0.8, 4_000_000, rank_low=1, rank_high=2), group("small", 0.7, 600_000, n=1)]
    (answer,) = answers(ranking)
    assert [step["text"] for step in answer["steps"]] == [
        "70.00% validation accuracy (n = 1 seed, so no spread is known), 150,000 parameters in 600 kB.",
        "80.00% validation accuracy (95 % interval 79.00% to 81.00%, n = 3 seeds), 1,000,000 parameters in 4.00 MB."
        " Its rank among all networks lies between 1 and 2.",
    ]


def test_an_interval_over_pictures_is_no_spread_over_seeds() -> None:
    one = group("one", 0.7, 600_000, n=1) | {
        "validation_accuracy_bootstrap_low": 0.68,
        "validation_accuracy_bootstrap_high": 0.72,
    }
    text = answers([one])[0]["steps"][0]["text"]
    assert "no spread is known; 95 % interval over pictures 68.00% to 72.00%" in text


points = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 12)), min_size=1, max_size=25)


@given(points, st.integers(0, 14))
def test_the_answer_is_the_best_of_all_that_fit(drawn: list[tuple[int, int]], budget: int) -> None:
    ranking = [group(f"{index}", accuracy / 20, size) for index, (accuracy, size) in enumerate(drawn)]
    fitting = [row for row in ranking if row["size_bytes"] <= budget]
    found = at_budget(answers(ranking)[0], budget)
    if not fitting:
        assert found is None
        return
    assert found is not None
    best = next(row for row in ranking if row["group_id"] == found["group_id"])
    assert best in fitting
    assert best["validation_accuracy_mean"] == max(row["validation_accuracy_mean"] for row in fitting)


def test_data_sets_have_answers_of_their_own() -> None:
    ranking = [group("a", 0.8, 100), group("b", 0.9, 100, data_fingerprint="other"), group("c", 0.5, 100, rank=None)]
    assert [[step["name"] for step in answer["steps"]] for answer in answers(ranking)] == [["a"], ["b"]]


def curve(run: str, seed: int, accuracies: list[float]) -> list[dict[str, Any]]:
    same = {"run_id": run, "group_id": "g", "label": "student", "seed": seed}
    return [
        {**same, "epoch": epoch, "train_accuracy": value / 2, "validation_accuracy": value}
        for epoch, value in enumerate(accuracies, start=1)
    ]


RUNS = [
    {"run_id": "r0", "group_id": "g", "best_epoch": 1, "best_validation_accuracy": 0.5},
    {"run_id": "r1", "group_id": "g", "best_epoch": None, "best_validation_accuracy": None},
]


def test_a_curve_has_a_mean_and_a_band_over_the_runs_that_got_so_far() -> None:
    table = to_table([*curve("r0", 0, [0.25, 0.5]), *curve("r1", 1, [0.75]), *curve("no", 2, [1.0])], CURVES_SCHEMA)
    (found,) = learning_curves(table, RUNS)
    assert found["epochs"] == [1, 2]
    assert (found["validation_low"], found["validation"], found["validation_high"]) == (
        [0.25, 0.5],
        [0.5, 0.5],
        [0.75, 0.5],
    )
    assert found["train"] == [0.25, 0.25]
    assert found["best"] == [(1, 0.5)]


def test_a_long_curve_keeps_its_ends_and_says_how_long_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "MOST_POINTS", 10)
    (found,) = learning_curves(to_table(curve("r0", 0, [0.5] * 200), CURVES_SCHEMA), RUNS)
    assert len(found["epochs"]) == 10
    assert (found["epochs"][0], found["epochs"][-1], found["num_epochs"]) == (1, 200, 200)


def test_json_cannot_end_the_script_that_it_stands_in() -> None:
    text = script_json(in_columns([{"label": "</script><!--\u2028&"}], ["label"]))
    assert not set("<>&\u2028") & set(text)
    assert "\\u003c/script\\u003e" in text
