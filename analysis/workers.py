"""Many runs by all processors, in chunks; few of them right here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from trainers.errors import StoreError
from trainers.processes import SPAWN, end_with_parent, hidden_main, num_cpus

T = TypeVar("T")
R = TypeVar("R")

RUNS_PER_CHUNK = 500
FEW_RUNS = 4_000
"""Up to so many, starting processes takes longer than they save."""


@contextmanager
def workers(num_runs: int) -> Iterator[ProcessPoolExecutor | None]:
    """As many processes as there are processors; None for few runs. StoreError if one of them dies."""
    if num_runs <= FEW_RUNS or num_cpus() == 1:
        yield None
        return
    with ProcessPoolExecutor(num_cpus(), SPAWN, initializer=end_with_parent) as pool:
        try:
            yield pool
        except BrokenProcessPool as error:
            raise StoreError("a process that reads runs was killed (out of memory?); gather again") from error
        finally:
            pool.shutdown(cancel_futures=True)


def in_chunks(
    pool: ProcessPoolExecutor | None,
    act: Callable[[str, Sequence[T]], R],
    root: str,
    items: Sequence[T],
    title: str = "",
) -> Iterable[R]:
    """`act(root, chunk)` of all chunks in order; with a pool it begins at once; with a title a terminal shows it."""
    chunks = [items[start : start + RUNS_PER_CHUNK] for start in range(0, len(items), RUNS_PER_CHUNK)]
    if pool is None:
        return map(partial(act, root), chunks)
    with hidden_main():
        done = pool.map(partial(act, root), chunks)
    return _shown(done, title, len(chunks)) if title and len(items) > FEW_RUNS else done


def _shown(done: Iterator[R], title: str, num_chunks: int) -> Iterable[R]:
    """With a bar of progress on a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(done, title, num_chunks, console=console, transient=True, disable=not console.is_terminal)
