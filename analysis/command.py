"""What the analysis commands share: the store they are given, and how a user's mistake ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from trainers.errors import StoreError, SweepError
from trainers.files import first_look, is_folder
from trainers.shown import error_line
from trainers.space import explained
from trainers.storage import Store
from trainers.texts import check_text

USER_ERROR = 2
"""Exit code of a mistake that one line explains."""

PIPE_CLOSED = 141
"""Exit code when nobody reads on (`| head`): 128 + SIGPIPE, as a shell has it of other commands."""


def existing_store(root: str | Path, *, may_be_empty: bool = False) -> Store:
    """The store at this place; StoreError if there is none, if it holds no runs, or if a newer version wrote it."""
    check_text("store", str(root))
    store = Store(root)
    first_look(store.root)
    if not is_folder(store.root):
        raise StoreError(f"no store at {store.root}; give the folder that run_all.py --store was given")
    is_store = store.check_version()
    if not (is_store and may_be_empty) and not store.has_runs() and not store.plans():
        raise StoreError(f"{store.root} holds no runs and no plans; give another folder, or run a sweep into it")
    return store


def exit_code(action: Callable[[], None]) -> int:
    """Do it; a SweepError, or what the disk refuses, becomes one line on stderr and exit code 2."""
    try:
        action()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at its end
        return PIPE_CLOSED
    except (SweepError, OSError) as error:
        print(error_line(explained(error)), file=sys.stderr)
        return USER_ERROR
    return 0
