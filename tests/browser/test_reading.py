"""The page in a narrow and a wide window, light and dark: nothing beside the window, nothing that axe objects to."""

from __future__ import annotations

from typing import Any

import pytest

from trainers.storage import Store

pytestmark = pytest.mark.browser

TOO_WIDE = """() => [...document.querySelectorAll("body *")].filter((one) => {
  const box = one.getBoundingClientRect();
  const clips = (up) => ["auto", "scroll", "hidden"].includes(getComputedStyle(up).overflowX);
  const scrolls = (up) => up && (clips(up) || scrolls(up.parentElement));
  return box.width > 0 && box.right > innerWidth + 1 && !scrolls(one.parentElement);
}).map((one) => one.outerHTML.slice(0, 200))"""
CUT_OFF = """() => [...document.querySelectorAll(".chart svg text")].filter((one) => {
  const box = one.getBoundingClientRect(), around = one.closest("svg").getBoundingClientRect();
  return box.width > 0 && (box.left < around.left - 2 || box.right > around.right + 2);
}).map((one) => one.textContent)"""


@pytest.fixture(scope="module", params=[(400, "light"), (400, "dark"), (1600, "light"), (1600, "dark")], ids=str)
def page(request: pytest.FixtureRequest, browser: Any, rich: Store) -> Any:
    width, colours = request.param
    opened = browser.opened(rich.report_file("index.html"), width=width, color_scheme=colours, reduced_motion="reduce")
    yield opened
    opened.close()


def test_nothing_is_wider_than_the_window_but_what_scrolls(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(TOO_WIDE) == []


def test_no_text_of_a_chart_is_cut_off(page: Any) -> None:
    assert page.evaluate(CUT_OFF) == []


def test_axe_finds_nothing_to_object_to(page: Any) -> None:
    sync_playwright = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.locator("#runs .opens").first.click()
    found = sync_playwright.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_who_wants_no_motion_gets_none(page: Any) -> None:
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert page.evaluate("document.getAnimations().length") == 0
    moving = (
        """[...document.querySelectorAll("*")].filter((one) => parseFloat(getComputedStyle(one).transitionDuration))"""
    )
    assert page.evaluate(f"{moving}.length") == 0
