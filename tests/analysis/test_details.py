"""Predictions -> per-class accuracy, confusion and agreement, by hand; and McNemar in the ranking, from real files."""

from __future__ import annotations

import math
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import predictions
from analysis.agreement import AGREEMENT_SCHEMA
from analysis.answers import ANSWERS_SCHEMA
from analysis.details import CLASS_ACCURACY_SCHEMA, CONFUSION_SCHEMA, Details, write_details
from analysis.rank import ranked
from trainers.result import Manifest, Split, encode_predictions
from trainers.spec import RunSpec, run_id
from trainers.storage import PREDICTIONS

LABELS = [0, 0, 1, 1, 2]


def one_hot(predicted: list[int], scale: float = 1.0) -> np.ndarray:
    return scale * np.eye(3, dtype=np.float32)[predicted]


def finish(
    lab: Any, spec: RunSpec, logits: np.ndarray, labels: list[int] = LABELS, test_labels: list[int] | None = None
) -> str:
    """A finished run that predicted this for its validation and test pictures."""
    of_splits = {Split.VALIDATION: labels, Split.TEST: test_labels or labels}
    content = encode_predictions({split: (np.array(known), logits) for split, known in of_splits.items()})
    accuracy = float(np.mean(np.argmax(logits, axis=1) == labels))
    counts = {f"num_{split}_images": len(labels) for split in ("validation", "test")}
    run: str = lab.finish(spec, accuracy, predictions=content, **counts)
    return run


def details(lab: Any) -> Details:
    return write_details(lab.store, ranked(lab.store, all_runs=True).runs)


def of_validation(table: pa.Table) -> list[dict[str, Any]]:
    return [row for row in table.to_pylist() if row["split"] == "validation"]


def publish(lab: Any, names: tuple[str, ...]) -> None:
    manifest = Manifest(
        fingerprint="f00d",
        name="three",
        origin="a test",
        class_names=names,
        image_size=8,
        num_images={"train": 1, "validation": 5, "test": 5},
        has_test_labels=True,
    )
    with lab.store.preparation("request") as folder:
        (folder / "whole").mkdir()
        lab.store.publish_data(folder / "whole", manifest, request="request")


def test_accuracy_and_confusion_of_each_class_by_hand(lab: Any, make_spec: Any) -> None:
    names = ("Bread", "<script>", "Rice")
    publish(lab, names)
    run = finish(lab, make_spec(), one_hot([0, 2, 1, 1, 1]))
    found = details(lab)
    accuracies = {row["class_name"]: (row["accuracy"], row["n"]) for row in of_validation(found.class_accuracy)}
    assert accuracies == {"Bread": (0.5, 2), "<script>": (1.0, 2), "Rice": (0.0, 1)}
    cells = [(row["true_class"], row["predicted_class"], row["count"]) for row in of_validation(found.confusion)]
    assert cells == [(0, 0, 1), (0, 2, 1), (1, 1, 2), (2, 1, 1)]
    assert {row["run_id"] for row in found.confusion.to_pylist()} == {run}


def test_without_the_data_classes_have_no_name_and_without_labels_there_is_no_accuracy(
    lab: Any, make_spec: Any
) -> None:
    finish(lab, make_spec(), one_hot([0, 2, 1, 1, 1]), test_labels=[-1] * 5)
    found = details(lab)
    assert {row["class_name"] for row in found.class_accuracy.to_pylist()} == {None}
    assert {row["split"] for row in found.class_accuracy.to_pylist()} == {"validation"}


