"""Jobs under Ray that memory does not suffice for, and one that hangs: what becomes of them, and of the others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainers.result import Cause
from trainers.storage import Store
from trainers.watchdog import VARIABLE

pytestmark = [pytest.mark.faults, pytest.mark.ray]

GREEDY = '''"""Cross-entropy that needs all the memory there is: no two jobs may learn by it at once."""
import os, time
from torch.nn import functional as F

PLACE = {place!r}
NEEDS_TEACHER = False


def build():
    """The first two meet, and neither has enough; later whoever finds another at work has not."""
    if not os.path.exists(PLACE + "/met"):
        open(PLACE + "/here-" + str(os.getpid()), "w").close()
        end = time.monotonic() + 60
        while sum(name.startswith("here-") for name in os.listdir(PLACE)) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.5)
        open(PLACE + "/met", "w").close()
        raise MemoryError("all of it is taken")

    def objective(logits_NK, teacher_logits_NK, labels_N):
        os.close(os.open(PLACE + "/busy", os.O_CREAT | os.O_EXCL))
        time.sleep(0.1)
        os.unlink(PLACE + "/busy")
        return {{"loss": F.cross_entropy(logits_NK, labels_N)}}

    return objective
'''

STUCK = '''"""Cross-entropy that once, in its second epoch, does not come back."""
import os, time
from torch.nn import functional as F

PLACE = {place!r}
NEEDS_TEACHER = False


def build():
    steps = []

    def waits_for_ever():
        if len(steps) == 4 and not os.path.exists(PLACE + "/stuck"):
            open(PLACE + "/stuck", "w").close()
            time.sleep(3600)

    def objective(logits_NK, teacher_logits_NK, labels_N):
        steps.append(1)
        waits_for_ever()
        return {{"loss": F.cross_entropy(logits_NK, labels_N)}}

    return objective
'''

SWEEP = '''"""Two greedy jobs and a sticky one."""
from trainers.spec import Choice, Role

SMALL = Choice(name="conv_plain", args={"channels": (4, 6), "final_size": 2})


def jobs(context):
    return context.of_every_seed(_of_seed)


def _of_seed(context, seed):
    def job(label, objective, lr):
        more = {"role": Role.VARIANT, "model": SMALL, "seed": seed, "objective": objective}
        return context.job(label, **more, settings={"optimizer.lr": lr})

    return (job("first", "greedy", 0.01), job("second", "greedy", 0.02), job("sticky", "stuck", 0.01))
'''


@pytest.fixture
def sweep(tiny: Any, tool: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command on this sweep under Ray with two CPUs, with any more options, and then its environment."""
    folder, place = tmp_path / "own", tmp_path / "place"
    place.mkdir()
    data = (tiny.plugins / "data" / "specks.py").read_text()
    files = {"objectives/greedy.py": GREEDY, "objectives/stuck.py": STUCK}
    texts = {name: text.format(place=str(place)) for name, text in files.items()}
    for name, text in {**texts, "data/specks.py": data, "sweeps/hungry.py": SWEEP}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    program = [sys.executable, str(tool.parents[1] / "sweeps" / "run_all.py"), "--store", str(tmp_path / "store")]
    options = ["--plugins", str(folder), "--data", "specks", "--sweep", "hungry", "--epochs", "2", "--batch-size", "8"]

    def run(*more: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*program, *options, *more], capture_output=True, text=True, timeout=280, env={**os.environ, **environment}
        )

    return run


def test_jobs_that_ran_out_of_memory_together_are_done_one_after_the_other(
    sweep: Any, tmp_path: Path, inject: Callable[..., None]
) -> None:
    done = sweep("--only", "first", "--only", "second")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "out of memory with up to 2 jobs at a time" in said and "from now on at most 1 at a time" in said
    store = Store(tmp_path / "store")
    attempts = [store.attempts(run) for run in store.run_ids()]
    assert [len(of_run) for of_run in attempts] == [2, 2], "no try was made at once, in vain"
    failures = [of_run[0].failure() for of_run in attempts]
    assert [(one.cause, one.reason) for one in failures if one] == 2 * [
        (Cause.MEMORY, "MemoryError: all of it is taken")
    ]
    repeated = "none: it was short before the first epoch"
    inject(fault="memory for one job at a time", times=2, finished_lost=0, repeated=repeated, outcome="done in turn")


def test_a_job_that_hangs_is_ended_and_goes_on_from_its_last_epoch(
    sweep: Any, tmp_path: Path, inject: Callable[..., None]
) -> None:
    done = sweep("--only", "sticky", **{VARIABLE: "15"})
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "sticky@0: FAILED hung: no epoch in 15 s (its slowest took " in said
    store = Store(tmp_path / "store")
    (run,) = store.run_ids()
    first, second = store.attempts(run)
    failure, result = first.failure(), store.result(run)
    assert failure is not None and failure.cause is Cause.HUNG
    assert "in waits_for_ever" in (tmp_path / "store" / "runs" / run / "attempts" / first.token / "log.txt").read_text()
    assert result is not None and result.attempt == second.token and result.resumed_from_epochs == (1,)
    inject(fault="a job that hangs", times=1, finished_lost=0, repeated="1 epoch", outcome="ended, went on, done")
