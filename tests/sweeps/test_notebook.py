"""The screen in a notebook: shown once and replaced in place; a stand-in is IPython's display, which tests lack."""

from __future__ import annotations

import io
import sys
import time
import types
from contextlib import nullcontext
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from sweeps.board import Board
from sweeps.estimates import kind_of
from sweeps.notebook import NotebookScreen
from sweeps.plan import make_plan
from sweeps.progress import LiveTable, live_view


class Cell:
    """What a notebook's output would hold: a list of displayed things, each replaced by its updates."""

    def __init__(self) -> None:
        self.outputs, self.num_updates = list[str](), 0

    def display(self, shown: Any, *, display_id: bool) -> Any:
        assert display_id
        place = len(self.outputs)
        self.outputs.append(shown)

        def update(new: str) -> None:
            self.outputs[place] = new
            self.num_updates += 1

        return types.SimpleNamespace(update=update)


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    cell = Cell()
    module = types.ModuleType("IPython.display")
    module.display, module.HTML = cell.display, str  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return cell


@pytest.fixture
def board(make_job: Any) -> Board:
    plan = make_plan([make_job("<script>alert(1)</script>"), make_job("other", lr=0.5)])
    return Board(plan, (), 1, epoch_seconds=lambda job: 1.0, kind=lambda job: kind_of(job.spec))


def test_a_notebook_shows_one_screen_and_updates_it_in_place(cell: Cell, board: Board) -> None:
    view = live_view(board, Console(force_jupyter=True), "report")
    with view or nullcontext():
        assert "2 waiting" in cell.outputs[0]
        board.started(next(iter(board.lines)))
    assert len(cell.outputs) == 1 and cell.num_updates >= 1
    html = cell.outputs[0]
    assert "1 running" in html
    assert "&lt;script&gt;alert(1)" in html and "<script" not in html


def test_a_notebook_is_refreshed_while_nothing_is_told(cell: Cell) -> None:
    shown = iter(range(1000))
    with NotebookScreen(lambda width, height, is_last: Text(f"shown {next(shown)}"), every=0.001):
        deadline = time.monotonic() + 20
        while cell.num_updates < 3 and time.monotonic() < deadline:
            time.sleep(0.001)
    assert "shown " in cell.outputs[0] and int(cell.outputs[0].split("shown ")[1].split("<")[0]) >= 3


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        ({"force_terminal": True}, {"TERM": "xterm"}, LiveTable),
        ({"force_terminal": True}, {"TERM": "dumb"}, None),
        ({"force_terminal": False}, {"TERM": "xterm"}, None),
    ],
)
def test_only_what_can_be_redrawn_is_drawn_on(
    board: Board, options: dict[str, Any], environment: dict[str, str], expected: type | None
) -> None:
    view = live_view(board, Console(file=io.StringIO(), _environ=environment, **options), "report")
    assert view is None if expected is None else isinstance(view, expected)
