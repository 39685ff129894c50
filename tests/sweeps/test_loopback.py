"""What a local sweep listens on: a Ray port that others reach lets them run code here."""

from __future__ import annotations

import ipaddress
from typing import Any

import psutil
import pytest

from trainers.storage import Store


def listening(pid: int) -> set[tuple[str, str]]:
    """Process name and address of everything that a process and its descendants listen on."""
    parent = psutil.Process(pid)
    return {
        (process.name(), connection.laddr.ip)
        for process in (parent, *parent.children(recursive=True))
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN or (connection.type == 2 and not connection.raddr)
    }


def is_loopback(address: str) -> bool:
    """True of 127.0.0.1 written as an IPv6 address too."""
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


@pytest.mark.ray
def test_every_socket_of_a_local_sweep_listens_on_loopback_alone(petite: Any, start: Any, wait_for: Any) -> None:
    process = start(*petite.report, "--only", "conv_plain", "--epochs", "2000")
    wait_for(lambda: any(Store(petite.store).checkpoints(run) for run in petite.num_attempts))
    sockets = listening(process.pid)
    assert {"gcs_server", "raylet"} <= {name for name, _ in sockets}
    assert [socket for socket in sorted(sockets) if not is_loopback(socket[1])] == []


@pytest.mark.parametrize(
    ("address", "is_ours_alone"),
    [("127.0.0.1", True), ("::ffff:127.0.0.1", True), ("::1", True), ("::", False), ("0.0.0.0", False)],
)
def test_loopback_is_told_from_every_interface(address: str, is_ours_alone: bool) -> None:
    assert is_loopback(address) == is_ours_alone
