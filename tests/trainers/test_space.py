"""How much room a disk has, and what is told when it has none."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trainers.attempt import ANY_CHECKPOINT, Attempt
from trainers.errors import DiskFullError, StoreError
from trainers.remote import RemotePath
from trainers.space import RESERVED_BYTES, check_room, explained, free_bytes, room_bytes


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets every disk have so many bytes in all, and so many free."""

    def use(total: int, free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=total, free=free))

    return use


def test_of_a_large_disk_a_fixed_part_stays_free_and_of_a_small_one_a_fiftieth(disk: Any, tmp_path: Path) -> None:
    disk(total=10**13, free=10**12)
    assert room_bytes(tmp_path) == 10**12 - RESERVED_BYTES
    disk(total=5_000, free=1_000)
    assert room_bytes(tmp_path) == 900


def test_a_disk_that_does_not_tell_its_size_and_a_bucket_have_room_for_everything(disk: Any, tmp_path: Path) -> None:
    disk(total=0, free=0)
    check_room(tmp_path / "file", 10**15)
    check_room(RemotePath("s3://bucket/store/file"), 10**15)


def test_a_folder_that_is_not_there_yet_has_the_room_of_the_one_that_will_hold_it(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "there") == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)


def test_a_file_that_fits_exactly_is_written_and_one_byte_more_is_not(disk: Any, tmp_path: Path) -> None:
    disk(total=5_000, free=1_000)
    check_room(tmp_path / "file", 900)
    with pytest.raises(DiskFullError, match=r"no room for .*file: it takes 901 bytes, 900 are left; free some space"):
        check_room(tmp_path / "file", 901)


def test_a_checkpoint_leaves_what_stays_free_alone_and_the_ones_before_it(disk: Any, tmp_path: Path) -> None:
    attempt = Attempt(run="run", token="0001", folder=tmp_path)
    attempt.write_checkpoint(1, b"state")
    disk(total=5_000, free=104)
    with pytest.raises(DiskFullError, match=r"checkpoint-000002\.pt"):
        attempt.write_checkpoint(2, b"state")
    assert [file.name for file in tmp_path.glob("*")] == ["checkpoint-000001.pt"]
    assert list(tmp_path.glob(ANY_CHECKPOINT))


def test_a_full_disk_is_told_with_what_to_do_whoever_met_it() -> None:
    bare = OSError(errno.ENOSPC, "No space left on device", "/store/tables/runs.parquet")
    line = explained(bare)
    assert line.startswith("disk full (") and "/store/tables/runs.parquet" in line
    assert line.endswith("free some space and run the same command again")
    assert explained(DiskFullError("no room\nhere")) == "no room here"
    assert explained(StoreError("newer")) == "newer"
    assert explained(OSError(errno.EIO, "lost")) == "[Errno 5] lost"
