"""Weights, checkpoints and a store that mean harm: nothing of them is run, each is refused in one line."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from trainers.checkpoint import decode_state
from trainers.errors import CorruptFileError, DataError, WeightsError
from trainers.network import build_body
from trainers.pretrained import keep_weights
from trainers.records import encode_record
from trainers.spec import Choice, Weights
from trainers.storage import Store

pytestmark = pytest.mark.faults


def _load(name: str) -> Any:
    """A module beside this file, which no package holds."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hostile_weights = _load("hostile_weights")
TINY = Choice(name="conv_plain", args={"num_classes": 2, "image_size": 8, "channels": (4, 6), "final_size": 2})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A new, empty store."""
    return Store(tmp_path / "store").open()


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """What any code that is run would write."""
    return tmp_path / "canary"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("is_complete", [False, True], ids=["as a start", "as a teacher"])
def test_hostile_weights_are_refused_in_one_line_and_run_nothing(
    store: Store, canary: Path, tmp_path: Path, is_complete: bool, inject: Callable[..., None]
) -> None:
    state, number = build_body(TINY).state_dict(), 0
    for name, suffix, content in hostile_weights.all_hostile(canary, state):
        file, number = tmp_path / f"weights{suffix}", number + 1
        file.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        with pytest.raises(WeightsError) as caught:
            keep_weights(store, Weights(name="file", digest=digest), TINY, file, is_complete=is_complete)
        assert not canary.exists(), name
        assert "\n" not in str(caught.value), name
        assert not store.weights_file(digest).exists(), name
    assert number >= 30
    inject(
        fault=f"hostile weights {'as a teacher' if is_complete else 'to start from'}",
        times=number,
        finished_lost=0,
        repeated="nothing",
        outcome="each refused in one line, nothing run, nothing kept",
    )


@pytest.mark.filterwarnings("ignore")
def test_a_planted_checkpoint_with_a_valid_checksum_is_damage_and_runs_nothing(
    store: Store, canary: Path, inject: Callable[..., None]
) -> None:
    attempt, number = store.begin_attempt("a" * 12), 0
    for name, _, content in hostile_weights.all_hostile(canary, {"a.weight": torch.zeros(2, 2)}):
        if not name.startswith(("pickle", "code", "nested", "half", "zeros", "a page", "a list")):
            continue
        attempt.write_checkpoint(1, content)
        (file,) = store.checkpoints("a" * 12)
        with pytest.raises(CorruptFileError) as caught:
            decode_state(file)
        assert not canary.exists() and "\n" not in str(caught.value), name
        number += 1
    inject(
        fault="hostile checkpoint in the store",
        times=number,
        finished_lost=0,
        repeated="to the one before",
        outcome="each taken for damage, nothing run",
    )


def arrays(canary: Path) -> dict[str, bytes]:
    """NumPy's files that hold something other than numbers."""
    object_array = np.array([hostile_weights.Malicious(canary)], dtype=object)
    huge = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 1000), }".ljust(117) + b"\n"
    code = b"{'descr': __import__('os').system('x'), 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    return {
        "objects": hostile_weights._npy(object_array),
        "an archive of objects": hostile_weights._npz(object_array),
        "a pickle": pickle.dumps(hostile_weights.Malicious(canary)),
        "numbers without end": huge + header,
        "code in the head": huge + code,
        "texts": hostile_weights._npy(np.array(["a", "b"])),
        "nothing": b"",
    }


def test_planted_arrays_are_damage_and_run_nothing(store: Store, canary: Path, tmp_path: Path) -> None:
    from trainers.loaded import load_array

    for name, content in arrays(canary).items():
        logits = store.logits("b" * 12)
        folder = Path(str(logits.folder)) / "source"
        folder.mkdir(parents=True, exist_ok=True)
        planted = folder / f"epoch-000001-{hashlib.sha256(content).hexdigest()}.npy"
        planted.write_bytes(content)
        with pytest.raises(CorruptFileError):
            logits.read_epoch("source", 1)
        for mode in (None, "r"):
            with pytest.raises(CorruptFileError):
                load_array(planted, mode)
        planted.unlink()
        assert not canary.exists(), name


OUTSIDE = ["../../outside", "/etc/passwd", "..", "", "a/b", "a\0b", "a\nb", "x" * 400]


