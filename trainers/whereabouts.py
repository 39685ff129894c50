"""Which process this is, and whether another one of the same machine still runs, without asking any clock.

Host names and process ids alone repeat: a machine is told by the start of its system and its namespace of processes,
a process by its id and the tick in which it began.
"""

from __future__ import annotations

import os
from pathlib import Path


def this_machine() -> str:
    """One start of one system, as far as process ids mean the same; "" where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def begun_at(pid: int) -> str:
    """The tick in which a process of this machine began; "" if there is none, or only what its parent has to bury."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else fields[18]
    except (OSError, ValueError, IndexError):
        return ""


def is_gone(machine: str, pid: int, begun: str) -> bool:
    """Whether a process certainly runs no more; False if it was on another machine, of which nothing is known."""
    return bool(machine) and machine == this_machine() and begun_at(pid) != begun
