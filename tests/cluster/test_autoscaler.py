"""An autoscaler with machines that only Ray believes in: a head without a CPU grows for a sweep and shrinks again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from trainers.storage import Store

pytestmark = pytest.mark.cluster

NUM_WORKERS = 2
SWEEP = ("--sweep", "smoke", "--limit", "220", "--allow-weak-teacher", "--epochs", "1")
NUM_JOBS = 5
LISTS = (
    *("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands"),
    *("head_start_ray_commands", "worker_start_ray_commands"),
    *("cluster_synced_files", "rsync_exclude", "rsync_filter"),
)
FILE = {
    **{key: {} for key in ("file_mounts", "docker")},
    **{key: [] for key in LISTS},
    "upscaling_speed": 1.0,
    "file_mounts_sync_continuously": False,
    "cluster_name": "fake",
    "max_workers": NUM_WORKERS,
    "idle_timeout_minutes": 0.1,
    "provider": {
        "type": "external",
        "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
        "use_node_id_as_ip": True,  # all its nodes have the host's address
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
    },
    "auth": {"ssh_user": "root"},
    "head_node_type": "ray.head.default",
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "worker": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": NUM_WORKERS},
    },
}


@pytest.fixture
def growing(one_host: Any, tmp_path: Path) -> Iterator[Any]:
    """A host that is the head of a cluster with nothing to run jobs on."""
    file = tmp_path / "autoscaler.yaml"
    file.write_text(yaml.safe_dump(FILE))
    one_host.give_token()
    start = ["start", "--head", f"--autoscaling-config={file}", "--port=6379", "--include-dashboard=false"]
    fake = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
    words = (one_host.ray, *start, "--num-cpus=0", "--object-store-memory=100000000")
    one_host.head.check(*words, timeout=240, **one_host.RAY, **fake)
    yield one_host


def num_workers(cluster: Any) -> int:
    """Nodes beside the head, which has a raylet of its own."""
    return len(cluster.head.processes("raylet")) - 1


def test_a_cluster_without_a_cpu_grows_for_the_sweep_and_shrinks_again(growing: Any, begin_on: Any) -> None:
    store = Store(growing.work / "store")
    process = begin_on(growing, store.root, *SWEEP)
    most = 0
    while process.poll() is None:
        most = max(most, num_workers(growing))
        time.sleep(0.2)
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    assert f"cluster: 1 nodes; its autoscaler may add {NUM_WORKERS} of 1 CPUs" in out
    assert f"{NUM_JOBS} ok, 0 failed, 0 blocked" in out
    assert most == NUM_WORKERS
    end = time.monotonic() + 120
    while num_workers(growing):
        assert time.monotonic() < end, "the cluster does not shrink"
        time.sleep(0.2)
