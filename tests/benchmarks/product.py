"""The product as its users run it: `run_all.py` in a process of its own, beside peers in processes of theirs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

PEERS = Path(__file__).resolve().parent / "peers"
RUN_ALL = ROOT / "sweeps" / "run_all.py"
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def command(store: Path, options: Mapping[str, object]) -> list[str]:
    """`python sweeps/run_all.py`: {"epochs": 2, "serial": True, "set": [...]} -> --epochs 2 --serial --set ... .

    Without the page at the end, which no peer makes.
    """
    words = [sys.executable, str(RUN_ALL), "--store", str(store), "--no-report"]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        values = value if isinstance(value, list) else [value]
        words += [word for one in values if one not in (None, False) for word in _words(option, one)]
    return words


def _words(option: str, value: object) -> list[str]:
    return [option] if value is True else [option, str(value)]


def run(words: Sequence[str], environment: Mapping[str, str] = ONE_THREAD, stdin: str = "") -> float:
    """Seconds that a process took from its start to its end; RuntimeError with what it said if it failed."""
    start = time.perf_counter()
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, env={**os.environ, **environment})
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
    return seconds


def peer(name: str, *arguments: object) -> list[str]:
    """The command line of a file in peers/."""
    return [sys.executable, str(PEERS / f"{name}.py"), *map(str, arguments)]
