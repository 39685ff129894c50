"""What every test leaves behind: our plug-ins alone. And the table of the fault suite, at the end of the output."""

from __future__ import annotations

import importlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, astuple, dataclass, fields

import pytest

from trainers.plugins import Kind

_ROW = "fault"
_LONG = ("cluster", "ray", "faults", "benchmark", "browser")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--full` runs the fault suite at its full size (an hour or more) rather than at that of CI."""
    parser.addoption("--full", action="store_true", help="fault suite at full size")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that the processes that run the tests end together."""
    items.sort(key=lambda item: not any(item.get_closest_marker(name) for name in _LONG))


@pytest.fixture(autouse=True)
def ours_alone() -> Iterator[None]:
    """A user's folder that a test put beside our files is not found afterwards, and signals do what they did."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    for kind in Kind:
        del importlib.import_module(kind.value).__path__[1:]


@dataclass(frozen=True, kw_only=True)
class Injected:
    """A kind of fault, how often it was injected, and what it cost; `outcome` is in words."""

    fault: str
    times: int
    finished_lost: int
    repeated: str
    outcome: str


@pytest.fixture
def inject(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`inject(fault=..., times=..., finished_lost=..., repeated=..., outcome=...)`: a row of the table at the end."""
    properties = request.node.user_properties  # these come along from the processes that run the tests
    return lambda **cells: properties.append((_ROW, asdict(Injected(**cells))))


@pytest.fixture
def is_full(request: pytest.FixtureRequest) -> bool:
    """Whether to inject as many faults as the full suite does, rather than the few of CI."""
    return bool(request.config.getoption("--full"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was injected, and what it cost."""
    reports = [one for found in terminalreporter.stats.values() for one in found if getattr(one, "when", "") == "call"]
    rows = [Injected(**row) for report in reports for name, row in report.user_properties if name == _ROW]
    if not rows:
        return
    terminalreporter.section("faults")
    cells = [[field.name.replace("_", " ") for field in fields(Injected)], *(map(str, astuple(row)) for row in rows)]
    lines = [list(line) for line in cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
