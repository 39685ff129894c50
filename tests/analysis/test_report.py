"""The page: its numbers are those of the tables, and text from outside is text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from analysis.report import main, write_report
from trainers.storage import Store

HOSTILE = "</script><script>alert(1)</script>'\"&\u202e\u2028" + "x" * 300


class Page(HTMLParser):
    """What a test asks of a page: ids, texts of scripts, and every element that was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.opened: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.text: list[str] = []
        self._script: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.opened.append((tag, attributes))
        if attributes.get("id"):
            self.ids.append(str(attributes["id"]))
        if tag == "script":
            self._script = attributes.get("id") or f"script {len(self.scripts)}"
            self.scripts[self._script] = ""

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts[self._script] += data
        else:
            self.text.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._script = None if tag == "script" else self._script

    def json(self, name: str) -> Any:
        return json.loads(self.scripts[name])

    def rows(self, table: str) -> list[dict[str, Any]]:
        found = self.json("report-data")[table]
        return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


@pytest.fixture(autouse=True)
def no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Putting the real one together takes seconds; the tests in a browser have it."""
    monkeypatch.setattr("analysis.page.bundle.bundle", lambda: "/* charts */")


@pytest.fixture
def store(lab: Any, make_spec: Callable[..., Any]) -> Store:
    """Two seeds of a teacher and of a student, one more that failed, all under one plan."""
    jobs = []
    for seed in (0, 1):
        teacher = make_spec(model="resnet18", seed=seed)
        student = make_spec(seed=seed, teacher=teacher)
        lab.finish(teacher, 0.8 + seed / 100, num_params=11_182_155, size_bytes=44_800_000)
        lab.finish(student, 0.7 + seed / 100)
        jobs += [("teacher_scratch", teacher), ("student_kd", student)]
    wide = make_spec(model="wide")
    lab.fail(wide, f"loss is nan {HOSTILE}")
    lab.plan(*jobs, (HOSTILE, wide))
    made: Store = lab.store
    return made


def page_of(store: Store, **wishes: Any) -> Page:
    return Page(Path(str(write_report(store, **wishes))).read_text(encoding="utf-8"))


def test_numbers_of_the_page_are_those_in_parquet(store: Store) -> None:
    page = page_of(store)
    for name, key in (("ranking", "group_id"), ("runs", "run_id")):
        table = {row[key]: row for row in pq.read_table(store.table_file(name)).to_pylist()}
        rows = page.rows(name)
        assert len(rows) == len(table) > 0
        for row in rows:
            numbers = {column: value for column, value in row.items() if isinstance(value, int | float | None)}
            assert numbers == {column: table[row[key]][column] for column in numbers}


def test_curves_of_the_page_are_means_over_seeds(store: Store) -> None:
    page = page_of(store)
    student = next(row for row in page.rows("ranking") if row["label"] == "student_kd")
    curve = next(one for one in page.json("report-data")["curves"] if one["group_id"] == student["group_id"])
    assert curve["epochs"] == [1, 2]
    assert curve["validation"] == [0.5, 0.705]
    assert (curve["validation_low"], curve["validation_high"]) == ([0.5, 0.7], [0.5, 0.71])
    assert curve["best"] == [[2, 0.7], [2, 0.71]]


def test_what_is_hostile_is_shown_as_text(store: Store) -> None:
    text = Path(str(write_report(store))).read_text(encoding="utf-8")
    page = Page(text)
    assert "alert(1)" not in "".join(script for name, script in page.scripts.items() if name.startswith("script "))
    assert sum(tag == "script" for tag, _ in page.opened) == 4
    assert not set("\u202e\u2028") & set(text)
    assert any("<script>alert(1)</script>" in shown for shown in page.text)
    assert any("alert(1)" in str(row["label"]) for row in page.rows("ranking"))


def test_a_page_asks_nothing_of_any_network(store: Store) -> None:
    page = page_of(store)
    policy = next(str(found["content"]) for tag, found in page.opened if tag == "meta" and "http-equiv" in found)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert not re.search(r"https?:|\*|unsafe-eval", policy)
    for tag, attributes in page.opened:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert "src" not in attributes or str(attributes["src"]).startswith("data:")
        assert not str(attributes.get("href", "#")).startswith(("http", "//"))
        assert not [name for name in attributes if name.startswith("on")]


def test_ids_are_unique_and_links_lead_to_them(store: Store) -> None:
    page = page_of(store)
    assert len(page.ids) == len(set(page.ids))
    links = {str(attributes["href"])[1:] for tag, attributes in page.opened if tag == "a" and "href" in attributes}
    assert links and links <= set(page.ids)
    for run in page.rows("runs"):
        assert f"run-{run['run_id']}" in page.ids


def test_the_answer_is_the_best_network_that_the_budget_allows(store: Store) -> None:
    by_budget = {1_000_000: "student_kd", 100_000_000: "teacher_scratch"}
    for budget, name in by_budget.items():
        text = " ".join(page_of(store, budget_bytes=budget).text)
        assert re.search(rf"{name}\s*: \d+", text)
    assert "No network is that small" in " ".join(page_of(store, budget_bytes=1000).text)


def test_jobs_without_a_result_are_shown_with_the_end_of_their_log(lab: Any, make_spec: Callable[..., Any]) -> None:
    bad = make_spec(model="wide")
    lab.store.attempts(lab.fail(bad))[-1].log("\n".join(f"line {number}" for number in range(100)))
    kid = make_spec(teacher=bad)
    lab.plan(("wide", bad), ("kid", kid))
    text = " ".join(page_of(lab.store).text)
    assert "loss is not finite at epoch 1" in text and "blocked by wide" in text
    assert "line 99" in text and "line 1\n" not in text


def test_a_page_of_a_running_sweep_says_so(store: Store) -> None:
    assert "reload" not in page_of(store).ids
    page = page_of(store, is_running=True)
    assert "reload" in page.ids and "Running" in " ".join(page.text)
    assert page.json("report-data")["meta"]["is_running"] is True


def test_the_command_writes_the_page_of_a_plan_or_of_all_runs(
    store: Store, lab: Any, make_spec: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    lab.finish(make_spec(model="alone"))
    assert main([str(store.root)]) == 0
    file = Path(capsys.readouterr().out.strip())
    assert file == Path(str(store.root)) / "report" / "index.html"
    assert len(Page(file.read_text()).rows("runs")) == 5
    assert main([str(store.root), "--all"]) == 0
    assert len(Page(file.read_text()).rows("runs")) == 6
    assert main([str(store.root), "--plan", "nope"]) == 2
    assert "unknown plan 'nope'" in capsys.readouterr().err


def test_specs_that_would_fill_the_page_stay_in_the_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(store)
    assert len(page.json("report-data")["specs"]) == 3
    assert "too large" not in "".join(page.text)
    monkeypatch.setattr("analysis.page.sections.MOST_SPEC_BYTES", 100)
    page = page_of(store)
    assert page.json("report-data")["specs"] == {}
    assert "The specs would make the page too large" in "".join(page.text)


def test_figures_are_the_charts_of_the_page(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(store.root), "--figures", "svg"]) == 0
    folder = Path(str(store.root)) / "report" / "figures"
    names = {file.name for file in folder.iterdir()}
    assert {"pareto-num_params.svg", "curves.svg", "timeline.svg"} <= names
    points = re.findall(r'aria-label="[^"]*network: (\w+)', (folder / "pareto-num_params.svg").read_text())
    assert sorted(points) == ["student_kd", "teacher_scratch"]
    assert main([str(store.root), "--figures", "gif"]) == 2
    assert "--figures 'gif'; allowed: png, svg, pdf" in capsys.readouterr().err


def test_every_section_has_a_heading_that_names_it(store: Store) -> None:
    page = page_of(store)
    sections = [attributes for tag, attributes in page.opened if tag == "section"]
    assert len(sections) == 8
    assert all(section["aria-labelledby"] in page.ids for section in sections)
