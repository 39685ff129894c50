"""Hosts of our own on one machine: namespaces for network, processes, mounts and names, on a bridge that only they see.

The bridge lies in the network namespace of the first host, so that the machine's own network is not touched. Every host
lives as long as its first process, which ends when its standard input is closed: by `close`, or by the kernel when the
process that made it dies, however that happens. With it go its processes, addresses and mounts; nothing is left behind.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
NETWORK = "10.77.0"
HOME = Path("/tmp/home")
"""Of root on each host, in a /tmp of the host's own."""

NEEDED = ("ip", "unshare", "nsenter", "mount", "ssh", "ssh-keygen", "rsync")
SSHD = "/usr/sbin/sshd"
NAMESPACES = ("--net", "--mount", "--pid", "--uts")


def why_not() -> str | None:
    """Why no hosts can be made here; None if they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "hosts of their own need root on Linux"
    missing = [name for name in NEEDED if shutil.which(name) is None] + [SSHD] * (not Path(SSHD).exists())
    if missing:
        return f"not installed: {', '.join(missing)} (Debian: iproute2, openssh-server, rsync)"
    hidden = [path for path in _needed(Path("/tmp")) if path.is_relative_to("/mnt") or path.is_relative_to("/run")]
    if hidden:
        return f"{hidden[0]} lies under /mnt or /run, which every host has for itself"
    links = "ip link add probe type bridge && ip link add v0 type veth peer name v1"
    probe = f"{links} && mount --make-rprivate / && mount -t tmpfs none /mnt"
    done = subprocess.run(["unshare", *NAMESPACES, "--fork", "sh", "-c", probe], capture_output=True, text=True)
    return None if done.returncode == 0 else f"no namespaces, bridges or mounts allowed: {done.stderr.strip()}"


@dataclass(frozen=True, kw_only=True)
class Host:
    """A machine with an address of its own; `pid` is its first process, as the outside sees it."""

    name: str
    address: str
    pid: int
    process: subprocess.Popen[bytes]

    def command(self, *words: str, environment: Mapping[str, str] | None = None) -> list[str]:
        """A command line that runs words on this host, in the environment of a fresh login."""
        enter = ["nsenter", "--target", str(self.pid), *NAMESPACES, "--"]
        given = {"HOME": str(HOME), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(environment or {})}
        return [*enter, "env", "-i", *(f"{name}={value}" for name, value in given.items()), *words]

    def run(self, *words: str, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run to its end."""
        command = self.command(*words, environment=environment)
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd="/")

    def check(self, *words: str, timeout: float = 60, **environment: str) -> str:
        """Run, and give what was said; an assertion shows all of it if that failed."""
        done = self.run(*words, timeout=timeout, **environment)
        assert done.returncode == 0, f"{self.name}: {shlex.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def processes(self, name: str) -> list[psutil.Process]:
        """Those of this host that go by a name."""
        found = []
        for one in psutil.Process(self.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                found += [one] * (one.name() == name and one.status() != psutil.STATUS_ZOMBIE)
        return found

    def close(self) -> None:
        """Pull its plug: the kernel kills all that runs on it, and then its parent ends."""
        if self.process.poll() is None:
            psutil.Process(self.pid).kill()
        self.process.wait(timeout=60)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@contextmanager
def made(names: Sequence[str], work: Path) -> Iterator[dict[str, Host]]:
    """Hosts by name, the first with the bridge to the others; gone afterwards, as is all that ran on them.

    They share the files of this machine but for /tmp, of which they see our code, its Python and `work` alone.
    """
    hosts: dict[str, Host] = {}
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(work / "key")], check=True)
    try:
        for number, name in enumerate(names, 1):
            hosts[name] = _make(name, f"{NETWORK}.{number}", names, work)
            _plug_in(hosts[name], hosts[names[0]], number)
        yield hosts
    finally:
        for host in reversed(hosts.values()):
            host.close()


def cut(hosts: Mapping[str, Host], name: str, *, is_cut: bool) -> None:
    """Unplug a host's cable at the bridge, or plug it in again."""
    bridge, number = next(iter(hosts.values())), list(hosts).index(name) + 1
    bridge.check("ip", "link", "set", f"port{number}", "down" if is_cut else "up")


def _make(name: str, address: str, names: Sequence[str], work: Path) -> Host:
    (work / f"{name}.sh").write_text(_script(name, names, work))
    command = ["unshare", *NAMESPACES, "--fork", "--kill-child", "bash", str(work / f"{name}.sh")]
    with (work / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == b"ready\n", (work / f"{name}.log").read_text()
    (first,) = psutil.Process(process.pid).children()
    return Host(name=name, address=address, pid=first.pid, process=process)


def _needed(work: Path) -> tuple[Path, ...]:
    """What hosts must see of this machine's files."""
    return (ROOT, Path(sys.prefix), Path(sys.base_prefix), work)


def _script(name: str, names: Sequence[str], work: Path) -> str:
    """The first process of a host; it collects the dead, as bash does."""
    kept = [path for path in _needed(work) if path.is_relative_to("/tmp")]
    hosts = "\\n".join(["127.0.0.1 localhost", *(f"{NETWORK}.{n} {one}" for n, one in enumerate(names, 1))])
    bind = [f"mkdir -p {path} && mount --rbind /mnt/outside/{path.relative_to('/tmp')} {path}" for path in kept]
    lines = [
        "set -e",
        "mount --make-rprivate /",
        "mount -t proc proc /proc",
        "mount -t tmpfs none /mnt",
        "mkdir /mnt/outside && mount --rbind /tmp /mnt/outside",
        "mount -t tmpfs none /tmp && chmod 1777 /tmp",
        *bind,
        f"mount -t tmpfs none /run && mkdir -p {HOME}/.ssh /run/sshd",
        f"hostname {name}",
        f"printf '{hosts}\\n' > /mnt/hosts && mount --bind /mnt/hosts /etc/hosts",
        f"sed 's#^root:.*#root:x:0:0:root:{HOME}:/bin/bash#' /etc/passwd > /mnt/passwd",
        "mount --bind /mnt/passwd /etc/passwd",
        "echo 'root:*:19000:0:99999:7:::' > /mnt/shadow && mount --bind /mnt/shadow /etc/shadow",  # not locked
        "ssh-keygen -q -t ed25519 -N '' -f /mnt/host_key",
        f"{SSHD} -E /mnt/sshd.log -h /mnt/host_key -o AuthorizedKeysFile={work}/key.pub -o StrictModes=no "
        "-o PidFile=none -o UsePAM=no -o PermitRootLogin=prohibit-password",
        "ip link set lo up",
        "echo ready",
        "read -r _ || true",
    ]
    return "\n".join(lines) + "\n"


def _plug_in(host: Host, bridge: Host, number: int) -> None:
    if host is bridge:
        host.check("ip", "link", "add", "bridge", "type", "bridge")
        host.check("ip", "address", "add", f"{host.address}/24", "dev", "bridge")
        host.check("ip", "link", "set", "bridge", "up")
        return
    link = ["ip", "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", str(host.pid)]
    subprocess.run(["nsenter", "--target", str(bridge.pid), "--net", "--", *link], check=True)
    bridge.check("ip", "link", "set", f"port{number}", "master", "bridge", "up")
    host.check("ip", "address", "add", f"{host.address}/24", "dev", "eth0")
    host.check("ip", "link", "set", "eth0", "up")
    host.check("ip", "route", "add", "default", "via", bridge.address)
