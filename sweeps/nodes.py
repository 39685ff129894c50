"""The machines of a cluster as Ray tells them, and what is asked of each of them before the first trial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray
from ray._private.authentication.authentication_utils import is_token_auth_enabled
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeps.probe import Mark, Report, check, look, marked
from sweeps.resources import Resources
from trainers.errors import ResourceError
from trainers.storage import Store

ANSWER_SECONDS = 90
"""For a node's answer: it starts a process and fetches our code first, which takes 2 to 10 s."""

OPEN = (
    "warning: this Ray cluster asks nobody for a token: whoever reaches its ports can run code on it; "
    "start it with RAY_AUTH_MODE=token (see cluster.yaml)"
)


def machines() -> tuple[Resources, ...]:
    """What each living node has."""
    return tuple(_resources(node) for node in _alive())


def check_nodes(store: Store, say: Callable[[str], None]) -> None:
    """StoreError or ResourceError unless every node that can run a job has our packages, our code and this store."""
    nodes = [node for node in _alive() if _resources(node).cpus > 0]
    with marked(store) as mark:
        asked = {_ask(node, mark): node for node in nodes}
        late = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_SECONDS)[1] if asked else []
        reports = [_answer(reference, node, reference in late) for reference, node in asked.items()]
    for line in check([report for report in reports if report is not None]):
        say(f"nodes differ: {line}")


def head_of(address: str) -> str:
    """HOST:PORT of the head of the cluster that was joined at an address."""
    if address.startswith("ray://"):
        return address.removeprefix("ray://")
    head: str = ray.get_runtime_context().gcs_address
    return head


def is_open(head: str) -> bool:
    """Whether the cluster that this process has joined runs what anybody sends.

    One that asks for tokens would not have let in a process without; whether it asks at all, a process that has one
    learns by going without.
    """
    if not is_token_auth_enabled():
        return True
    try:
        import grpc
    except ImportError:  # not in every installation of Ray
        return False
    with grpc.insecure_channel(head) as channel:
        try:
            channel.unary_unary("/ray.rpc.NodeInfoGcsService/CheckAlive")(b"", timeout=5)
        except grpc.RpcError:
            return False
    return True


def _alive() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def _resources(node: dict[str, Any]) -> Resources:
    have = node["Resources"]
    return Resources(cpus=have.get("CPU", 0.0), gpus=have.get("GPU", 0.0))


def _ask(node: dict[str, Any], mark: Mark) -> Any:
    pinned = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    options: dict[str, Any] = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": pinned}
    return ray.remote(look).options(**options).remote(node["NodeManagerAddress"], mark)


def _answer(reference: Any, node: dict[str, Any], is_late: bool) -> Report | None:
    """None from a node that died meanwhile: it will run nothing."""
    try:
        if not is_late:
            report: Report = ray.get(reference)
            return report
        reason = f"did not answer within {ANSWER_SECONDS} s"
    except RayError as error:
        reason = f"cannot run our code ({' '.join(str(error).split())[-300:]})"
    if node["NodeID"] not in [one["NodeID"] for one in _alive()]:
        return None
    name = f"{node['NodeManagerAddress']} ({node['NodeManagerHostname']})"
    raise ResourceError(f"node {name} {reason}; start Ray there again")
