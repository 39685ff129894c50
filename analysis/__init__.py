"""WHAT came out: run directories to tables and rankings; needs neither torch nor ray.

In a notebook, two lines give tables and charts (`analysis.notebook`):

    import analysis
    sweep = analysis.open("petite-store")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.notebook import OpenedStore


def open(store: str | Path, *, refresh: bool = False) -> OpenedStore:
    """The tables and charts of a store, as they were written last; with `refresh`, or if there are none, anew."""
    from analysis.notebook import open_store

    return open_store(store, refresh=refresh)
