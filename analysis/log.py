"""Tell TensorBoard or MLflow what a store holds: `python -m analysis.log STORE tensorboard` or `mlflow:URI`.

Any number of times, of a running sweep too: what was told already is not told again.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from analysis import loggers
from analysis.command import existing_store, exit_code
from analysis.evidence import planned_jobs
from analysis.logged import LoggedRun, News
from analysis.words import counted
from trainers.errors import LogError
from trainers.shown import Parser, one_line
from trainers.storage import Store


class Logger(Protocol):
    """A way to log elsewhere, open; `place` tells a person where to look."""

    @property
    def place(self) -> str: ...

    def write(self, run: LoggedRun) -> None:
        """Tell what is not told yet; LogError if that cannot be done."""

    def close(self) -> None:
        """Let go of what is held open; more may come all the same."""


def check_log(text: str) -> None:
    """LogError for a logger that there is not, whose library is missing, or that cannot mean its `NAME:TARGET`."""
    module, target = _parsed(text)
    if find_spec(module.REQUIRES) is None:
        name = text.partition(":")[0]
        raise LogError(f"--log {name} needs {module.PACKAGE}; install it: python -m pip install {module.PACKAGE}")
    module.check(target)


def open_log(store: Store, text: str) -> Logger:
    """A logger that is ready; LogError if it cannot be reached."""
    check_log(text)
    module, target = _parsed(text)
    logger: Logger = module.open_log(store, target)
    return logger


def _parsed(text: str) -> tuple[Any, str]:
    name, _, target = text.partition(":")
    names = sorted(module.name for module in pkgutil.iter_modules(loggers.__path__))
    if name not in names:
        raise LogError(f"unknown logger {one_line(name)[:100]!r}; have: {', '.join(names)}")
    return import_module(f"{loggers.__name__}.{name}"), target


def log_store(store: Store, logger: Logger) -> Iterator[LoggedRun]:
    """Tell a logger of every run that a plan names; gives each when that is done."""
    for run in News(store, planned_jobs(store.plans())).of_all():
        logger.write(run)
        yield run


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: exit code 0, or 2 with one line on stderr."""
    parser = Parser(prog="python -m analysis.log", description=__doc__)
    parser.add_argument("store", metavar="STORE", help="the folder that run_all.py --store was given")
    parser.add_argument("log", metavar="LOG", help="tensorboard, tensorboard:FOLDER or mlflow:URI")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _log(options.store, options.log))


def _log(root: str, text: str) -> None:
    store = existing_store(root)
    with closing(open_log(store, text)) as logger:
        told = list(log_store(store, logger))
        num_epochs = sum(len(run.curves) for run in told)
        print(one_line(f"{counted(len(told), 'run')}, {counted(num_epochs, 'epoch')}: {logger.place}"))


if __name__ == "__main__":
    raise SystemExit(main())
