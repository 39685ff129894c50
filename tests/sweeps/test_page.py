"""The page that a sweep writes: at its end, and while it runs without holding it up."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sweeps import report
from sweeps.report import refreshing, seconds_to_wait, write_page
from trainers.storage import Store

WRITES = "import sys, pathlib; file = pathlib.Path(sys.argv[1]); file.write_text(file.read_text() + 'x')"


def test_a_sweep_ends_with_its_page_and_says_where_it_is(petite: Any, capfd: pytest.CaptureFixture[str]) -> None:
    from sweeps.run_all import main

    arguments = ["--store", str(petite.store), *petite.report, "--serial", "--quiet", "--only", "conv_plain"]
    assert main(arguments) == 0
    page = petite.store / "report" / "index.html"
    assert capfd.readouterr().out.splitlines()[-1] == f"report: {page}"
    assert page.read_text().count("conv_plain@0") >= 1
    assert "vegaEmbed" in page.read_text()


def test_a_page_that_cannot_be_written_is_one_line_and_no_failure(tmp_path: Path) -> None:
    line = write_page(Store(tmp_path / "nothing"), "plan1")
    assert line.startswith(f"report: not written (no store at {tmp_path / 'nothing'}") and "\n" not in line


def test_the_next_page_waits_for_twenty_times_what_the_last_one_took() -> None:
    assert [seconds_to_wait(took) for took in (0.1, 3.0, 10.0)] == [60.0, 60.0, 200.0]


@pytest.fixture
def hurried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pages are due every hundredth of a second; each adds a letter to a file."""
    file = tmp_path / "pages"
    file.touch()
    monkeypatch.setattr(report, "LEAST_SECONDS", 0.01)
    monkeypatch.setattr(report, "SHARE", 0)
    monkeypatch.setattr(report, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(report, "page_command", lambda *_, **__: [sys.executable, "-c", WRITES, str(file)])
    return file


def wait_for(is_so: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.01)
    assert is_so()


def test_pages_are_written_while_a_sweep_runs_and_none_afterwards(hurried: Path) -> None:
    before = threading.active_count()
    with refreshing(Store(hurried.parent), "plan1"):
        wait_for(lambda: len(hurried.read_text()) >= 2)
    assert threading.active_count() == before


def test_a_page_that_is_being_written_does_not_hold_up_the_end(hurried: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeps = "import sys, pathlib, time; pathlib.Path(sys.argv[1]).write_text('begun'); time.sleep(600)"
    monkeypatch.setattr(report, "page_command", lambda *_, **__: [sys.executable, "-c", sleeps, str(hurried)])
    with refreshing(Store(hurried.parent), "plan1"):
        wait_for(lambda: hurried.read_text() == "begun")
        began = time.monotonic()
    assert time.monotonic() - began < 60


def test_after_a_page_that_could_not_be_written_no_other_is_tried(
    hurried: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = f"{WRITES}; sys.exit(1)"
    monkeypatch.setattr(report, "page_command", lambda *_, **__: [sys.executable, "-c", fails, str(hurried)])
    before = threading.active_count()
    with refreshing(Store(hurried.parent), "plan1"):
        wait_for(lambda: threading.active_count() == before)
    assert hurried.read_text() == "x"
