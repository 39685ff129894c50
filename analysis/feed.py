"""Tells loggers of a sweep while it runs, each in a thread of its own: none can hold it up, or fail it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress

from analysis.evidence import planned_jobs
from analysis.log import Logger, check_log, open_log
from analysis.logged import LoggedRun, News
from trainers.result import PlanRecord
from trainers.shown import one_line
from trainers.storage import Store

EVERY_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
"""How long the end of a sweep waits for a logger to be told the rest."""

Say = Callable[[str], None]


class Feed:
    """One logger beside one sweep, from `start` to `stop`; opened before anything is trained."""

    def __init__(self, store: Store, text: str, say: Say) -> None:
        self._store, self._text, self._say = store, text, say
        self._logger: Logger = open_log(store, text)
        self._over = threading.Event()
        self._has_failed = False

    def start(self, record: PlanRecord) -> None:
        """Begin to tell of a plan's jobs."""
        self._over.clear()
        news = News(self._store, planned_jobs([record]))
        self._thread = threading.Thread(target=self._run, args=(news,), name=f"log {self._text}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """The jobs are over: tell the rest, for a while at most."""
        self._over.set()
        self._thread.join(PATIENCE_SECONDS)
        if self._thread.is_alive():
            self._complain("it takes long")

    def _run(self, news: News) -> None:
        while not self._over.wait(EVERY_SECONDS):
            if not self._has_failed:
                self._tell(news.of_running())
        with suppress(OSError), closing(self._logger):
            self._tell(news.of_all())

    def _tell(self, runs: Iterable[LoggedRun]) -> None:
        try:
            for run in runs:
                self._logger.write(run)
        except Exception as error:  # noqa: BLE001  # whatever it is, the sweep is not to end of it
            self._complain(one_line(error))

    def _complain(self, why: str) -> None:
        """Once: a server that is gone would be told of every few seconds."""
        if not self._has_failed:
            rest = f"python -m analysis.log {self._store.root} {self._text}"
            self._say(f"--log {self._text.partition(':')[0]}: {why}; the sweep goes on; `{rest}` logs what is missing")
        self._has_failed = True


def check_logs(texts: Sequence[str]) -> None:
    """LogError for the first that cannot be; touches nothing."""
    for text in texts:
        check_log(text)


@contextmanager
def fed(feeds: Sequence[Feed], record: PlanRecord) -> Iterator[None]:
    """Tell all of them of a sweep that is carried out inside."""
    with ExitStack() as stack:
        for feed in feeds:
            feed.start(record)
            stack.callback(feed.stop)
        yield
