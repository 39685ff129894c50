"""Pages in Debian's chromium, driven by Playwright: without a network, and no test may leave an error behind."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest

from trainers.storage import Store

HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MILLISECONDS = 120_000
"""That an action may take on a busy machine."""


def _module(name: str, file: Path) -> ModuleType:
    """A module beside the tests, which pytest puts on no path."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # for dataclasses, and for the next one
    spec.loader.exec_module(module)
    return module


laboratory = _module("laboratory", HERE.parent / "analysis" / "conftest.py")
stores = _module("stores", HERE / "stores.py")


@dataclass
class Browser:
    """A running browser, and what its pages did that they must not."""

    browser: Any
    wrong: list[str] = field(default_factory=list)

    def opened(self, file: Path, *, width: int = 1600, **look: Any) -> Any:
        """A page whose charts are drawn, in a context of its own without a network."""
        context = self.browser.new_context(viewport={"width": width, "height": 900}, offline=True, **look)
        context.set_default_timeout(MILLISECONDS)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.on("request", lambda request: self._allow(request.url))
        page.on("console", lambda said: said.type == "error" and self.wrong.append(said.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("dialog", lambda dialog: (self.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(file.as_uri())
        page.locator("html[data-ready=true]").wait_for()
        return page

    def _allow(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.wrong.append(f"request: {url[:200]}")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program; without it, or without Playwright, there is nothing to test with."""
    pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install '.[test]'")
    if CHROMIUM is None:
        pytest.skip("needs a chromium: apt-get install chromium")
    return CHROMIUM


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One for the tests of a file; Playwright runs an event loop, which must be gone when other files want theirs."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=MILLISECONDS)
    options = ["--no-sandbox"] if os.geteuid() == 0 else []  # its sandbox is not for root
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=options, timeout=5 * MILLISECONDS)
        yield Browser(started)
        started.close()


@pytest.fixture(autouse=True)
def nothing_goes_wrong(browser: Browser) -> Iterator[None]:
    """No error on the console, no request to a network, and no dialog, in any test."""
    yield
    wrong = browser.wrong.copy()
    browser.wrong.clear()
    assert not wrong


def _written(folder: Path, write: Callable[[Any], None]) -> Store:
    from analysis.report import write_report

    lab = laboratory.Lab(Store(folder / "store").open())
    write(lab)
    write_report(lab.store)
    made: Store = lab.store
    return made


@pytest.fixture(scope="session")
def rich(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with something for every section, and its page."""
    return _written(tmp_path_factory.mktemp("rich"), stores.write_rich)


@pytest.fixture(scope="session")
def runs(rich: Store) -> list[dict[str, Any]]:
    """The rows of runs.parquet that its page shows: those of the latest plan."""
    planned = {job.run_id for job in rich.plans()[-1].jobs}
    return [row for row in pq.read_table(rich.table_file("runs")).to_pylist() if row["run_id"] in planned]


@pytest.fixture(scope="session")
def hostile(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store whose every text means harm, and its page."""
    return _written(tmp_path_factory.mktemp("hostile"), stores.write_hostile)


@pytest.fixture(scope="module")
def page(browser: Browser, rich: Store) -> Any:
    """The page of the rich store, in a wide window; the tests of a file share it."""
    return browser.opened(rich.report_file("index.html"))


@pytest.fixture(scope="session")
def text_of_harm() -> str:
    """What every text of the hostile store begins with."""
    return str(stores.HOSTILE)
