"""A screen in a notebook, replaced where it stands; needs nothing but the IPython that runs the notebook."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

from rich.console import Console, RenderableType

WIDTH, HEIGHT = 110, 40
"""Of a cell's output, which has no size of its own."""

SECONDS = 1.0
_CODE = '<pre style="white-space:pre;overflow-x:auto;line-height:normal">{code}</pre>'


class NotebookScreen:
    """Shows what `render(width, height, is_last)` gives, kept up to date from a thread; use as a context manager."""

    def __init__(self, render: Callable[[int, int, bool], RenderableType], every: float = SECONDS) -> None:
        self._render, self._every, self._over = render, every, threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="screen", daemon=True)

    def __enter__(self) -> NotebookScreen:
        from IPython.display import display

        self._output: Any = display(self._html(), display_id=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()
        self._output.update(self._html(is_last=True))

    def _refresh(self) -> None:
        while not self._over.wait(self._every):
            self._output.update(self._html())

    def _html(self, *, is_last: bool = False) -> Any:
        from IPython.display import HTML

        console = Console(file=io.StringIO(), record=True, width=WIDTH, force_jupyter=False)
        console.print(self._render(WIDTH, HEIGHT, is_last))
        return HTML(console.export_html(inline_styles=True, code_format=_CODE))
