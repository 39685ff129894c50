"""Verdicts on claims and the table of pairs, from real stores; expected numbers by hand or from scipy."""

from __future__ import annotations

import itertools
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from analysis.claims import CLAIMS_SCHEMA
from analysis.comparisons import COMPARISONS_SCHEMA
from analysis.rank import RANKING_SCHEMA, write_ranking
from analysis.stats import holm
from trainers.spec import Choice

Accuracies = dict[str, list[float]]


def ranked(lab: Any, make_spec: Any, accuracies: Accuracies, **changes: Any) -> None:
    """A plan of jobs by label, each with an accuracy per seed (none: not finished), ranked."""
    jobs = []
    for label, values in accuracies.items():
        specs = [make_spec(model=label.replace("/", "-"), seed=seed) for seed in range(len(values) or 1)]
        jobs += [(label, spec) for spec in specs]
        for spec, accuracy in zip(specs, values, strict=False):
            lab.finish(spec, accuracy, **changes)
    lab.plan(*jobs)
    write_ranking(lab.store)


def table(lab: Any, name: str) -> list[dict[str, Any]]:
    return pq.read_table(lab.store.table_file(name)).to_pylist()


def claims(lab: Any) -> dict[str, dict[str, Any]]:
    return {row["claim_id"]: row for row in table(lab, "claims")}


def test_orders_get_a_verdict_from_paired_seeds_and_holm_over_all_claims(lab: Any, make_spec: Any) -> None:
    of = {
        "conv_depthwise": [0.72, 0.73, 0.713, 0.724],
        "conv_plain": [0.68, 0.692, 0.671, 0.685],
        "conv_group": [0.68, 0.66, 0.70, 0.61],
    }
    ranked(lab, make_spec, of, num_params=1)
    found = claims(lab)
    p = [
        stats.ttest_rel(of["conv_depthwise"], of["conv_plain"]).pvalue,
        stats.ttest_rel(of["conv_plain"], of["conv_group"]).pvalue,
    ]
    first, second = found["depthwise_over_plain"], found["plain_over_group"]
    assert (first["verdict"], first["num_more_seeds"], first["note"]) == ("confirmed", 0, None)
    assert (first["method"], first["n"], first["kind"]) == ("paired seeds", 4, "order")
    assert first["estimate"] == pytest.approx(np.mean(of["conv_depthwise"]) - np.mean(of["conv_plain"]))
    assert (first["p"], first["p_corrected"]) == (pytest.approx(p[0]), pytest.approx(2 * p[0]))
    assert (second["verdict"], second["p_corrected"]) == ("undecided", pytest.approx(p[1]))
    assert second["num_more_seeds"] > 0
    assert first["published"] is None  # the networks are not the report's


def test_the_opposite_of_a_claim_contradicts_it(lab: Any, make_spec: Any) -> None:
    ranked(lab, make_spec, {"conv_plain": [0.9, 0.91, 0.89], "conv_depthwise": [0.5, 0.52, 0.49]})
    row = claims(lab)["depthwise_over_plain"]
    assert (row["verdict"], row["num_more_seeds"]) == ("contradicted", 0)
    assert (row["first_label"], row["second_label"], row["estimate"] < 0) == ("conv_depthwise", "conv_plain", True)


def test_one_seed_decides_nothing_and_says_so(lab: Any, make_spec: Any) -> None:
    ranked(lab, make_spec, {"conv_plain": [0.2], "conv_depthwise": [0.9]})
    row = claims(lab)["depthwise_over_plain"]
    assert (row["verdict"], row["n"], row["num_more_seeds"], row["p_corrected"]) == ("undecided", 1, None, None)
    assert "one seed" in row["note"]


def test_jobs_without_a_result_leave_a_claim_undecided_and_jobs_not_planned_leave_it_out(
    lab: Any, make_spec: Any
) -> None:
    ranked(lab, make_spec, {"conv_plain": [0.9, 0.8], "conv_depthwise": []})
    assert list(claims(lab)) == ["depthwise_over_plain"]
    row = claims(lab)["depthwise_over_plain"]
    assert (row["verdict"], row["estimate"], row["num_more_seeds"]) == ("undecided", None, None)
    assert (row["note"], row["data_name"]) == ("no finished run of conv_depthwise", "food11")


