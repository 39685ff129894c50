"""Requests against a real S3 server: what they give, and what becomes of those that fail."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from trainers import bucket as requests
from trainers.errors import StoreError, SweepError, UnreachableError
from trainers.remote import RemotePath, place_of
from trainers.storage import Store

FAULTS = ("500", "503", "reset", "lost", "slow")


@pytest.fixture
def place(bucket: str) -> RemotePath:
    return RemotePath(f"{bucket}/some/where")


def test_what_was_written_is_read_listed_and_removed(place: RemotePath) -> None:
    names = ("a.json", "b/c.txt", "b/d/e.txt", "b.txt")
    for name in names:
        (place / name).write_bytes(name.encode())
    assert {str(one.path.relative_to(place)): one.size_bytes for one in place.listed()} == {
        name: len(name) for name in names
    }
    assert place.subfolders() == ["b"] and [path.name for path in place.iterdir()] == ["b", "a.json", "b.txt"]
    assert [path.name for path in place.glob("*/*.txt")] == ["c.txt"] and place.glob("[!a]*.json") == []
    assert (place / "b").is_dir() and not (place / "b").exists() and (place / "b.txt").exists()
    assert (place / "b/d/e.txt").read_bytes() == b"b/d/e.txt"
    (place / "b").remove_all()
    assert [one.path.name for one in place.listed()] == ["a.json", "b.txt"]
    (place / "b.txt").unlink()
    (place / "b.txt").unlink()
    with pytest.raises(FileNotFoundError):
        (place / "b.txt").read_bytes()


def test_a_large_object_comes_in_pieces_that_make_the_whole(place: RemotePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "PART_BYTES", 1000)
    content = os.urandom(3501)
    (place / "large").write_bytes(content)
    assert [len(part) for part in (place / "large").parts()] == [1000, 1000, 1000, 501]
    assert (place / "large").digest() == hashlib.sha256(content).hexdigest()


def test_only_the_first_of_two_creates_and_its_content_stays(place: RemotePath) -> None:
    assert (place / "result.json").create(b"first")
    assert not (place / "result.json").create(b"second")
    assert (place / "result.json").read_bytes() == b"first"


def test_of_eight_that_create_at_once_one_wins_and_each_knows_whether_it_did(place: RemotePath) -> None:
    for number in range(5):
        file, contents = place / f"{number}.json", [f"attempt {one}".encode() for one in range(8)]
        with ThreadPoolExecutor(8) as pool:
            have_won = list(pool.map(file.create, contents))
        assert have_won.count(True) == 1
        assert file.read_bytes() == contents[have_won.index(True)]


@pytest.mark.usefixtures("patient")
@pytest.mark.faults
@pytest.mark.parametrize("fault", FAULTS)
def test_a_request_that_fails_twice_is_made_again(place: RemotePath, make_proxy: Any, fault: str) -> None:
    (place / "old").write_bytes(b"old")
    requests_of: dict[str, Callable[[], Any]] = {
        "put": lambda: (place / "new").write_bytes(b"new"),
        "get": lambda: (place / "old").read_bytes(),
        "head": lambda: (place / "old").size(),
        "list": lambda: [one.path.name for one in place.listed()],
        "create": lambda: (place / "created").create(b"ours"),
        "copy": lambda: (place / "old").copy_to(place / "copied"),
        "delete": lambda: (place / "new").unlink(),
    }
    answers = {}
    for name, request in requests_of.items():
        if fault == "slow" and name in ("head", "copy", "list"):  # each takes a second
            answers[name] = request()
            continue
        proxy = make_proxy(lambda number: fault if number < 3 else None, slow_seconds=0.8)
        answers[name] = request()
        assert proxy.injected == [fault, fault], name
    assert answers["get"] == b"old" and answers["head"] == 3 and answers["list"] == ["new", "old"]
    assert answers["create"] is True  # though the answer to the request that created it may have been lost
    assert [one.path.name for one in place.listed()] == ["copied", "created", "old"]


@pytest.mark.usefixtures("patient")
def test_a_lost_answer_makes_no_winner_of_the_second(place: RemotePath, make_proxy: Any) -> None:
    assert (place / "result.json").create(b"first")
    make_proxy(lambda number: "lost" if number == 1 else None)
    assert not (place / "result.json").create(b"second")


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("fault", ["500", "reset"])
def test_what_never_answers_is_one_line_and_no_missing_file(place: RemotePath, make_proxy: Any, fault: str) -> None:
    make_proxy(lambda number: fault)
    for request in (place.exists, lambda: place.create(b"")):
        with pytest.raises(UnreachableError) as caught:
            request()
        assert not isinstance(caught.value, OSError) and isinstance(caught.value, SweepError)
        assert "\n" not in str(caught.value) and "AWS_ENDPOINT_URL" in str(caught.value)


def silent_server() -> tuple[socket.socket, str]:
    """It takes connections and says nothing."""
    server = socket.create_server(("127.0.0.1", 0), backlog=16)
    return server, f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.faults
def test_a_store_that_does_not_answer_is_refused_within_seconds(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server, address = silent_server()
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    start = time.monotonic()
    with server, pytest.raises(UnreachableError, match="cannot be used"):
        Store(bucket).open()
    assert time.monotonic() - start < 15


@pytest.mark.parametrize("look", [lambda store: store.open(), lambda store: store.check_version()])
def test_a_bucket_that_is_not_there_is_said_to_be(
    bucket: str, look: Callable[[Store], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnreachableError, match=r"no bucket s3://petite-none at http://127.0.0.1"):
        look(Store("s3://petite-none/x"))


def test_denied_access_is_said_to_be(bucket: str, make_proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make_proxy(lambda number: "403")
    with pytest.raises(UnreachableError, match=r"denies access .* AWS_ACCESS_KEY_ID"):
        Store(bucket).open()


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("s3://", "no place in a bucket"),
        ("s3:///x", "no place in a bucket"),
        ("s3://a", "no place in a bucket"),
        ("s3://bucket/../other", "no place in a bucket"),
        ("s3://bucket//x", "no place in a bucket"),
        ("s3://bucket/x?y", "no place in a bucket"),
        ("s3://bucket/x\n", "no place in a bucket"),
        ("gs://bucket/x", "gs is not known"),
        ("https://host/x", "https is not known"),
    ],
)
def test_what_is_no_place_for_a_store_is_refused(root: str, expected: str) -> None:
    with pytest.raises(StoreError, match=expected):
        place_of(root)


def test_a_place_is_its_text_wherever_it_ends() -> None:
    assert place_of("s3://bucket/a/b/") == RemotePath("s3://bucket/a/b")
    assert str(place_of("s3://bucket")) == "s3://bucket" and place_of("s3://bucket/").key == ""
    file = RemotePath("s3://bucket/a/b.json")
    assert (file.bucket, file.key, file.name, file.stem, file.suffix) == (
        "s3://bucket",
        "a/b.json",
        "b.json",
        "b",
        ".json",
    )
    assert file.parent == RemotePath("s3://bucket/a") and file.with_name("c") == RemotePath("s3://bucket/a/c")


def test_another_endpoint_gets_another_client(bucket: str, make_proxy: Any) -> None:
    first = make_proxy()
    RemotePath(f"{bucket}/x").exists()
    second = make_proxy()
    RemotePath(f"{bucket}/x").exists()
    assert (len(first.requests), len(second.requests)) == (1, 1)
    assert threading.active_count() < 50
