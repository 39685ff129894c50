"""The memory allocator's settings under which networks train fastest on a CPU, and a process that has them.

By default glibc gives the memory of large activations back to the system after every step, and the system zeroes it
anew, page by page, in the next. How much that costs: tests/benchmarks/allocator.py.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping

VARIABLE = "GLIBC_TUNABLES"
SETTINGS = {
    "glibc.malloc.hugetlb": "1",  # huge pages, where the system has them for whoever asks
    "glibc.malloc.mmap_max": "0",  # large blocks come from the heap, too
    "glibc.malloc.trim_threshold": str(2**34),  # which is not given back between steps
    "glibc.malloc.top_pad": str(2**28),  # and grows in few large pieces
}
SAYING = f"memory: freed blocks are kept between steps, in huge pages where the system has them ({VARIABLE})"


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """What to set for a process that trains, given its variables; {} where nothing is known to help.

    A user's own settings of the same variable stay, and prevail.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return {}
    own = dict(pair.split("=", 1) for pair in variables.get(VARIABLE, "").split(":") if "=" in pair)
    return {VARIABLE: ":".join(f"{name}={value}" for name, value in {**SETTINGS, **own}.items())}


def is_set(variables: Mapping[str, str]) -> bool:
    """Whether a process with these variables has the settings already."""
    wanted = environment(variables)
    return bool(wanted) and wanted.items() <= variables.items()


def restart_with_it() -> None:
    """Begin this command again, as the same process, with the settings, which glibc reads at the very start.

    Comes back only where that changes nothing: in the process that was begun again, where nothing can be set, and
    under a debugger, which would lose it.
    """
    wanted = environment(os.environ)
    if wanted and not is_set(os.environ) and sys.executable and sys.gettrace() is None:
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **wanted})
