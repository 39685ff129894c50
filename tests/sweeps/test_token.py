"""Whether a cluster's head asks for a token, learned by going without: heads that answer as Ray's does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sweeps import nodes
from trainers.errors import ResourceError

grpc = pytest.importorskip("grpc")


@pytest.fixture
def head() -> Iterator[Callable[[bool], str]]:
    """Start something that answers like a head; gives its HOST:PORT."""
    servers = []

    def start(asks: bool) -> str:
        def answer(request: bytes, context: Any) -> bytes:
            if asks and dict(context.invocation_metadata()).get("authorization") != "Bearer right":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "token is missing or wrong")
            return b""

        handlers = {"CheckAlive": grpc.unary_unary_rpc_method_handler(answer)}
        server = grpc.server(ThreadPoolExecutor(1))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("ray.rpc.NodeInfoGcsService", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None)


@pytest.mark.parametrize("has_token", [True, False])
def test_a_cluster_is_open_unless_it_refuses_who_comes_without_a_token(
    head: Any, has_token: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "is_token_auth_enabled", lambda: has_token)
    assert nodes.is_open(head(False))
    assert nodes.is_open(head(True)) == (not has_token)  # one that asks would not have let this process in


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (None, r"asks for a token: set RAY_AUTH_MODE=token, and put .* RAY_AUTH_TOKEN"),
        ("wrong", r"refuses this machine's token: put the cluster's own into .* RAY_AUTH_TOKEN"),
    ],
)
def test_who_has_no_token_or_another_one_is_told_so_at_once_where_one_is_asked_for(
    head: Any, monkeypatch: pytest.MonkeyPatch, token: str | None, message: str
) -> None:
    comes_with(token, monkeypatch)
    nodes.check_token(head(False))
    with pytest.raises(ResourceError, match=message):
        nodes.check_token(head(True))
    comes_with("right", monkeypatch)
    nodes.check_token(head(True))


def comes_with(token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ray would add it to this process's requests."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    monkeypatch.setattr(nodes, "is_token_auth_enabled", lambda: token is not None)
    monkeypatch.setattr(nodes, "get_auth_headers_if_auth_enabled", lambda given: headers)
