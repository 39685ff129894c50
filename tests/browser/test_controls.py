"""What a person does to the page, by mouse and by keyboard; what it must show then comes from the tables."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest

from trainers.storage import Store

pytestmark = pytest.mark.browser

Rows = list[dict[str, Any]]
POINTS = "#pareto svg .role-mark.mark-symbol path"
ROWS = "#ranking tbody tr:visible"


@pytest.fixture(autouse=True)
def nothing_is_filtered(page: Any) -> Iterator[None]:
    yield
    page.click("#filter-clear")


@pytest.fixture(scope="module")
def ranking(rich: Store) -> Rows:
    return list(pq.read_table(rich.table_file("ranking")).to_pylist())


def slide(page: Any, bytes_at_most: float) -> None:
    """Move the slider, whose value is a power of ten."""
    page.locator("#budget").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }",
        math.log10(bytes_at_most),
    )


def test_the_answer_at_every_budget_is_the_best_of_what_fits(page: Any, ranking: Rows) -> None:
    """Of all data sets the one that stands first, by brute force over ranking.parquet."""
    first = next(row for row in ranking if row["rank"] is not None)["data_fingerprint"]
    known = [row for row in ranking if row["rank"] is not None and row["data_fingerprint"] == first]
    sizes = sorted({row["size_bytes"] for row in known})
    budgets = [*(size + 500 for size in sizes), *(size - 500 for size in sizes)]
    for budget in budgets:
        slide(page, budget)
        text = page.locator("#answer").inner_text()
        fitting = [row for row in known if row["size_bytes"] <= budget]
        if not fitting:
            assert "No network is that small" in text
            continue
        best = max(fitting, key=lambda row: (row["validation_accuracy_mean"], -row["size_bytes"]))
        assert page.locator("#answer strong").inner_text() == best["label"]
        assert f"{100 * best['validation_accuracy_mean']:.2f}%" in text and f"{best['num_params']:,} parameters" in text


def test_the_slider_moves_by_keyboard_from_nothing_to_the_largest(page: Any) -> None:
    page.focus("#budget")
    page.keyboard.press("Home")
    assert "No network is that small" in page.locator("#answer").inner_text()
    said = page.get_attribute("#budget", "aria-valuetext")
    page.keyboard.press("End")
    assert "teacher_pretrained" in page.locator("#answer").inner_text()
    assert page.get_attribute("#budget", "aria-valuetext") != said
    assert page.locator("#budget-text").inner_text() == page.get_attribute("#budget", "aria-valuetext")


@pytest.mark.parametrize("name", ["role", "model", "objective"])
def test_a_filter_acts_on_table_runs_and_charts(page: Any, ranking: Rows, runs: Rows, name: str) -> None:
    from playwright.sync_api import expect

    for value in sorted({row[name] for row in ranking if row[name]}):
        page.select_option(f"#filter-{name}", label=value)
        groups = [row for row in ranking if row[name] == value]
        ids = {row["group_id"] for row in groups}
        assert page.locator(ROWS).count() == len(groups)
        assert page.locator("#runs tbody tr[data-run]:visible").count() == sum(run["group_id"] in ids for run in runs)
        drawn = [row for row in groups if row["rank"] is not None and row["num_params"] is not None]
        expect(page.locator(POINTS)).to_have_count(len(drawn))
        assert page.locator("#filter-count").inner_text() == f"{len(groups)} of {len(ranking)} networks"


def test_filters_add_up_and_the_text_is_a_part_of_the_name(page: Any, ranking: Rows) -> None:
    page.fill("#filter-text", " STUDENT_kd ")
    page.select_option("#filter-objective", label="kd")
    expected = {
        f"group-{row['group_id']}" for row in ranking if "student_kd" in row["label"] and row["objective"] == "kd"
    }
    assert {row.get_attribute("id") for row in page.locator(ROWS).all()} == expected != set()
    page.fill("#filter-text", "no such network")
    assert page.locator(ROWS).count() == 0
    page.click("#filter-clear")
    assert page.locator(ROWS).count() == len(ranking)


COLUMNS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "parameters": lambda row: row["num_params"],
    "validation %": lambda row: row["validation_accuracy_mean"],
    "train time": lambda row: row["train_seconds_mean"],
    "rank": lambda row: row["rank"],
}


def heading_of(page: Any, name: str) -> Any:
    return page.locator("#ranking thead th").filter(has_text=re.compile(rf"^\s*{name}\s*$"))


def pressed(page: Any, button: Any) -> None:
    button.focus()
    page.keyboard.press("Enter")


@pytest.mark.parametrize("press", [lambda page, button: button.click(), pressed], ids=["click", "keyboard"])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_heading_sorts_up_and_down_with_what_is_unknown_last(
    page: Any, ranking: Rows, name: str, press: Callable[[Any, Any], None]
) -> None:
    by_id = {f"group-{row['group_id']}": COLUMNS[name](row) for row in ranking}
    heading = heading_of(page, name)
    button = heading.locator("button")
    for _ in range(2):
        press(page, button)
        order = heading.get_attribute("aria-sort")
        values = [by_id[str(row.get_attribute("id"))] for row in page.locator(ROWS).all()]
        known = [value for value in values if value is not None]
        assert known == sorted(known, reverse=order == "descending")
        assert values == known + [None] * (len(values) - len(known))
        assert page.locator("#ranking thead th:not([aria-sort=none])").count() == 1
    press(page, button)
    assert heading.get_attribute("aria-sort") != order


def test_names_sort_as_text(page: Any, ranking: Rows) -> None:
    heading_of(page, "network").locator("button").click()
    names = page.locator("#ranking tbody th").all_inner_texts()
    assert names == sorted(names, key=str.casefold) and len(names) == len(ranking)


def markdown(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if not re.fullmatch(r"[|\s:-]+", line)]
    return [[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in line.strip("|").split("|")] for line in lines]


def latex(text: str) -> list[list[str]]:
    lines = [line.removesuffix("\\\\") for line in text.splitlines() if "&" in line]
    plain = [line.replace("$\\pm$", "±") for line in lines]
    return [[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in re.split(r"(?<!\\)&", line)] for line in plain]


FORMATS = {"markdown": markdown, "latex": latex}


@pytest.mark.parametrize("name", FORMATS)
def test_a_copy_reads_back_as_the_table_that_is_shown(page: Any, ranking: Rows, name: str) -> None:
    from playwright.sync_api import expect

    page.select_option("#filter-role", label="student")
    page.evaluate("navigator.clipboard.writeText('')")
    page.click(f"#copy-{name}")
    students = [row for row in ranking if row["role"] == "student"]
    expect(page.locator("#copied")).to_have_text(f"{len(students)} rows copied")
    head, *rows = FORMATS[name](page.evaluate("navigator.clipboard.readText()"))
    assert head == [text.strip() for text in page.locator("#ranking thead th").all_inner_texts()]
    copied = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert len(copied) == len(students)
    for row in students:
        cell, mean = copied[row["label"]], row["validation_accuracy_mean"]
        assert cell["validation %"].partition(" ")[0] == ("" if mean is None else f"{100 * mean:.2f}")
        assert cell["parameters"] == ("" if mean is None else f"{row['num_params']:,}")


def test_a_copy_as_csv_has_the_numbers_of_the_table_file_for_what_is_shown(page: Any, ranking: Rows) -> None:
    from playwright.sync_api import expect

    page.select_option("#filter-role", label="student")
    heading_of(page, "parameters").locator("button").click()
    page.evaluate("navigator.clipboard.writeText('')")
    page.click("#copy-csv")
    students = [row for row in ranking if row["role"] == "student"]
    expect(page.locator("#copied")).to_have_text(f"{len(students)} rows copied")
    copied = list(csv.DictReader(io.StringIO(page.evaluate("navigator.clipboard.readText()"))))
    shown = [row.get_attribute("id").removeprefix("group-") for row in page.locator(f"{ROWS}:visible").all()]
    assert [row["group_id"] for row in copied] == shown and sorted(shown) == sorted(row["group_id"] for row in students)
    by_id = {row["group_id"]: row for row in copied}
    for row in students:
        for name in ("label", "num_params", "validation_accuracy_mean", "validation_accuracy_low", "size_bytes"):
            assert by_id[row["group_id"]][name] == ("" if row[name] is None else f"{row[name]}")


def test_a_click_on_a_point_leads_to_its_run(page: Any, runs: Rows) -> None:
    from playwright.sync_api import expect

    by_id = {run["run_id"]: run for run in runs}
    page.select_option("#filter-role", label="teacher")
    expect(page.locator(POINTS)).to_have_count(2)
    seen = set()
    for point in page.locator(POINTS).all():
        point.scroll_into_view_if_needed()
        box = point.bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        run = by_id[page.evaluate("location.hash").removeprefix("#run-")]
        opened = page.locator(f"#detail-{run['run_id']}")
        assert opened.is_visible() and str(run["weights_sha256"]) in opened.inner_text()
        assert page.evaluate("document.activeElement.textContent") == f"{run['label']}@{run['seed']}"
        assert page.locator(f"#run-{run['run_id']} .opens").get_attribute("aria-expanded") == "true"
        seen.add(run["label"])
    assert seen == {"teacher_scratch", "teacher_pretrained"}


def test_a_run_opens_and_closes_by_keyboard_with_its_spec(page: Any) -> None:
    button = page.locator("#runs .opens").first
    if button.get_attribute("aria-expanded") == "true":
        pressed(page, button)
    pressed(page, button)
    detail = page.locator("#runs tr.detail").first
    assert detail.is_visible()
    detail.locator("summary").click()
    assert '"optimizer"' in detail.locator("pre").inner_text()
    pressed(page, button)
    assert button.get_attribute("aria-expanded") == "false"


STEP = """() => {
  const at = document.activeElement, style = getComputedStyle(at);
  const key = [...document.querySelectorAll("*")].indexOf(at);
  return [key, at.outerHTML.slice(0, 120), style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0];
}"""
REACHABLE = """() => [...document.querySelectorAll("*")].map((one, key) => [one, key])
  .filter(([one]) => one.matches("a[href], button, input, select, summary, [tabindex='0']"))
  .filter(([one]) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled)
  .map(([one, key]) => [key, one.outerHTML.slice(0, 120)])"""


def test_tab_reaches_every_control_and_shows_where_it_is(page: Any) -> None:
    page.fill("#filter-text", "conv_")  # fewer rows, so fewer steps
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    wanted = dict(page.evaluate(REACHABLE))
    reached = {}
    page.evaluate("document.body.tabIndex = -1; document.body.focus()")
    for _ in range(len(wanted) + 2):
        page.keyboard.press("Tab")
        key, html, is_seen = page.evaluate(STEP)
        reached[key] = html
        assert is_seen or key not in wanted, f"the focus cannot be seen on {html}"
    assert {html for key, html in wanted.items() if key not in reached} == set()