def test_agreement_of_a_student_with_its_teacher_by_hand(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(model="resnet18")
    finish(lab, teacher, one_hot([0, 1, 1, 1, 0]))  # wrong on the second picture and the last
    finish(lab, make_spec(teacher=teacher), one_hot([0, 1, 1, 2, 2]))
    (row,) = of_validation(details(lab).agreement)
    assert (row["n"], row["agreement"], row["num_teacher_wrong"]) == (5, pytest.approx(0.6), 2)
    assert row["agreement_when_teacher_wrong"] == 0.5
    total = math.e + 2
    apart = (math.e - 1) / total  # KL of softmax(1, 0, 0) from softmax(0, 1, 0): (p1 - p2) * 1 where they differ
    assert row["kl_nats"] == pytest.approx(2 * apart / 5)


def test_a_student_with_its_teachers_logits_agrees_with_it_in_everything(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(model="resnet18")
    logits = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    labels = np.argmax(logits, axis=1).tolist()
    finish(lab, teacher, logits, labels)
    finish(lab, make_spec(teacher=teacher), logits + 7, labels)  # a shift of all logits changes no probability
    (row,) = of_validation(details(lab).agreement)
    assert (row["agreement"], row["agreement_when_teacher_wrong"]) == (1.0, None)
    assert row["kl_nats"] == pytest.approx(0, abs=1e-6)


def test_runs_without_predictions_and_with_damaged_ones_are_named(lab: Any, make_spec: Any) -> None:
    without = lab.finish(make_spec(seed=1))
    damaged = finish(lab, make_spec(seed=2), one_hot([0] * 5))
    file = lab.store.attempt(damaged, lab.store.result(damaged).attempt).folder / PREDICTIONS
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    found = details(lab)
    assert found.unreadable == tuple(sorted((without, damaged)))
    assert found.class_accuracy.num_rows == found.confusion.num_rows == found.agreement.num_rows == 0


def test_predictions_are_read_once_and_again_only_with_other_weights(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = make_spec(model="resnet18")
    finish(lab, teacher, one_hot([0, 1, 1, 1, 0]))
    finish(lab, make_spec(teacher=teacher), one_hot([0, 1, 1, 2, 2]))
    first = details(lab)
    read: list[str] = []
    original = predictions.read_predictions
    monkeypatch.setattr(predictions, "read_predictions", lambda store, run: read.append(run) or original(store, run))
    again = details(lab)
    assert read == []
    for name in ("class_accuracy", "confusion", "agreement"):
        assert getattr(again, name).equals(getattr(first, name))
    third = finish(lab, make_spec(seed=1, teacher=teacher), one_hot([2, 1, 1, 2, 2]))
    assert details(lab).agreement.num_rows == 4
    assert set(read) == {third, run_id(teacher)}  # the new one, and its teacher's logits


def test_a_damaged_table_of_answers_is_made_anew(lab: Any, make_spec: Any) -> None:
    finish(lab, make_spec(), one_hot([0, 2, 1, 1, 1]))
    first = details(lab)
    lab.store.table_file("answers").write_bytes(b"no Parquet")
    assert details(lab).confusion.equals(first.confusion)


def test_runs_that_are_gone_leave_the_table_of_answers(lab: Any, make_spec: Any) -> None:
    import shutil

    gone = finish(lab, make_spec(), one_hot([0] * 5))
    details(lab)
    shutil.rmtree(lab.store.run_folder(gone))
    kept = finish(lab, make_spec(seed=1), one_hot([1] * 5))
    details(lab)
    assert set(pq.read_table(lab.store.table_file("answers"))["run_id"].to_pylist()) == {kept}


def test_two_runs_of_one_seed_are_ranked_by_mcnemar_on_the_same_pictures(lab: Any, make_spec: Any) -> None:
    labels = [0] * 40
    finish(lab, make_spec(model="a"), one_hot([0] * 40), labels)
    finish(lab, make_spec(model="b"), one_hot([0] * 30 + [1] * 10), labels)
    finish(lab, make_spec(model="c"), one_hot([0] * 28 + [1] * 10 + [0, 1]), labels)
    made = ranked(lab.store, all_runs=True)
    rows = pq.read_table(lab.store.table_file("comparisons")).to_pylist()
    assert {row["method"] for row in rows} == {"mcnemar"}
    assert rows[0]["p"] == pytest.approx(2 * 0.5**10)  # ten pictures, all in favour of one
    assert rows[0]["p_corrected"] == pytest.approx(min(3 * 2 * 0.5**10, 1), rel=1) and rows[0]["p_corrected"] < 0.05
    assert rows[2]["p"] == 1.0 or rows[2]["p"] > 0.5
    assert list(zip(made.ranking["rank_low"].to_pylist(), made.ranking["rank_high"].to_pylist(), strict=True)) == [
        (1, 1),
        (2, 3),
        (2, 3),
    ]


def test_seeds_alone_decide_where_there_are_two_and_no_prediction_is_read(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (0, 1):
        finish(lab, make_spec(seed=seed), one_hot([0] * 5))
    monkeypatch.setattr(predictions, "read_predictions", lambda *_: pytest.fail("read"))
    ranked(lab.store, all_runs=True)


def test_the_tables_have_their_declared_schemas_and_open_in_duckdb(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(model="resnet18")
    finish(lab, teacher, one_hot([0, 1, 1, 1, 0]))
    finish(lab, make_spec(teacher=teacher), one_hot([0, 1, 1, 2, 2]))
    details(lab)
    schemas = {
        "class_accuracy": CLASS_ACCURACY_SCHEMA,
        "confusion": CONFUSION_SCHEMA,
        "agreement": AGREEMENT_SCHEMA,
        "answers": ANSWERS_SCHEMA,
    }
    for name, schema in schemas.items():
        assert pq.read_table(lab.store.table_file(name)).schema.equals(schema)
    files = [lab.store.table_file(name) for name in ("confusion", "class_accuracy")]
    query = "SELECT sum(count) FROM '{}' WHERE split = 'test' UNION ALL SELECT sum(n) FROM '{}' WHERE split = 'test'"
    assert duckdb.sql(query.format(*files)).fetchall() == [(10,), (10,)]
