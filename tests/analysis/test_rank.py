"""Runs -> ranking; the expected numbers are worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from analysis.gather import gather
from analysis.rank import RANKING_SCHEMA, main, rank, select, write_ranking
from analysis.tables import to_rows
from trainers.errors import PlanError


def ranked(lab: Any, **options: Any) -> list[dict[str, Any]]:
    return to_rows(write_ranking(lab.store, **options).ranking, RANKING_SCHEMA)


def by_label(lab: Any, **options: Any) -> dict[str, dict[str, Any]]:
    return {row["label"]: row for row in ranked(lab, **options)}


def test_two_runs_of_one_seed_are_one_piece_of_evidence(lab: Any, make_spec: Any) -> None:
    for view_seed, accuracy in ((0, 0.80), (1, 0.90)):
        lab.finish(make_spec(seed=0, view_seed=view_seed), accuracy)
    (row,) = ranked(lab, all_runs=True)
    assert (row["n"], row["validation_accuracy_low"]) == (1, None)
    assert row["validation_accuracy_mean"] == pytest.approx(0.85)


def test_the_ranking_is_printed_as_markdown(lab: Any, make_spec: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lab.finish(make_spec(), 0.8)
    lab.plan(("student_scratch", make_spec()))
    assert main([str(lab.store.root), "--markdown"]) == 0
    header, rule, row, *_ = capsys.readouterr().out.splitlines()
    assert header.startswith("| label") and rule.startswith("| ---") and row.startswith("| student")


def test_seeds_of_a_group_get_a_mean_and_a_hand_computed_interval(lab: Any, make_spec: Any) -> None:
    for seed, accuracy in enumerate((0.80, 0.82, 0.84)):
        lab.finish(make_spec(seed=seed), accuracy, test_accuracy=accuracy - 0.1, train_seconds=60.0 * (seed + 1))
    lab.plan(*(("student_scratch", make_spec(seed=seed)) for seed in range(3)))
    (row,) = ranked(lab)
    half = 4.302652729911275 * 0.02 / math.sqrt(3)
    assert (row["n"], row["train_seconds_mean"]) == (3, 120.0)
    assert row["validation_accuracy_mean"] == pytest.approx(0.82)
    assert row["validation_accuracy_sd"] == pytest.approx(0.02)
    assert row["validation_accuracy_low"] == pytest.approx(0.82 - half)
    assert row["test_accuracy_high"] == pytest.approx(0.72 + half)


def test_latency_has_a_mean_over_seeds_measured_alike(lab: Any, make_spec: Any) -> None:
    for seed, seconds in enumerate((0.001, 0.002, 0.003)):
        lab.finish(make_spec(seed=seed), latency_seconds=seconds)
    (row,) = ranked(lab, all_runs=True)
    assert row["latency_seconds_mean"] == pytest.approx(0.002)
    assert row["latency_seconds_sd"] == pytest.approx(0.001)
    assert row["latency_seconds_high"] == pytest.approx(0.002 + 4.302652729911275 * 0.001 / math.sqrt(3))
    assert row["latency_measured_on"] == "cpu, EPYC, 1 thread"


def test_latencies_of_different_machines_have_no_mean(lab: Any, make_spec: Any) -> None:
    run = lab.finish(make_spec(seed=0), latency_seconds=0.001)
    elsewhere = replace(lab.store.result(run).environment, num_threads=2)
    lab.finish(make_spec(seed=1), latency_seconds=0.003, environment=elsewhere)
    (row,) = ranked(lab, all_runs=True)
    assert (row["n"], row["latency_seconds_mean"], row["latency_measured_on"]) == (2, None, None)


def test_runs_of_versions_that_did_not_measure_latency_do_not_count_in_it(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec(seed=0), latency_seconds=0.001)
    lab.finish(make_spec(seed=1))
    (row,) = ranked(lab, all_runs=True)
    assert (row["n"], row["latency_seconds_mean"], row["latency_seconds_sd"]) == (2, 0.001, None)


def test_one_seed_has_no_interval(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec(), 0.8)
    (row,) = ranked(lab, all_runs=True)
    assert row["validation_accuracy_mean"] == 0.8
    names = [f"{kind}_accuracy_{part}" for kind in ("validation", "test") for part in ("sd", "low", "high")]
    assert [row[name] for name in names] == [None] * 6


def test_the_order_follows_validation_even_when_test_disagrees(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec(model="a"), 0.80, test_accuracy=0.99)
    lab.finish(make_spec(model="b"), 0.85, test_accuracy=0.10)
    lab.plan(("a", make_spec(model="a")), ("b", make_spec(model="b")))
    assert [(row["label"], row["rank"], row["is_pareto"]) for row in ranked(lab)] == [("b", 1, True), ("a", 2, False)]


def test_test_accuracy_moves_neither_order_nor_front(lab: Any, make_spec: Any) -> None:
    generator = np.random.default_rng(0)
    for index in range(12):
        lab.finish(make_spec(model=f"m{index}"), float(generator.random()), num_params=int(generator.integers(1, 99)))
    runs = gather(lab.store).runs.to_pandas()
    shuffled = runs.assign(test_accuracy=generator.random(12))
    columns = ["group_id", "rank", "is_pareto", "validation_accuracy_mean"]
    pd.testing.assert_frame_equal(rank(runs)[columns], rank(shuffled)[columns])


def test_the_front_keeps_what_is_smaller_or_better(lab: Any, make_spec: Any) -> None:
    points = {"big": (0.9, 900), "small": (0.7, 100), "beaten": (0.6, 200), "tied": (0.7, 300)}
    for name, (accuracy, num_params) in points.items():
        lab.finish(make_spec(model=name), accuracy, num_params=num_params)
    lab.plan(*((name, make_spec(model=name)) for name in points))
    assert {name for name, row in by_label(lab).items() if row["is_pareto"]} == {"big", "small"}


def test_pretraining_is_shown_last_and_takes_no_rank_and_no_place_on_the_front(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec(model="tiny"), 0.99, num_params=1)
    lab.finish(make_spec(), 0.5)
    lab.plan(("pretrain", make_spec(model="tiny")), ("student_scratch", make_spec()))
    student, pretrain = ranked(lab)
    assert (student["label"], student["rank"], student["is_pareto"]) == ("student_scratch", 1, True)
    assert (pretrain["rank"], pretrain["is_pareto"], pretrain["validation_accuracy_mean"]) == (None, False, 0.99)


def test_groups_of_different_data_are_not_ranked_against_each_other(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec(data="d1"), 0.9, data_name="easy", num_params=1)
    lab.finish(make_spec(data="d2"), 0.3, data_name="hard", num_params=2)
    assert [(row["data_name"], row["rank"], row["is_pareto"]) for row in ranked(lab, all_runs=True)] == [
        ("easy", 1, True),
        ("hard", 1, True),
    ]


def test_missing_seeds_are_counted_by_kind_and_do_not_enter_the_mean(lab: Any, make_spec: Any) -> None:
    teachers = [make_spec(model="resnet18", seed=seed) for seed in range(4)]
    students = [make_spec(teacher=teacher, seed=seed) for seed, teacher in enumerate(teachers)]
    lab.finish(teachers[0])
    lab.finish(students[0], 0.8)
    lab.fail(teachers[1])
    lab.finish(teachers[2])
    lab.fail(students[2])
    lab.plan(*(("teacher", spec) for spec in teachers), *(("student", spec) for spec in students))
    row = by_label(lab)["student"]
    counts = [row[name] for name in ("n", "num_failed", "num_blocked", "num_unfinished")]
    assert counts == [1, 1, 1, 1]
    assert row["validation_accuracy_mean"] == 0.8


def test_a_group_without_a_finished_seed_is_listed_without_a_rank(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec(), 0.5)
    lab.fail(make_spec(model="broken"))
    lab.plan(("broken", make_spec(model="broken")), ("student_scratch", make_spec()))
    last = ranked(lab)[-1]
    assert (last["label"], last["model"], last["rank"], last["n"], last["num_failed"]) == ("broken",) * 2 + (None, 0, 1)


def test_published_numbers_stand_only_beside_food11_of_the_same_size(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec(model="conv_plain"), 0.70, num_params=264_075)
    lab.finish(make_spec(model="conv_group"), 0.70, num_params=258_955, num_train_images=100)
    lab.finish(make_spec(model="conv_depthwise"), 0.70, num_params=5)
    lab.plan(*((name, make_spec(model=name)) for name in ("conv_plain", "conv_group", "conv_depthwise")))
    rows = by_label(lab)
    assert rows["conv_plain"]["reference_accuracy"] == 0.68425
    assert rows["conv_plain"]["reference_difference"] == pytest.approx(0.01575)
    assert rows["conv_group"]["reference_accuracy"] is None
    assert rows["conv_depthwise"]["reference_accuracy"] is None


def test_the_latest_plan_is_ranked_by_default_and_others_on_request(lab: Any, make_spec: Any) -> None:
    for model in ("a", "b", "c"):
        lab.finish(make_spec(model=model))
    lab.plan(("first_a", make_spec(model="a")), plan_id="old", at="2026-01-01")
    lab.plan(("a", make_spec(model="a")), ("b", make_spec(model="b")), plan_id="new", at="2026-02-01")
    assert set(by_label(lab)) == {"a", "b"}
    assert set(by_label(lab, plan_id="old")) == {"first_a"}
    assert len(ranked(lab, all_runs=True)) == 3
    with pytest.raises(PlanError, match="unknown plan 'x'; have: old, new"):
        write_ranking(lab.store, plan_id="x")


def test_a_store_without_a_plan_asks_for_all(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec())
    with pytest.raises(PlanError, match="--all"):
        write_ranking(lab.store)


def test_a_table_that_misses_a_run_of_the_plan_is_refused(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec())
    runs = gather(lab.store).runs.to_pandas()
    plan = lab.plan(("a", make_spec()), ("b", make_spec(seed=1)))
    with pytest.raises(PlanError, match="gather again"):
        select(runs, plan)


def test_a_run_finished_after_the_last_gathering_is_ranked(lab: Any, make_spec: Any) -> None:
    lab.plan(("a", make_spec()))
    gather(lab.store)
    lab.finish(make_spec())
    assert ranked(lab)[0]["n"] == 1


def test_the_ranking_file_has_the_declared_schema_and_opens_in_duckdb(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec(), 0.8)
    write_ranking(lab.store, all_runs=True)
    file = lab.store.table_file("ranking")
    assert pq.read_table(file).schema.equals(RANKING_SCHEMA)
    assert len(pd.read_parquet(file)) == 1
    assert duckdb.sql(f"SELECT n, validation_accuracy_mean, validation_accuracy_low FROM '{file}'").fetchall() == [
        (1, 0.8, None)
    ]


def test_ranking_no_runs_gives_an_empty_table(lab: Any) -> None:
    assert len(rank(gather(lab.store).runs.to_pandas())) == 0


def test_the_command_ranks_and_names_a_wrong_plan_in_one_line(lab: Any, make_spec: Any, capsys: Any) -> None:
    lab.finish(make_spec(), 0.8123)
    lab.plan(("student_scratch", make_spec()))
    assert main([str(lab.store.root)]) == 0
    assert "81.23" in capsys.readouterr().out
    assert main([str(lab.store.root), "--plan", "nope"]) == 2
    assert capsys.readouterr().err == "error: unknown plan 'nope'; have: plan1\n"
