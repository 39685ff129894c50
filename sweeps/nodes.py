"""The machines of a cluster as Ray tells them, and what is asked of each of them before the first trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import ray
from ray._private import worker
from ray._private.authentication.authentication_utils import is_token_auth_enabled
from ray._private.authentication.http_token_authentication import get_auth_headers_if_auth_enabled
from ray.exceptions import AuthenticationError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeps.autoscaling import find_launcher_file, in_words, to_come
from sweeps.probe import Report, check, look, marked
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
    """What each living node has, and what each node would have that an autoscaler may add."""
    alive = _alive()
    return (*map(_resources, alive), *_coming(alive))


def say_what_may_come(say: Callable[[str], None]) -> None:
    """In one line, if anything may."""
    coming = _coming(_alive())
    if coming:
        say(f"cluster: {len(_alive())} nodes; its autoscaler may add {in_words(coming)}")


def _coming(alive: list[dict[str, Any]]) -> tuple[Resources, ...]:
    if worker._global_node is None or worker._global_node.is_head():  # a Ray of this process has no autoscaler
        return ()
    file = _launcher_file(ray.get_runtime_context().gcs_address)
    return to_come(file, [_resources(node) for node in alive if not _is_head(node)])


@cache
def _launcher_file(head: str) -> dict[str, Any]:
    """Of a head's autoscaler, as a task there finds it; {} if there is none, or no answer."""
    for node in filter(_is_head, _alive()):
        asked = _on(node, find_launcher_file).remote(head)
        with suppress(RayError):
            found: dict[str, Any] = ray.get(asked, timeout=ANSWER_SECONDS)
            return found
    return {}


def _is_head(node: dict[str, Any]) -> bool:
    return "node:__internal_head__" in node["Resources"]


def check_nodes(store: Store, say: Callable[[str], None]) -> None:
    """StoreError or ResourceError unless every node that can run a job has our packages, our code and this store."""
    nodes = [node for node in _alive() if _resources(node).cpus > 0]
    with marked(store) as mark:
        asked = {_on(node, look).remote(node["NodeManagerAddress"], mark): node for node in nodes}
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
    return not is_token_auth_enabled() or _status(head, {}) == "OK"


def check_token(head: str) -> None:
    """ResourceError if a head asks for a token that this process does not have: Ray tries for a minute, aloud."""
    if _status(head, _own_headers()) != "UNAUTHENTICATED":
        return
    if is_token_auth_enabled():
        raise ResourceError(
            f"the Ray cluster at {head} refuses this machine's token: put the cluster's own into ~/.ray/auth_token or "
            "RAY_AUTH_TOKEN"
        )
    raise ResourceError(
        f"the Ray cluster at {head} asks for a token: set RAY_AUTH_MODE=token, and put the cluster's token into "
        "~/.ray/auth_token or RAY_AUTH_TOKEN"
    )


def _own_headers() -> dict[str, str]:
    """With this machine's token, if it has one."""
    with suppress(AuthenticationError):
        return dict(get_auth_headers_if_auth_enabled({}))
    return {}


def _status(head: str, headers: Mapping[str, str]) -> str:
    """The name of gRPC's status for a harmless question; "" where nothing can be learned."""
    try:
        import grpc
    except ImportError:  # not in every installation of Ray
        return ""
    with grpc.insecure_channel(head) as channel:
        try:
            metadata = [(name.lower(), value) for name, value in headers.items()]
            channel.unary_unary("/ray.rpc.NodeInfoGcsService/CheckAlive")(b"", timeout=5, metadata=metadata)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def _alive() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def _resources(node: dict[str, Any]) -> Resources:
    have = node["Resources"]
    return Resources(cpus=have.get("CPU", 0.0), gpus=have.get("GPU", 0.0))


def _on(node: dict[str, Any], function: Callable[..., Any]) -> Any:
    """A function as a task on that node and on no other."""
    pinned = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    options: dict[str, Any] = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": pinned}
    return ray.remote(function).options(**options)


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