def test_jobs_never_begun_belong_to_the_data_of_the_others_not_to_that_of_pretraining(lab: Any, make_spec: Any) -> None:
    pretrain, missing = make_spec(model="resnet18", data="5eed"), make_spec(model="depthwise")
    plain = [make_spec(model="plain", seed=seed) for seed in range(2)]
    for spec in (pretrain, *plain):
        lab.finish(spec)
    lab.plan(("pretrain", pretrain), ("conv_depthwise", missing), *(("conv_plain", spec) for spec in plain))
    write_ranking(lab.store)
    assert claims(lab)["depthwise_over_plain"]["note"] == "no finished run of conv_depthwise"


def test_seeds_without_any_spread_are_no_evidence(lab: Any, make_spec: Any) -> None:
    ranked(lab, make_spec, {"conv_plain": [0.5, 0.5], "conv_depthwise": [0.75, 0.75]})
    row = claims(lab)["depthwise_over_plain"]
    assert (row["verdict"], row["p"], row["low"]) == ("undecided", None, None)
    assert row["note"] == "the differences of all seeds are the same, so nothing can be tested"


@pytest.mark.parametrize(
    ("accuracies", "verdict"),
    [
        ([0.684, 0.686, 0.682], "confirmed"),
        ([0.75, 0.76, 0.74], "contradicted"),
        ([0.69, 0.63, 0.73], "undecided"),
        ([0.684], "undecided"),
    ],
)
def test_a_published_number_is_confirmed_by_an_interval_within_two_points_and_contradicted_by_one_outside(
    lab: Any, make_spec: Any, accuracies: list[float], verdict: str
) -> None:
    ranked(lab, make_spec, {"conv_plain": accuracies}, num_params=264_075)
    row = claims(lab)["number_conv_plain"]
    assert (row["kind"], row["published"], row["second_group_id"]) == ("number", 0.68425, None)
    assert (row["verdict"], row["estimate"]) == (verdict, pytest.approx(np.mean(accuracies)))
    assert (row["num_more_seeds"] == 0) == (verdict != "undecided")
    near = row["low"] >= 0.66425 and row["high"] <= 0.70425
    assert near == (verdict == "confirmed" or len(accuracies) == 1)


def test_orders_of_published_numbers_have_their_difference_on_the_reports_data_alone(lab: Any, make_spec: Any) -> None:
    for label, num_params in (("conv_plain", 264_075), ("conv_depthwise", 270_639)):
        for seed in (0, 1):
            lab.finish(make_spec(model=label, seed=seed), 0.7 + seed / 50, num_params=num_params)
            lab.finish(make_spec(model=label, seed=seed, data="other"), 0.7 + seed / 9, data_name="plates")
    jobs = itertools.product(("conv_plain", "conv_depthwise"), (0, 1), ("f00d", "other"))
    lab.plan(*((label, make_spec(model=label, seed=seed, data=data)) for label, seed, data in jobs))
    write_ranking(lab.store)
    rows = [row for row in table(lab, "claims") if row["claim_id"] == "depthwise_over_plain"]
    published = {row["data_fingerprint"]: row["published"] for row in rows}
    assert published == {"f00d": pytest.approx(0.71428 - 0.68425), "other": None}


