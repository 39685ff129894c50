"""What is asked of a page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What was asked for: the plan (None: all runs), the budget that the page opens at, and whether the sweep runs.

    `shows_pictures`: also those of data that is the user's own.
    """

    plan_id: str | None
    budget_bytes: int
    made_at: str
    is_running: bool = False
    shows_pictures: bool = False
