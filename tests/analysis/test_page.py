"""What a page works out of its tables; expected values by hand or by brute force."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.page import learning, mistakes
from analysis.page.answer import answers, at_budget
from analysis.page.distillation import agreements, class_changes
from analysis.page.learning import learning_curves
from analysis.page.mistakes import hardest, matrices, may_be_shown
from analysis.page.render import in_columns, script_json
from analysis.page.sweeps import compared
from analysis.page.texts import best_text, claim_texts, gain_texts
from analysis.tables import CURVES_SCHEMA, to_table
from trainers.result import PlannedJob, PlanRecord
from trainers.spec import Role


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
        "80.00% validation accuracy (95% interval 79.00% to 81.00%, n = 3 seeds), 1,000,000 parameters in 4.00 MB."
        " Its rank among all networks lies between 1 and 2.",
    ]


def test_an_interval_over_pictures_is_no_spread_over_seeds() -> None:
    one = group("one", 0.7, 600_000, n=1) | {
        "validation_accuracy_bootstrap_low": 0.68,
        "validation_accuracy_bootstrap_high": 0.72,
    }
    text = answers([one])[0]["steps"][0]["text"]
    assert "no spread is known; 95% interval over pictures 68.00% to 72.00%" in text


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


def test_agreement_is_a_mean_over_seeds_of_the_validation_pictures() -> None:
    names = {"student_group_id": "s", "student_label": "kd", "teacher_group_id": "t", "teacher_label": "big"}
    numbers = {"agreement_when_teacher_wrong": None, "kl_nats": 0.5}
    rows = [
        {**names, **numbers, "split": split, "agreement": agreement}
        for split, agreement in (("validation", 0.5), ("validation", 0.75), ("test", 0.0))
    ]
    (found,) = agreements(rows)
    assert (found["n"], found["agreement"].mean, found["kl_nats"].mean, found["when_wrong"].n) == (2, 0.625, 0.5, 0)


def test_classes_are_compared_between_student_alone_distilled_and_teacher() -> None:
    def of(group: str, *accuracies: float) -> list[dict[str, Any]]:
        rows = [{"group_id": group, "split": "validation", "class_name": None} for _ in accuracies]
        return [
            row | {"class_index": i, "accuracy": value}
            for i, (row, value) in enumerate(zip(rows, accuracies, strict=True))
        ]

    gain = {"label": "kd", "n": 1, "twin_group_id": "twin", "group_id": "kd", "teacher_group_id": "big"}
    rows = class_changes([gain], [*of("twin", 0.25, 0.5), *of("twin", 0.75, 0.5), *of("kd", 0.5, 1.0), *of("big", 1.0)])
    assert {(row["class_name"], row["who"]): row["accuracy"] for row in rows} == {
        ("0", "student alone"): 0.5,
        ("0", "distilled"): 0.5,
        ("0", "teacher"): 1.0,
        ("1", "student alone"): 0.5,
        ("1", "distilled"): 1.0,
    }


def run_row(run: str, group: str, accuracy: float, data: str = "f00d") -> dict[str, Any]:
    row = {"run_id": run, "group_id": group, "status": "ok", "data_fingerprint": data, "seed": 0}
    return row | {"best_validation_accuracy": accuracy, "size_bytes": 100, "num_params": 25, "epochs": 8}


def test_the_hardest_pictures_are_those_that_most_networks_get_wrong() -> None:
    runs = [run_row("a0", "a", 0.5), run_row("a1", "a", 0.6), run_row("b0", "b", 0.4), run_row("c0", "c", 0.9, "other")]
    predicted = {"a0": [9, 9, 9, 9], "a1": [0, 1, 0, 7], "b0": [0, 0, 5, 3], "c0": [9, 9, 9, 9]}
    answers_table = pa.table(
        {
            "run_id": list(predicted),
            "split": ["validation"] * 4,
            "labels": [[0, 1, 2, -1]] * 4,
            "predicted": list(predicted.values()),
        }
    )
    found = hardest(answers_table, runs)
    assert [(row["index"], row["true_class"], row["num_wrong"], row["num_networks"]) for row in found] == [
        (2, 2, 2, 2),
        (1, 1, 1, 2),
    ]
    assert found[1]["said"] == 0


def test_only_the_projects_own_pictures_are_shown_unasked() -> None:
    assert [may_be_shown(name) for name in ("plates", "plates:source", "food11:x", "images:plates", None)] == [
        *(True, True),
        *(False, False, False),
    ]


def test_matrices_of_the_best_runs_fill_the_page_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mistakes, "MOST_CELLS", 3)
    cell = {"split": "validation", "predicted_class": 0, "count": 1}
    cells = [cell | {"run_id": run, "true_class": true} for run in ("a", "b") for true in (0, 1)]
    found = matrices([*cells, cells[2] | {"split": "test"}], [run_row("b", "b", 0.5), run_row("a", "a", 0.5)])
    assert [(one["run_id"], one["cells"]) for one in found] == [("b", [(0, 0, 1), (1, 0, 1)])]


def test_sweeps_are_compared_by_their_best_networks() -> None:
    def job(run: str, group: str, role: Role = Role.STUDENT) -> PlannedJob:
        return PlannedJob(run_id=run, group_id=group, label=f"label_{group}", role=role, seed=0, parents=())

    runs = {row["run_id"]: row for row in (run_row("a0", "a", 0.5), run_row("b0", "b", 0.9), run_row("p0", "p", 1.0))}
    runs["b0"]["size_bytes"] = 1000
    jobs = (job("a0", "a"), job("b0", "b"), job("p0", "p", Role.PRETRAIN), job("never", "n"))
    plan = PlanRecord(plan_id="one", sweep="report", command="", data_name="plates", planned_at="", jobs=jobs)
    (found,) = compared([plan], runs, "other", budget_bytes=500)
    assert (found["counts"], found["is_shown"]) == ("3 ok, 1 unfinished", False)
    assert (best_text(found["best"]), best_text(found["best_small"])) == (
        "label_b, 90.00 (n = 1, 8 epochs)",
        "label_a, 50.00 (n = 1, 8 epochs)",
    )


def test_of_equals_a_comparison_names_the_network_that_is_ranked_first() -> None:
    jobs = [
        PlannedJob(run_id=f"{name}0", group_id=name, label=name, role=Role.STUDENT, seed=0, parents=())
        for name in "zab"
    ]
    plan = PlanRecord(plan_id="one", sweep="s", command="", data_name="plates", planned_at="", jobs=tuple(jobs))
    runs = {f"{name}0": run_row(f"{name}0", name, 0.5) for name in "zab"}
    runs["a0"]["num_params"] = 26
    assert compared([plan], runs, "one", budget_bytes=500)[0]["best"]["label"] == "b"


def test_seeds_that_are_all_the_same_show_no_spread() -> None:
    row = group("one", 0.8, 600_000) | {"validation_accuracy_low": 0.8, "validation_accuracy_high": 0.8}
    assert "(n = 3 seeds, all the same, so no spread is known)" in answers([row])[0]["steps"][0]["text"]
    gain = {f"{split}_gain_{part}": 0.01 for split in ("validation", "test") for part in ("mean", "low", "high")}
    assert gain_texts([gain])[0]["validation"] == "+1.00"


def test_a_verdict_says_what_would_decide_it() -> None:
    claim = {
        "text": "kd gains",
        "variant": None,
        "verdict": "undecided",
        "n": 3,
        "method": "paired seeds",
        "note": None,
    }
    claim |= {"kind": "order", "data_name": "plates", "estimate": 0.0069, "low": -0.0183, "high": 0.0322}
    claim |= {"published": None, "p_corrected": 0.36, "num_more_seeds": 27}
    number = claim | {
        "kind": "number",
        "estimate": 0.8,
        "published": 0.8009,
        "verdict": "confirmed",
        "p_corrected": 1e-9,
    }
    texts = [
        (one["ours"], one["interval"], one["published"], one["p"], one["more"]) for one in claim_texts([claim, number])
    ]
    assert texts == [
        ("+0.69", "-1.83 to +3.22", "", "p = 0.360", "about 27 more seeds would decide"),
        ("80.00%", "-1.83% to 3.22%", "80.09%", "p < 0.001", ""),
    ]
