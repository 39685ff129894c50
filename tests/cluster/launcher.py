"""Our `cluster.yaml` for hosts of our own, and Ray's launcher run on it: only addresses, user and paths are other."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import psutil
import yaml
from hosts import HOME, ROOT, Host

BIN = Path(sys.executable).parent
TOKEN = "0123456789abcdef" * 4
PORT = 6379
RAY = {"RAY_AUTH_MODE": "token", "RAY_UP_enable_autoscaler_v2": "0", "RAY_USAGE_STATS_ENABLED": "0"}
JOIN_SECONDS = 240


def adapted(head: Host, workers: list[Host], key: Path) -> dict[str, Any]:
    """What a user would change; what would be installed is there already, and every host has one CPU."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    content["provider"] |= {"head_ip": head.address, "worker_ips": [worker.address for worker in workers]}
    content["auth"] |= {"ssh_user": "root", "ssh_private_key": str(key)}
    content["file_mounts"] = {"~/petite": str(ROOT)}
    content["setup_commands"] = []
    for name in ("head_start_ray_commands", "worker_start_ray_commands"):
        content[name] = [_adapted(command) for command in content[name]]
    return content


def _adapted(command: str) -> str:
    assert "~/petite-venv/bin/ray" in command
    command = command.replace("~/petite-venv/bin/ray", str(BIN / "ray"))
    return f"{command} --num-cpus=1 --object-store-memory=100000000" if "ray start" in command else command


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Hosts with Ray on them, one a desk from which they were set up."""

    RAY: ClassVar[Mapping[str, str]] = RAY
    ray: ClassVar[str] = str(BIN / "ray")
    hosts: dict[str, Host]
    work: Path

    @property
    def head(self) -> Host:
        return self.hosts["head"]

    @property
    def workers(self) -> list[Host]:
        return [host for name, host in self.hosts.items() if name not in ("desk", "head")]

    @property
    def file(self) -> dict[str, Any]:
        """The launcher file's content."""
        return adapted(self.head, self.workers, self.work / "key")

    def words(self, *arguments: str) -> list[str]:
        """The sweep's command line on the head."""
        run_all = HOME / "petite" / "sweeps" / "run_all.py"
        return [str(BIN / "python"), str(run_all), "--address", f"{self.head.address}:{PORT}", *arguments]

    def command(self, *arguments: str) -> list[str]:
        """The same with the token, from outside."""
        return self.head.command(*self.words(*arguments), environment=RAY)

    def give_token(self) -> None:
        """To every host, as the comment in cluster.yaml asks for."""
        words = f"mkdir -p ~/.ray && printf %s {TOKEN} > ~/.ray/auth_token && chmod 600 ~/.ray/auth_token"
        for host in self.hosts.values():
            host.check("sh", "-c", words)

    def up(self) -> None:
        """`ray up`, as the comment in cluster.yaml says; waits for all workers."""
        file = self.work / "cluster.yaml"
        file.write_text(yaml.safe_dump(self.file))
        words = (str(BIN / "ray"), "up", "--yes", "--no-config-cache", str(file))
        self.hosts["desk"].check(*words, timeout=JOIN_SECONDS, **RAY)
        end = time.monotonic() + JOIN_SECONDS
        while not all(worker.processes("raylet") for worker in self.workers):
            assert time.monotonic() < end, [worker.name for worker in self.workers if not worker.processes("raylet")]
            time.sleep(0.2)

    def start(self, host: Host) -> None:
        """Run the file's start commands on a host again."""
        name = "head_start_ray_commands" if host is self.head else "worker_start_ray_commands"
        for command in self.file[name]:
            host.check("bash", "-c", command, timeout=JOIN_SECONDS, RAY_HEAD_IP=self.head.address)

    def end(self, process: subprocess.Popen[str]) -> None:
        """Kill a command that was started on a host, and all that it started."""
        if process.poll() is None:
            for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
                one.kill()
        process.communicate()
