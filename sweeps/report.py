"""The page of a sweep, `report/index.html`: written when the sweep ends, and now and then while it runs.

A process of its own writes it, so that nothing of what draws charts is loaded here, and nothing that goes wrong there
matters to the sweep. While the sweep runs, that process has a low priority, and little of the time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainers.storage import Store

LEAST_SECONDS = 60.0
"""Between two pages of a sweep that runs; one that is over sooner gets its page at the end alone."""
SHARE = 20
"""The next page is not begun before so many times what the last one took: it costs a twentieth of a slow processor."""
MOST_SECONDS = 1800.0
_POLL_SECONDS = 0.5


def write_page(store: Store, plan: str) -> str:
    """Write the page of a plan; gives the line that says where it is, or why there is none."""
    try:
        done = subprocess.run(
            page_command(store, plan), env=_environment(), capture_output=True, text=True, timeout=MOST_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"report: not written ({error})"
    if done.returncode == 0:
        return f"report: {store.report_file('index.html')}"
    reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1].removeprefix("error: ")
    return f"report: not written ({reason})"


def page_command(store: Store, plan: str, *, is_running: bool = False) -> list[str]:
    """What writes the page of a plan; `-P`: whatever lies in the user's folder is not what it imports."""
    command = [sys.executable, "-P", "-m", "analysis.report", str(store.root), "--plan", plan]
    return [*command, "--running"] if is_running else command


@contextmanager
def refreshing(store: Store, plan: str) -> Iterator[None]:
    """Meanwhile, the page is written anew from time to time; what is at it when the sweep ends is stopped."""
    ended = threading.Event()
    thread = threading.Thread(target=_refresh, args=(page_command(store, plan, is_running=True), ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _refresh(command: list[str], ended: threading.Event) -> None:
    """Until the sweep has ended, or a page could not be written: then the next one could not either."""
    wait = LEAST_SECONDS
    while not ended.wait(wait):
        started = time.monotonic()
        if not _is_written(command, ended):
            return
        wait = seconds_to_wait(time.monotonic() - started)


def seconds_to_wait(took_seconds: float) -> float:
    """Before the next page, after one that took so long."""
    return max(LEAST_SECONDS, SHARE * took_seconds)


def _is_written(command: list[str], ended: threading.Event) -> bool:
    nothing = subprocess.DEVNULL
    try:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command, env=_environment(), start_new_session=True, stdin=nothing, stdout=nothing, stderr=nothing
        )
    except OSError:
        return False
    while process.poll() is None:
        if ended.wait(_POLL_SECONDS):
            process.terminate()
            process.wait()
            return False
    return process.returncode == 0


def _environment() -> dict[str, str]:
    """This process's, with our packages found whether they are installed or not."""
    root = str(Path(__file__).resolve().parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
