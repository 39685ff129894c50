"""A real S3 server in a process of its own (moto's), a bucket per test, and a proxy that makes requests fail."""

from __future__ import annotations

import dataclasses
import http.client
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from sweeps.trial import train
from trainers.execution import Execution
from trainers.result import Manifest, Split
from trainers.spec import (
    Augment,
    Choice,
    Normalization,
    Optimizer,
    OptimizerName,
    Precision,
    RunSpec,
    Schedule,
    ScheduleName,
    run_id,
)
from trainers.storage import PREDICTIONS, WEIGHTS, Store

SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""
"""It ends with whoever holds the other end of its input, however that ends."""

SIGNED = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
"""As far as this server looks at it."""


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """Address of the server."""
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None and server.stdout is not None
    yield server.stdout.readline().strip()
    server.stdin.close()
    server.wait(30)
    server.stdout.close()


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket; the environment says where it is, and the cache of this machine is empty."""
    name = f"petite-{uuid.uuid4().hex[:12]}"
    request = urllib.request.Request(f"{endpoint}/{name}", method="PUT", headers={"Authorization": SIGNED})
    urllib.request.urlopen(request, timeout=30).close()
    values = {"ENDPOINT_URL": endpoint, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "REGION": "us-east-1"}
    for key, value in values.items():
        monkeypatch.setenv(f"AWS_{key}", value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PETITE_CACHE", str(tmp_path / "cache"))
    return f"s3://{name}"


@dataclass
class Proxy:
    """Passes requests on to the server; before each it asks `fault(number)`, counted from 1, what shall go wrong.

    `by_request("PUT /bucket/key")` decides in its place.

    "403", "500", "503": that answer, nothing is passed on. "reset": the connection breaks before anything is passed on.
    "lost": the request is carried out, and the connection breaks before the answer. "slow": the answer waits.
    """

    server: str
    fault: Callable[[int], str | None]
    by_request: Callable[[str], str | None] | None = None
    slow_seconds: float = 2.0
    requests: list[str] = field(default_factory=list)
    injected: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self, request: str) -> str | None:
        with self._lock:
            self.requests.append(request)
            fault = self.fault(len(self.requests)) if self.by_request is None else self.by_request(request)
            self.injected += [fault] if fault else []
            return fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.next_fault(f"{self.command} {self.path}")
        if fault in ("403", "500", "503"):
            self._answer(int(fault), [], b"<Error><Code>SlowDown</Code></Error>")
        elif fault == "reset":
            self._break()
        else:
            answer = self._passed_on(body)
            if fault == "lost":
                self._break()
                return
            time.sleep(self.proxy.slow_seconds if fault == "slow" else 0)
            self._answer(*answer)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_any

    def _passed_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(str(urlsplit(self.proxy.server).netloc), timeout=60)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        try:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            length = dict((name.lower(), value) for name, value in headers).get("content-length", str(len(body)))
            self.send_header("Content-Length", length if self.command == "HEAD" else str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except OSError:  # the client did not wait
            self.close_connection = True

    def _break(self) -> None:
        """A reset, not an orderly end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        return

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            return


@pytest.fixture
def make_proxy(endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Proxy]]:
    """Puts a proxy between what follows and the server; several can follow each other."""
    servers: list[ThreadingHTTPServer] = []

    def make(fault: Callable[[int], str | None] = lambda number: None, **changes: Any) -> Proxy:
        proxy = Proxy(endpoint, fault, **changes)
        handler = type("Handler", (_Handler,), {"proxy": proxy})
        servers.append(_Server(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{servers[-1].server_port}")
        return proxy

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *arguments: object) -> None:
        """A connection that was broken is what we wanted."""


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests may take half a second, and pauses are short: a test waits for what it injects, not for more."""
    from trainers import bucket

    patience = bucket.Patience(request_seconds=0.5, num_retries=1, retry_seconds=20, pauses=(0.05, 0.1, 0.2))
    monkeypatch.setattr(bucket, "WORKING", patience)


@dataclass(frozen=True)
class Lab:
    """A store with data of 8 pixels and trainings of a few hundred parameters, each well under a second."""

    store: Store

    def data(self) -> str:
        """Pictures whose brightness tells the class; gives the fingerprint."""
        draw, sizes = np.random.default_rng(0), (24, 10, 6)
        with self.store.preparation("request") as folder:
            whole = folder / "whole"
            whole.mkdir()
            for split, size in zip(Split, sizes, strict=True):
                labels = np.arange(size) % 2
                levels = 40 + labels[:, None, None, None] * 150 + draw.integers(0, 60, (size, 8, 8, 3))
                np.save(whole / f"{split.value}_images.npy", levels.astype(np.uint8))
                np.save(whole / f"{split.value}_labels.npy", labels)
            manifest = Manifest(
                fingerprint="ba5e",
                name="bright",
                origin="painted for a test",
                class_names=("dark", "light"),
                image_size=8,
                num_images={split.value: size for split, size in zip(Split, sizes, strict=True)},
                has_test_labels=True,
            )
            return self.store.publish_data(whole, manifest, "request").fingerprint

    def spec(self, **changes: Any) -> RunSpec:
        model = {"num_classes": 2, "image_size": 8, "channels": (4, 6), "final_size": 2}
        spec = RunSpec(
            data="ba5e",
            model=Choice(name="conv_plain", args=model),
            objective=Choice(name="cross_entropy"),
            optimizer=Optimizer(name=OptimizerName.ADAMW, lr=1e-2, weight_decay=0.01),
            schedule=Schedule(name=ScheduleName.COSINE),
            augment=Augment(crop_padding=1, horizontal_flip=True),
            normalize=Normalization.NONE,
            epochs=2,
            batch_size=8,
            precision=Precision.FLOAT32,
            seed=0,
            view_seed=0,
        )
        return dataclasses.replace(spec, **changes)

    def train(self, spec: RunSpec) -> None:
        """One attempt, as a worker makes it: its failures are recorded."""
        self.store.write_spec(spec)
        for _ in train(self.store, run_id(spec), Execution()):
            pass

    def content(self, spec: RunSpec) -> dict[str, bytes] | None:
        """Weights and predictions of a finished run; None if it is not."""
        if self.store.state(run_id(spec)).result is None:
            return None
        return {name: self.store.verified_file(run_id(spec), name).read_bytes() for name in (WEIGHTS, PREDICTIONS)}


@pytest.fixture
def lab(bucket: str) -> Lab:
    """In a bucket."""
    return Lab(Store(f"{bucket}/store").open())


@pytest.fixture
def local(tmp_path: Path) -> Lab:
    """The same in a folder."""
    return Lab(Store(tmp_path / "local").open())
