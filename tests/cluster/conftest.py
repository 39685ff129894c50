"""Three hosts under Ray, set up once for all tests of a file by `ray up` from a fourth."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
DEADLINE_SECONDS = 120


def _module(file: Path) -> ModuleType:
    """A module beside the tests, which pytest puts on no path."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look there
    spec.loader.exec_module(module)
    return module


hosts = _module(HERE / "hosts.py")
launcher = _module(HERE / "launcher.py")
sameness = _module(HERE.parent / "faults" / "sameness.py")


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], Any]], Any]:
    """Poll until something is there, or fail after a deadline."""

    def wait(probe: Callable[[], Any]) -> Any:
        end = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < end:
            found = probe()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"nothing came within {DEADLINE_SECONDS} s")

    return wait


@pytest.fixture(scope="session")
def make_hosts() -> Callable[..., Any]:
    """A context of hosts by name, the first with the bridge; skips where none can be made."""
    reason = hosts.why_not()
    if reason is not None:
        pytest.skip(reason)
    made: Callable[..., Any] = hosts.made
    return made


@pytest.fixture(scope="module")
def cluster(make_hosts: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head and two workers with a CPU each, which ask for a token; gone afterwards, with all that ran there."""
    work = tmp_path_factory.mktemp("cluster")
    with make_hosts(("desk", "head", "one", "two"), work) as made:
        cluster = launcher.Cluster(hosts=made, work=work)
        cluster.give_token()
        cluster.up()
        yield cluster


@pytest.fixture
def cut(cluster: Any) -> Callable[..., None]:
    """Unplug a host's cable at the bridge, or plug it in again."""

    def cut_(name: str, *, is_cut: bool) -> None:
        hosts.cut(cluster.hosts, name, is_cut=is_cut)

    return cut_


@pytest.fixture
def begin_on() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the sweep on a cluster's head; whatever is left of it is killed afterwards."""
    begun: list[tuple[Any, subprocess.Popen[str]]] = []

    def begin_(cluster: Any, store: Path, *arguments: str) -> subprocess.Popen[str]:
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = cluster.command("--store", str(store), "--no-report", *arguments)
        process = subprocess.Popen(command, start_new_session=True, cwd="/", **pipes)
        begun.append((cluster, process))
        return process

    yield begin_
    for cluster, process in begun:
        cluster.end(process)


@pytest.fixture
def begin(cluster: Any, begin_on: Any) -> Callable[..., subprocess.Popen[str]]:
    """The same on the three hosts."""
    return lambda store, *arguments: begin_on(cluster, store, *arguments)


@pytest.fixture
def one_host(make_hosts: Any, tmp_path: Path) -> Iterator[Any]:
    """A single host, without Ray as yet, and with our code under root's home."""
    with make_hosts(("head",), tmp_path) as made:
        made["head"].check("ln", "-s", str(hosts.ROOT), str(hosts.HOME / "petite"))
        yield launcher.Cluster(hosts=made, work=tmp_path)


@pytest.fixture
def summary() -> Callable[[Path], dict[str, Any]]:
    """What two stores must have in common that came to their ends on different ways."""
    found: Callable[[Path], dict[str, Any]] = sameness.summary
    return found
