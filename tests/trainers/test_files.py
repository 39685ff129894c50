"""Single files: whole, or clearly not."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainers.errors import CorruptFileError, DiskFullError, SpecError, StoreError
from trainers.files import check_file, create, file_digest, write
from trainers.records import decode, decode_record, encode_record
from trainers.result import FileRecord, Manifest
from trainers.storage import Store

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    file = tmp_path / "record.json"
    write(file, encode_record({"epochs": 3, "name": "naïve"}))
    return file


@given(content=st.dictionaries(st.text(), json_values, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_a_record_comes_back_as_it_went(content: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_bytes(encode_record(content))
    assert decode_record(file) == content


def test_a_record_can_be_checked_by_hand(record: Path) -> None:
    whole = json.loads(record.read_text())
    text = json.dumps(whole["content"], sort_keys=True, separators=(",", ":"))
    assert whole["sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_a_number_that_is_not_finite_is_never_written() -> None:
    with pytest.raises(SpecError, match="not finite"):
        encode_record({"loss": math.nan})


def test_any_truncation_is_noticed(record: Path) -> None:
    whole = record.read_bytes()
    for length in range(len(whole) - 1):  # the last byte is the line end
        record.write_bytes(whole[:length])
        with pytest.raises(CorruptFileError, match="cannot be read"):
            decode_record(record)


def test_a_flipped_bit_never_changes_what_is_read(record: Path) -> None:
    whole, content = record.read_bytes(), decode_record(record)
    num_noticed = 0
    for position in range(len(whole)):
        for bit in range(8):
            changed = bytearray(whole)
            changed[position] ^= 1 << bit
            record.write_bytes(changed)
            try:
                assert decode_record(record) == content  # white space may change without harm
            except CorruptFileError:
                num_noticed += 1
    assert num_noticed > 6 * len(whole)


def test_an_edited_value_does_not_match_the_checksum(record: Path) -> None:
    record.write_text(record.read_text().replace(": 3", ": 4"))
    with pytest.raises(CorruptFileError, match=f"{record} does not match its checksum"):
        decode_record(record)


@pytest.mark.parametrize("content", [[1, 2], "text", 3, None])
def test_a_sound_record_of_something_else_than_fields_is_refused(content: Any, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_bytes(encode_record(content))
    with pytest.raises(CorruptFileError):
        decode_record(file)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        "\xff",
        '{"content": {}}',
        '{"sha256": "0"}',
        "[" * 100_000,
        '{"content": NaN, "sha256": 1}',
    ],
)
def test_what_is_no_record_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(CorruptFileError):
        decode_record(file)


def test_a_missing_file_and_a_folder_in_its_place_are_refused(tmp_path: Path) -> None:
    for file in (tmp_path / "none.json", tmp_path):
        with pytest.raises(CorruptFileError, match="cannot be read"):
            decode_record(file)


def test_a_sound_record_of_another_kind_is_called_damaged(record: Path) -> None:
    with pytest.raises(CorruptFileError, match="is damaged: not a Manifest"):
        decode(record, Manifest)


def test_writing_replaces_and_leaves_nothing_beside(record: Path) -> None:
    write(record, b"new")
    assert record.read_bytes() == b"new"
    assert os.listdir(record.parent) == [record.name]


def test_creating_makes_a_file_once(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "result.json"
    assert create(file, b"first")
    assert not create(file, b"second")
    assert file.read_bytes() == b"first"
    assert os.listdir(file.parent) == [file.name]


def test_a_failed_replacement_leaves_the_old_file_and_nothing_beside(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = record.read_bytes()

    def fail(source: Path, target: Path) -> None:
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="broken disk"):
        write(record, b"new")
    assert record.read_bytes() == before
    assert os.listdir(record.parent) == [record.name]


def test_a_full_disk_is_said_in_one_line_and_leaves_the_old_file(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = record.read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DiskFullError, match=rf"disk full while writing {record} \([\d,]+ bytes are free\); free some"):
        write(record, b"new")
    assert record.read_bytes() == before
    assert os.listdir(record.parent) == [record.name]


def test_a_file_is_checked_for_presence_size_and_content(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"abc")
    sound = FileRecord(size_bytes=3, sha256=hashlib.sha256(b"abc").hexdigest())
    check_file(file, sound, is_read=True)
    assert file_digest(file) == sound.sha256
    file.write_bytes(b"abd")
    check_file(file, sound, is_read=False)
    with pytest.raises(CorruptFileError, match="does not match its checksum"):
        check_file(file, sound, is_read=True)
    file.write_bytes(b"ab")
    with pytest.raises(CorruptFileError, match="has 2 bytes, not 3"):
        check_file(file, sound, is_read=False)
    file.unlink()
    with pytest.raises(CorruptFileError, match="is missing"):
        check_file(file, sound, is_read=False)


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_hard_links_is_refused_when_a_store_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*names: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StoreError, match=r"cannot be written \(the file system of .* has no hard links .*--store"):
        Store(tmp_path / "store").open()
    assert list((tmp_path / "store").iterdir()) == []
