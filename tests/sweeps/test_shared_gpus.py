"""Shares of (logical) GPUs on a cluster under real Ray, and what a failed teacher holds up."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.ray

CLUSTER = """
import sys
from ray.cluster_utils import Cluster
node = {"num_cpus": 12, "num_gpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=node)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""
SHARES = {"pretrain": 1.0, "teacher": 1.0, "student": 0.25, "conv": 0.25}
"""What the defaults give a job on a GPU machine, by the beginning of its label."""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster of one machine with two GPUs that only Ray believes in; gone after the test, and it alone."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", CLUSTER], text=True, start_new_session=True, **pipes) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        yield next(line.strip() for line in lines if re.fullmatch(r"[\d.]+:\d+\n", line))
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            for one in [*psutil.Process(process.pid).children(recursive=True), process]:
                one.kill()


def test_a_gpu_is_shared_by_four_small_jobs_and_a_failed_teacher_blocks_its_student_alone(
    petite: Any, finished: Any, address: str
) -> None:
    bad = ["--set", "teacher_scratch:optimizer.lr=1e30"]
    outcome = petite.process(*petite.report, *bad, "--address", address)
    assert outcome.code == 1, outcome.out + outcome.err
    assert "7 ok, 1 failed, 1 blocked" in outcome.out
    assert "\nwarning: this Ray cluster asks nobody for a token: " in outcome.out
    assert "student_kd_scratch@0: BLOCKED by teacher_scratch@0" in outcome.out
    others = {run: digest for run, digest in finished.weights.items() if run in petite.labels.values()}
    assert petite.weights == others and len(others) == 7
    shares = booked_shares(outcome.out)
    assert max(sum(running.values()) for running in shares) == 2.0
    assert max(len(running) for running in shares) >= 4
    assert shares[-1] == {}


def booked_shares(text: str) -> list[dict[str, float]]:
    """The running jobs and their GPU shares after every event of the output."""
    running: dict[str, float] = {}
    states = []
    for name, event in re.findall(r"^\[[\d:]+\] (\S+): (started|done|FAILED)", text, re.MULTILINE):
        if event == "started":
            running[name] = SHARES[name.split("_")[0].split("@")[0]]
        else:
            del running[name]
        states.append(dict(running))
    return states
