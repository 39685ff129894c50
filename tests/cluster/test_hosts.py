"""Hosts of our own: they have their addresses and files for themselves, and leave nothing behind, however they end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.cluster

HERE = Path(__file__).parent
MAKER = """
import signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import hosts
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell started with &
with hosts.made(("left", "right"), Path(sys.argv[2])) as made:
    print(*(host.pid for host in made.values()), flush=True)
    time.sleep(600)
"""


def own_network() -> str:
    return subprocess.run(["ip", "-brief", "address"], capture_output=True, text=True, check=True).stdout


def test_two_hosts_reach_each_other_by_ssh_and_nobody_sees_them(make_hosts: Any, tmp_path: Path) -> None:
    before, mounts = own_network(), Path("/proc/self/mounts").read_text()
    with make_hosts(("left", "right"), tmp_path) as made:
        left, right = made.values()
        options = ["-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes", "-i", str(tmp_path / "key")]
        assert left.check("ssh", *options, f"root@{right.address}", "hostname; pwd") == "right\n/tmp/home\n"
        left.check("touch", "/tmp/mine")
        assert right.run("test", "-e", "/tmp/mine").returncode == 1 and not Path("/tmp/mine").exists()
        assert own_network() == before
        pids = [host.pid for host in made.values()]
    assert not any(map(psutil.pid_exists, pids))
    assert own_network() == before and Path("/proc/self/mounts").read_text() == mounts


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_hosts_go_with_the_process_that_made_them(
    make_hosts: Any, tmp_path: Path, wait_until: Any, number: signal.Signals
) -> None:
    """`make_hosts` is asked for its skipping alone."""
    command = [sys.executable, "-c", MAKER, str(HERE), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as maker:
        assert maker.stdout is not None
        pids = list(map(int, maker.stdout.readline().split()))
        assert len(pids) == 2 and all(map(psutil.pid_exists, pids))
        maker.send_signal(number)
        maker.wait()
    wait_until(lambda: not any(map(psutil.pid_exists, pids)))