SPEC: dict[str, Any] = {
    **{"data": "f00d", "normalize": "none", "epochs": 1, "batch_size": 2, "precision": "float32", "seed": 0},
    **{"view_seed": 0, "augment": {}, "schedule": {"name": "constant"}, "model": {"name": "student"}},
    **{"objective": {"name": "cross_entropy"}, "optimizer": {"name": "adamw", "lr": 1.0, "weight_decay": 0.0}},
}
ENVIRONMENT = {name: "x" for name in ("host", "device", "hardware", "python", "torch", "torchvision", "git_commit")}
NUMBERS = ("best_epoch", "num_params", "num_macs", "size_bytes", "num_train_images", "num_validation_images")
FRACTIONS = ("best_validation_accuracy", "last_validation_accuracy", "test_accuracy", "train_accuracy", "train_seconds")
RESULT: dict[str, Any] = {
    **{"run_id": "c" * 12, "group_id": "g", "attempt": "0001", "data_name": "d", "initialized_from": "random"},
    **dict.fromkeys((*NUMBERS, "num_test_images"), 1),
    **dict.fromkeys((*FRACTIONS, "images_per_second"), 0.5),
    **{"started_at": "", "finished_at": "", "files": {}, "parent_weights": {}},
    "environment": {**ENVIRONMENT, "num_threads": 1, "git_is_dirty": False, "source_digests": {}},
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_record_whose_names_lead_out_of_the_store_is_damage(store: Store, name: str) -> None:
    from trainers.records import decode
    from trainers.result import Manifest, PlanRecord

    file = store.root / "planted.json"
    job = {"run_id": name, "group_id": "g", "label": "l", "role": "student", "seed": 0, "parents": []}
    plan = {"plan_id": "p", "sweep": "s", "command": "c", "data_name": "d", "planned_at": "t", "jobs": [job]}
    manifest = {"fingerprint": "f", "name": "n", "origin": "o", "class_names": ["a", "b"], "image_size": 8}
    manifest |= {"num_images": {}, "has_test_labels": False, "files": {name: {"size_bytes": 1, "sha256": "0"}}}
    kinds: list[tuple[Any, dict[str, Any]]] = [(PlanRecord, plan), (Manifest, manifest)]
    kinds += [
        (PlanRecord, {**plan, "jobs": [], "plan_id": name}),
        (PlanRecord, {**plan, "jobs": [{**job, "parents": [name]}]}),
    ]
    for kind, content in kinds:
        file.write_bytes(encode_record(content))
        with pytest.raises(CorruptFileError, match=r"is damaged: .*allowed: a single name"):
            decode(file, kind)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_result_and_a_spec_that_point_outside_are_damage(store: Store, name: str) -> None:
    folder = Path(str(store.run_folder("c" * 12)))
    folder.mkdir(parents=True)
    for bad in ({**SPEC, "data": name}, {**SPEC, "init_weights": {"name": "file", "digest": name}}):
        (folder / "spec.json").write_bytes(encode_record(bad))
        with pytest.raises(CorruptFileError, match="single name"):
            store.spec("c" * 12)
    for change in ({"attempt": name}, {"files": {name: {"size_bytes": 1, "sha256": "0"}}}, {"run_id": name}):
        (folder / "result.json").write_bytes(encode_record({**RESULT, **change}))
        state = store.state("c" * 12)
        assert state.result is None and state.corrupt is not None and "single name" in state.corrupt


def test_a_request_that_leads_to_data_outside_is_no_prepared_data(store: Store) -> None:
    file = Path(str(store.root), "data", "requests", "r.json")
    file.parent.mkdir(parents=True)
    for name in OUTSIDE:
        file.write_bytes(encode_record({"fingerprint": name, "origin": "o"}))
        assert store.prepared_data("r") is None


@pytest.mark.parametrize(
    "text",
    [
        '{"sha256": "0", "content": ' + "[" * 200_000 + "]" * 200_000 + "}",
        '{"sha256": "0", "content": {"a": ' + "9" * 10_000 + "}}",
        '{"sha256": "0", "content": {"a": 1e999}}',
        '{"sha256": "0", "content": {"a": "\\ud800"}}',
        '{"sha256": 5, "content": []}',
        "[]",
        "null",
        '{"a":' * 50_000,
    ],
    ids=["nested", "digits", "infinite", "half a letter", "other kinds", "a list", "null", "unfinished"],
)
def test_hostile_json_is_damage(store: Store, text: str) -> None:
    from trainers.records import decode, decode_record
    from trainers.result import Result

    file = Path(str(store.root), "planted.json")
    file.write_text(text)
    for read in (lambda: decode(file, Result), lambda: decode_record(file)):
        with pytest.raises(CorruptFileError):
            read()


def test_a_number_beyond_64_bits_in_a_result_is_damage(store: Store) -> None:
    folder = Path(str(store.run_folder("c" * 12)))
    folder.mkdir(parents=True)
    (folder / "result.json").write_bytes(encode_record({**RESULT, "num_params": 10**30}))
    corrupt = store.state("c" * 12).corrupt
    assert corrupt is not None and "num_params is beyond 64 bits" in corrupt


def write_parquet(file: Path, table: pa.Table) -> None:
    pq.write_table(table, file, compression="zstd")


def test_hostile_parquet_is_refused_in_one_line_and_runs_nothing(canary: Path, tmp_path: Path) -> None:
    from trainers.data import parquet

    images = pa.array([{"bytes": b"x", "path": "p"}] * 4, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    code = pickle.dumps(hostile_weights.Malicious(canary))
    extension = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": code}
    label = pa.field("label", pa.int64(), metadata=extension)
    schema = pa.schema([pa.field("image", images.type), label])
    nested = {"huggingface": "[" * 100_000}
    tables = {
        "pickled type": pa.table([images, pa.array([0, 1, 0, 1])], schema=schema),
        "a label of 2**62": pa.table({"image": images, "label": pa.array([0, 1, 2**62, 1])}),
        "nested names": pa.table({"image": images, "label": pa.array([0, 1, 2, 10**6])}).replace_schema_metadata(
            nested
        ),
    }
    for name, table in tables.items():
        file = tmp_path / "train.parquet"
        write_parquet(file, table)
        try:
            parquet.read(str(file))
            assert name == "pickled type"  # whose numbers are numbers
        except DataError as error:
            assert "\n" not in str(error), name
        assert not canary.exists(), name
    many = pa.table(
        {"image": pa.nulls(21_000_000, images.type), "label": pa.array(np.zeros(21_000_000, dtype=np.int8))}
    )
    write_parquet(tmp_path / "train.parquet", many)
    assert (tmp_path / "train.parquet").stat().st_size < 1_000_000
    with pytest.raises(DataError, match="has 21000000 rows; at most 20000000"):
        parquet.read(str(tmp_path / "train.parquet"))
