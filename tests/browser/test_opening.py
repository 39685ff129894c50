"""The page opens by itself: no network, no error, every chart drawn, and its numbers are those of the tables."""

from __future__ import annotations

import json
from typing import Any

import pyarrow.parquet as pq
import pytest

from analysis.charts.pareto import SIZES
from trainers.shown import one_line
from trainers.storage import Store

pytestmark = pytest.mark.browser

POINTS = "#pareto svg .role-mark.mark-symbol path"
WHISKERS = "#pareto svg .role-mark.mark-rule line"
CURVES = "#curves svg"
FILES = {"gains": "kd_gains"}
"""Tables that have another name in the page than in the store."""


@pytest.fixture(scope="module")
def numbers(page: Any) -> dict[str, Any]:
    """The page's own data, as the browser has it."""
    found: dict[str, Any] = json.loads(page.locator("#report-data").text_content())
    return found


Rows = list[dict[str, Any]]


def parquet(store: Store, name: str) -> Rows:
    """The rows of a table, as pyarrow reads them."""
    return list(pq.read_table(store.table_file(name)).to_pylist())


def test_a_page_opens_from_a_file_without_a_network(page: Any) -> None:
    """That nothing was asked for, and no error came, is looked at after every test of this folder."""
    assert page.url.startswith("file:") and page.evaluate("navigator.onLine") is False
    assert "report" in page.locator("h1").inner_text()


def test_every_link_in_the_page_leads_somewhere(page: Any) -> None:
    lost = page.evaluate(
        """[...document.querySelectorAll("a[href]")].map((link) => link.getAttribute("href"))
            .filter((to) => !to.startsWith("#") || !document.getElementById(decodeURIComponent(to.slice(1))))"""
    )
    assert lost == []


def test_every_ranked_group_with_a_measure_is_a_point_with_its_interval(page: Any, rich: Store) -> None:
    from playwright.sync_api import expect

    ranked = [row for row in parquet(rich, "ranking") if row["rank"] is not None]
    offered = [option.get_attribute("value") for option in page.locator("#pareto-size option").all()]
    assert offered == [size for size in SIZES if any(row.get(size) for row in ranked)]
    for size in offered:
        page.select_option("#pareto-size", size)
        known = [row for row in ranked if row[size] is not None]
        expect(page.locator(POINTS)).to_have_count(len(known))
        ends = ("validation_accuracy_low", "validation_accuracy_bootstrap_low")
        whiskers = [row for row in known if any(row.get(end) is not None for end in ends)]
        expect(page.locator(WHISKERS)).to_have_count(len(whiskers))
        assert 0 < len(whiskers) <= len(known) < len(parquet(rich, "ranking"))


def test_every_group_with_curves_is_a_small_chart_with_its_best_epochs(page: Any, rich: Store, runs: Rows) -> None:
    groups = {row["group_id"] for row in parquet(rich, "curves")} & {row["group_id"] for row in runs}
    assert page.locator(f"{CURVES} .role-scope.cell > g").count() == len(groups)
    best = [row for row in runs if row["best_epoch"] is not None]
    assert page.locator(f"{CURVES} .mark-symbol.role-mark path").count() == len(best)
    assert page.locator(f"{CURVES} .mark-line.role-mark path").count() == 2 * len(groups)


def test_no_chart_of_the_page_is_empty(page: Any) -> None:
    marks = page.evaluate(
        """[...document.querySelectorAll(".chart")].filter((chart) => chart.offsetParent).map((chart) => [chart.id,
            chart.querySelectorAll("svg .role-mark > :is(path, line, rect, text, g)").length])"""
    )
    assert len(marks) >= 2 and all(number > 0 for _, number in marks), marks


def test_the_page_has_all_numbers_of_the_tables(numbers: dict[str, Any], rich: Store, runs: Rows) -> None:
    """Every table that has the name of a file has its rows and columns, without any rounding."""
    compared = []
    for name, table in numbers.items():
        file = rich.table_file(FILES.get(name, name))
        if not (isinstance(table, dict) and "columns" in table and file.exists()):
            continue
        compared.append(name)
        rows = runs if name == "runs" else list(pq.read_table(file).to_pylist())
        columns = [column for column in table["columns"] if column in pq.read_schema(file).names]
        ours = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
        assert in_order(ours, columns) == in_order(rows, columns), name
    assert {"ranking", "runs", "claims", "gains", "agreement"} <= set(compared)


def in_order(rows: list[dict[str, Any]], columns: list[str]) -> list[str]:
    """Rows as texts that can be compared; text from outside is one line on the page."""
    shown = [
        {name: one_line(row[name]) if isinstance(row[name], str) else row[name] for name in columns} for row in rows
    ]
    return sorted(json.dumps(row) for row in shown)


def test_the_ranking_shows_the_numbers_of_the_table(page: Any, rich: Store) -> None:
    groups = {f"group-{row['group_id']}": row for row in parquet(rich, "ranking")}
    names = [name.strip() for name in page.locator("#ranking thead th").all_inner_texts()]
    shown = page.evaluate(
        """[...document.querySelectorAll("#ranking tbody tr")].map((row) => [row.id, [...row.cells].map((cell) =>
            cell.textContent.trim())])"""
    )
    assert {row for row, _ in shown} == set(groups)
    for row_id, cells in shown:
        row, cell = groups[row_id], dict(zip(names, cells, strict=True))
        assert cell["network"].startswith(row["label"])
        assert cell["n"] == str(row["n"])
        assert cell["rank"].partition(" ")[0] == str(row["rank"] or "")
        for name in ("validation", "test"):
            assert cell[f"{name} %"] == percents(row, f"{name}_accuracy")
        assert cell["parameters"] == ("" if row["num_params"] is None else f"{row['num_params']:,}")


def percents(row: dict[str, Any], name: str) -> str:
    mean, low, high = (row[f"{name}_{part}"] for part in ("mean", "low", "high"))
    if mean is None:
        return ""
    return f"{mean * 100:.2f}" if low is None else f"{mean * 100:.2f} ±{(high - low) * 50:.2f}"


def test_every_run_is_listed_with_its_state_and_its_numbers(page: Any, runs: Rows) -> None:
    by_id = {row["run_id"]: row for row in runs}
    shown = page.evaluate(
        """[...document.querySelectorAll("#runs tbody tr[data-run]")].map((row) => [...row.cells].map((cell) =>
            cell.textContent.trim()))"""
    )
    assert {cells[-1] for cells in shown} == set(by_id)
    for name, status, validation, test, *_, run_id in shown:
        run = by_id[run_id]
        assert (name, status) == (f"{run['label']}@{run['seed']}", run["status"])
        accuracies = (run["best_validation_accuracy"], run["test_accuracy"])
        assert [validation, test] == ["" if value is None else f"{100 * value:.2f}" for value in accuracies]


def test_jobs_without_a_result_are_on_the_page_with_their_reasons(page: Any, runs: Rows) -> None:
    missing = [row for row in runs if row["status"] in ("failed", "blocked")]
    texts = page.locator("#failures li").all_inner_texts()
    assert len(missing) == len(texts) == 2
    for run in missing:
        (text,) = (text for text in texts if text.startswith(f"{run['label']}@{run['seed']}"))
        assert run["status"] in text and (run["blocked_by"] or run["reason"]) in text
