"""Jobs that memory did not suffice for: what tells that, and fewer of them at a time in the passes that follow."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sweeps.passes import Pass
from trainers.result import Cause

MONITOR_WORDS = ("OutOfMemoryError", "NODE_OUT_OF_MEMORY", "running low on memory")
"""In what Ray says of a process that its own memory monitor killed."""

CGROUP = Path("/sys/fs/cgroup")
COUNTERS = ("memory.events", "memory/memory.oom_control")
"""Below our control group: of version 2 and of version 1."""

ALONE = "out of memory even with no other job beside it"


def oom_kills(root: Path = Path("/")) -> int | None:
    """How often the kernel has killed a process of ours, or else any, because memory was short; None if it won't say.

    In a container the count of its control group is that of its own processes.
    """
    with suppress(OSError):
        own = re.search(r"^0::(/.*)$", (root / "proc/self/cgroup").read_text(), re.MULTILINE)
        folder = root / CGROUP.relative_to("/")
        places = [folder / own[1].lstrip("/") / COUNTERS[0]] if own else []
        for place in (*places, *(folder / name for name in COUNTERS), root / "proc/vmstat"):
            with suppress(OSError):
                found = re.search(r"^oom_kill (\d+)$", place.read_text(), re.MULTILINE)
                if found:
                    return int(found[1])
    return None


class Deaths:
    """What worker processes died of, as far as this machine's kernel and Ray tell."""

    def __init__(self, count: Callable[[], int | None] = oom_kills) -> None:
        self._count, self._seen = count, count()

    def cause(self, told: str) -> Cause:
        """Of a death that was noticed just now; `told` is what Ray said of it."""
        before, self._seen = self._seen, self._count()
        is_counted = before is not None and self._seen is not None and self._seen > before
        return Cause.MEMORY if is_counted or any(words in told for words in MONITOR_WORDS) else Cause.MACHINE


class Crowd:
    """How many jobs may run at once: half as many after each pass in which memory ran short, down to one."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._most = say, 0

    def watching(self, execute: Callable[[Pass], None]) -> Callable[[Pass], None]:
        """The same, with as many jobs at a time as there may be by now; it fails for good what ran out of memory alone.

        That is the job's own need, which no later try would change.
        """

        def run(work: Pass) -> None:
            if self._most:
                work.setup = replace(
                    work.setup, max_concurrent=min(self._most, work.setup.max_concurrent or self._most)
                )
            execute(work)
            if work.short_of_memory and work.most_at_once > 1:
                self._thin(work)
            elif work.short_of_memory:
                for task in work.short_of_memory:
                    _fail_for_good(work, task)

        return run

    def _thin(self, work: Pass) -> None:
        self._most = work.most_at_once // 2
        names = sorted(work.plan.tasks[task].name for task in work.short_of_memory)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        self._say(
            f"out of memory with up to {work.most_at_once} jobs at a time ({names[0]}{more}); "
            f"from now on at most {self._most} at a time"
        )


def _fail_for_good(work: Pass, task: str) -> None:
    attempt, failure = work.latest_attempt(task), work.failures[task]
    if attempt is not None:
        attempt.write_failure(replace(failure, reason=f"{ALONE}: {failure.reason}", is_permanent=True))