def test_an_order_is_judged_at_every_point_of_a_grid(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(model="resnet18")
    jobs = [("teacher", teacher), ("student_scratch", make_spec())]
    for temperature in (1.0, 4.0):
        objective = Choice(name="kd", args={"temperature": temperature})
        jobs.append((f"student_kd/temperature={temperature:g}", make_spec(teacher=teacher, objective=objective)))
    for number, (_, spec) in enumerate(jobs):
        lab.finish(spec, 0.5 + number / 10)
    lab.plan(*jobs)
    write_ranking(lab.store)
    rows = [row for row in table(lab, "claims") if row["claim_id"] == "kd_over_none"]
    assert {row["variant"]: round(row["estimate"], 9) for row in rows} == {"temperature=1": 0.1, "temperature=4": 0.2}
    assert {row["second_label"] for row in rows} == {"student_scratch"}


def test_all_pairs_of_a_data_set_are_compared_and_corrected_together(lab: Any, make_spec: Any) -> None:
    of = {"a": [0.9, 0.91, 0.88], "b": [0.7, 0.72, 0.69], "c": [0.69, 0.715, 0.70]}
    ranked(lab, make_spec, of)
    lab.finish(make_spec(data="other"), 0.1)
    pairs = {(row["first_label"], row["second_label"]): row for row in table(lab, "comparisons")}
    p = {pair: stats.ttest_rel(of[pair[0]], of[pair[1]]).pvalue for pair in itertools.combinations("abc", 2)}
    if np.mean(of["c"]) > np.mean(of["b"]):
        p[("c", "b")] = p.pop(("b", "c"))
    assert set(pairs) == set(p)
    corrected = dict(zip(p, holm(np.array(list(p.values()))), strict=True))
    for pair, row in pairs.items():
        assert row["p"] == pytest.approx(p[pair])
        assert row["p_corrected"] == pytest.approx(corrected[pair])
        assert (row["first_rank"] < row["second_rank"], row["num_pairs"]) == (True, 3)
    ranks = {row["label"]: (row["rank"], row["rank_low"], row["rank_high"]) for row in table(lab, "ranking")}
    assert ranks["a"] == (1, 1, 1)
    assert {ranks[label] for label in "bc"} == {(2, 2, 3), (3, 2, 3)}


def test_groups_of_different_data_are_never_compared(lab: Any, make_spec: Any) -> None:
    for data in ("d1", "d2"):
        for model in ("a", "b"):
            lab.finish(make_spec(model=model, data=data), 0.5)
    write_ranking(lab.store, all_runs=True)
    assert [row["data_fingerprint"] for row in table(lab, "comparisons")] == ["d1", "d2"]
    assert {row["rank_high"] for row in table(lab, "ranking")} == {2}


def test_one_seed_has_its_bootstrap_over_pictures_and_several_have_none(lab: Any, make_spec: Any) -> None:
    ranked(lab, make_spec, {"a": [0.8], "b": [0.7, 0.71]}, test_accuracy=0.75)
    a, b = table(lab, "ranking")
    assert a["validation_accuracy_bootstrap_low"] == stats.binom.ppf(0.025, 3_430, 0.8) / 3_430
    assert a["test_accuracy_bootstrap_high"] == stats.binom.ppf(0.975, 3_347, 0.75) / 3_347
    assert (b["validation_accuracy_bootstrap_low"], a["validation_accuracy_low"]) == (None, None)


def test_of_many_groups_the_table_has_the_pairs_with_the_best_and_with_the_next(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.comparisons.MOST_WITH_ALL_PAIRS", 3)
    ranked(lab, make_spec, {name: [0.9 - 0.1 * number] for number, name in enumerate("abcde")})
    pairs = [(row["first_label"] + row["second_label"]) for row in table(lab, "comparisons")]
    assert sorted(pairs) == ["ab", "ac", "ad", "ae", "bc", "cd", "de"]
    assert {row["num_pairs"] for row in table(lab, "comparisons")} == {10}


def test_of_too_many_groups_the_first_are_compared_and_all_have_a_rank_interval(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.comparisons.MOST_PAIRED", 3)
    accuracies = (0.9, 0.89, 0.7, 0.56, 0.5, 0.499)  # 3,430 pictures: 0.5 is known to 0.022 at a sixth of the level
    ranked(lab, make_spec, {name: [accuracy] for name, accuracy in zip("abcdef", accuracies, strict=True)})
    rows = table(lab, "comparisons")
    assert [row["first_label"] + row["second_label"] for row in rows] == ["ab", "ac", "bc"]
    assert {(row["correction"], row["num_pairs"]) for row in rows} == {("bonferroni", 15)}
    assert [row["p_corrected"] for row in rows] == [min(1, 15 * row["p"]) for row in rows]
    assert 0.01 < rows[0]["p"] < 1
    ranks = [(row["rank_low"], row["rank_high"]) for row in table(lab, "ranking")]
    assert ranks == [(1, 2), (1, 2), (3, 3), (4, 4), (5, 6), (5, 6)]


def test_of_too_many_groups_an_interval_over_seeds_is_that_of_their_mean(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.comparisons.MOST_PAIRED", 1)
    spread = [-0.03] * 4 + [0.0] + [0.03] * 4  # sd 0.03, of the mean 0.01; times t of 8 for half the level: 0.028
    ranked(lab, make_spec, {label: [mean + one for one in spread] for label, mean in (("a", 0.6), ("b", 0.5))})
    assert [(row["rank_low"], row["rank_high"]) for row in table(lab, "ranking")] == [(1, 1), (2, 2)]


def test_the_tables_have_their_declared_schemas_and_open_in_duckdb(lab: Any, make_spec: Any) -> None:
    ranked(lab, make_spec, {"conv_plain": [0.9, 0.8], "conv_depthwise": [0.7, 0.72]})
    for name, schema in (("comparisons", COMPARISONS_SCHEMA), ("claims", CLAIMS_SCHEMA), ("ranking", RANKING_SCHEMA)):
        assert pq.read_table(lab.store.table_file(name)).schema.equals(schema)
    file = lab.store.table_file("claims")
    assert duckdb.sql(f"SELECT verdict FROM '{file}' WHERE kind = 'order'").fetchall() == [("undecided",)]
