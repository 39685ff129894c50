"""The networks of a plan, built without memory and counted: in a process of its own, beside what else is started."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from trainers.errors import ResourceError
from trainers.plugin_folder import PluginFolder, use
from trainers.processes import SPAWN, end_with_parent, hidden_main
from trainers.spec import Choice

Counted = tuple[tuple[Choice, int, int], ...]
"""Each different network with its multiply-accumulates for one picture, and its parameters."""


@contextmanager
def counted_beside(models: Iterable[Choice], plugins: PluginFolder | None) -> Iterator[Callable[[], Counted]]:
    """Begin to count, and give what waits for the end of it; this process never imports torch for it.

    What is given raises SpecError for the first network that cannot be built or cannot take its pictures, and
    PluginError if the fault is in a user's file.
    """
    with ProcessPoolExecutor(1, SPAWN, initializer=end_with_parent) as pool:
        with hidden_main():
            counted = pool.submit(count_networks, tuple(models), plugins)

        def wait() -> Counted:
            try:
                return counted.result()
            except BrokenProcessPool as error:
                raise ResourceError(
                    "the process that builds the networks was killed (out of memory?); run again"
                ) from error

        yield wait


def count_networks(models: Iterable[Choice], plugins: PluginFolder | None = None) -> Counted:
    """The same in this process."""
    from trainers.measure import check_networks

    if plugins is not None:
        use(plugins)
    return check_networks(models)
