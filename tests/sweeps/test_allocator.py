"""The allocator's settings: where there are any, beside a user's own, and a command that begins again with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sweeps import allocator

ROOT = Path(__file__).resolve().parents[2]
needs_glibc = pytest.mark.skipif(not allocator.environment({}), reason="nothing is set on this platform")


@pytest.fixture
def glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux as most people have it, whatever this is."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.36"))


@pytest.mark.parametrize(("system", "library"), [("darwin", ""), ("linux", "musl"), ("linux", ""), ("win32", "")])
def test_nothing_is_set_where_nothing_is_known_to_help(
    monkeypatch: pytest.MonkeyPatch, system: str, library: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("platform.libc_ver", lambda: (library, ""))
    assert allocator.environment({}) == {}
    assert not allocator.is_set({})


def test_a_users_own_settings_stay_and_prevail(glibc: None) -> None:
    own = "glibc.malloc.mmap_max=7:glibc.cpu.x86_shstk=off"
    pairs = allocator.environment({"GLIBC_TUNABLES": own})["GLIBC_TUNABLES"].split(":")
    assert {"glibc.malloc.mmap_max=7", "glibc.cpu.x86_shstk=off", "glibc.malloc.hugetlb=1"} <= set(pairs)
    assert len(pairs) == len({pair.partition("=")[0] for pair in pairs}) == 5


@pytest.mark.parametrize("own", ["", "glibc.malloc.mmap_max=7", "glibc.cpu.x86_shstk=off:nonsense", "::"])
def test_a_process_that_has_them_is_left_as_it_is(glibc: None, own: str) -> None:
    variables = {"GLIBC_TUNABLES": own}
    assert not allocator.is_set(variables)
    assert allocator.is_set(allocator.environment(variables))


SCRIPT = """
import os, sys
sys.path.insert(0, {root!r})
from sweeps.allocator import is_set, restart_with_it
print(os.getpid(), is_set(os.environ), flush=True)
restart_with_it()
print(os.getpid(), is_set(os.environ), sys.flags.utf8_mode, sys.argv[1:], sys.stdin.read(), os.getcwd())
sys.exit(3)
"""


@needs_glibc
def test_a_command_begins_again_once_as_the_same_process(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "utf8", "-c", SCRIPT.format(root=str(ROOT)), "an argument", "--serial"]
    variables = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    done = subprocess.run(command, input="typed", capture_output=True, text=True, cwd=tmp_path, env=variables)
    first, again, last = done.stdout.splitlines()
    process = first.split()[0]
    assert (first, again) == (f"{process} False", f"{process} True"), done
    assert last == f"{process} True 1 ['an argument', '--serial'] typed {tmp_path}"
    assert (done.returncode, done.stderr) == (3, "")


@needs_glibc
def test_a_serial_command_trains_with_them_and_says_so_once(petite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    outcome = petite.process(*petite.report, "--serial", "--only", "student_scratch")
    assert outcome.code == 0, outcome
    assert outcome.out.count(allocator.SAYING) == 1
    assert outcome.out.count("store: ") == 1


def test_a_run_inside_somebodys_process_never_begins_again(petite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any) -> None:
        raise AssertionError("this process is not ours")

    monkeypatch.setattr(os, "execve", never)
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    outcome = petite.main(*petite.report, "--serial", "--only", "student_scratch")
    assert outcome.code == 0, outcome
    assert "memory:" not in outcome.out


@needs_glibc
@pytest.mark.parametrize("arguments", [["--serial", "--plan"], ["--serial", "--list"], ["--serial", "--epoch", "3"]])
def test_what_trains_nothing_does_not_begin_again(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from sweeps import run_all

    def never() -> None:
        raise AssertionError("nothing is trained")

    monkeypatch.setattr(run_all, "restart_with_it", never)
    monkeypatch.setattr(run_all, "_act", lambda args: 0)
    try:
        assert run_all.main(arguments, may_restart=True) == 0
    except SystemExit as refused:
        assert refused.code == 2
