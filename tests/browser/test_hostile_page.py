"""Names, reasons, hosts and logs that mean harm are text on the page: nothing runs, and nothing loses its place."""

from __future__ import annotations

import re
from typing import Any

import pytest

from trainers.shown import one_line
from trainers.storage import Store

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(browser: Any, hostile: Store) -> Any:
    return browser.opened(hostile.report_file("index.html"), width=400)


def test_hostile_text_makes_no_element_and_is_not_lost(page: Any, text_of_harm: str) -> None:
    """That no dialog came is looked at after every test."""
    made = page.evaluate("document.querySelectorAll('body script').length")
    assert made == 4, "the page's own"
    shown, text = page.locator("body").inner_text(), one_line(text_of_harm)
    places = {
        "h1": "sweep",
        ".lead": "data",
        "#ranking tbody": "label",
        "#failures": "reason and log",
        "#sweeps": "command",
        "#data-set": "class names",
        "#versions": "hardware",
        "#runs": "host",
    }
    for place, what in places.items():
        assert text in page.locator(place).first.text_content(), what
    assert not set("\u202e\u2028\0") & set(shown)


def test_hostile_text_widens_no_page(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_charts_are_drawn_over_hostile_names(page: Any) -> None:
    assert page.locator("#pareto svg .role-mark.mark-symbol path").count() == 2
    texts = page.locator(".chart svg text").all_text_contents()
    assert any("<script>" in text for text in texts)
    assert all(len(text) < 300 for text in texts)


def test_a_hostile_run_opens_filters_and_copies(page: Any) -> None:
    page.locator("#runs .opens").first.click()
    detail = page.locator("#runs tr.detail").first
    detail.locator("summary").click()
    spec = detail.locator("pre").inner_text()
    assert "alert(1)" in spec and "of a user" in spec
    assert not set("\u202e\u2028\0") & set(detail.text_content())
    page.fill("#filter-text", "</SCRIPT>")
    assert page.locator("#ranking tbody tr:visible").count() > 0
    page.click("#copy-markdown")
    page.locator("#copied", has_text="rows copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert not re.search(r"(?<!\\)<", copied) and "\\<script\\>" in copied
