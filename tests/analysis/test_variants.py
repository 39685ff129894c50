"""What tells groups of one label apart; expected texts by hand."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from rich.console import Console

from analysis.rank import RANKING_SCHEMA, main, write_ranking
from analysis.tables import to_rows
from analysis.terminal import render
from analysis.variants import differences, mark_variants
from trainers.result import Manifest
from trainers.spec import Choice, Weights, group_id, to_dict
from trainers.storage import Store


def differ(**specs: Any) -> dict[str, str]:
    return differences({name: to_dict(spec) for name, spec in specs.items()})


def test_only_what_differs_is_named_and_seeds_are_not(make_spec: Any) -> None:
    assert differ(a=make_spec(seed=1), b=make_spec(seed=2, epochs=20)) == {"a": "epochs=2", "b": "epochs=20"}
    base = make_spec()
    faster = replace(base, optimizer=replace(base.optimizer, lr=0.5), epochs=9)
    assert differ(a=base, b=faster) == {"a": "optimizer.lr=0.001, epochs=2", "b": "optimizer.lr=0.5, epochs=9"}


def test_a_teacher_is_named_by_what_differs_in_it(make_spec: Any) -> None:
    teachers = [make_spec(model="resnet18", epochs=epochs) for epochs in (3, 4)]
    assert differ(a=make_spec(teacher=teachers[0]), b=make_spec(teacher=teachers[1])) == {
        "a": "teacher.epochs=3",
        "b": "teacher.epochs=4",
    }


def test_what_a_teacher_has_in_common_with_its_student_is_said_once(make_spec: Any) -> None:
    teachers = [make_spec(model="resnet18", epochs=epochs, batch_size=size) for epochs, size in ((3, 32), (4, 64))]
    students = [make_spec(teacher=teacher, epochs=teacher.epochs, batch_size=64) for teacher in teachers]
    assert differ(a=students[0], b=students[1]) == {
        "a": "epochs=3, teacher.batch_size=32",
        "b": "epochs=4, teacher.batch_size=64",
    }


def test_another_model_or_start_is_one_word_not_all_its_fields(make_spec: Any) -> None:
    wide = Choice(name="wide", args={"width": 3, "num_classes": 11, "image_size": 32})
    weights = Weights(name="imagenet", digest="ab")
    assert differ(a=make_spec(), b=replace(make_spec(), model=wide)) == {
        "a": "model.name=student",
        "b": "model.name=wide",
    }
    started = make_spec(init_run=make_spec(model="resnet18"))
    assert differ(a=make_spec(), b=started) == {"a": "init_run=none", "b": "init_run=resnet18"}
    assert differ(a=make_spec(), b=make_spec(init_weights=weights)) == {
        "a": "init_weights=none",
        "b": "init_weights=imagenet ab",
    }


def test_groups_that_the_short_text_does_not_tell_apart_get_the_long_one(make_spec: Any) -> None:
    starts = [make_spec(model="resnet18", epochs=epochs) for epochs in (3, 4)]
    texts = differ(a=make_spec(), b=make_spec(init_run=starts[0]), c=make_spec(init_run=starts[1]))
    assert len(set(texts.values())) == 3
    assert "init_run=resnet18" in texts["b"] and "init_run.epochs=3" in texts["b"] and "init_run.epochs=4" in texts["c"]


def test_equal_specs_have_nothing_to_tell(make_spec: Any) -> None:
    assert differ(a=make_spec(), b=make_spec(seed=1)) == {"a": "", "b": ""}


def test_ranking_all_runs_names_what_sets_groups_of_one_label_apart(lab: Any, make_spec: Any, capsys: Any) -> None:
    for epochs, accuracy in ((2, 0.5), (20, 0.6)):
        lab.finish(make_spec(epochs=epochs), accuracy)
        lab.plan(("student_scratch", make_spec(epochs=epochs)), plan_id=f"plan{epochs}")
    lab.finish(make_spec(model="conv_plain"), 0.4)
    lab.plan(("conv_plain", make_spec(model="conv_plain")), plan_id="other")
    rows = to_rows(write_ranking(lab.store, all_runs=True).ranking, RANKING_SCHEMA)
    assert [(row["label"], row["variant"]) for row in rows] == [
        ("student_scratch", "epochs=20"),
        ("student_scratch", "epochs=2"),
        ("conv_plain", None),
    ]
    lab.fail(make_spec(seed=5, epochs=20))
    lab.plan(("student_scratch", make_spec(seed=5, epochs=20)), plan_id="failed")
    main([str(lab.store.root), "--all"])
    assert "student_scratch (epochs=20), seed 5: loss is not finite" in capsys.readouterr().out
    for options in ([], ["--markdown"]):
        assert main([str(lab.store.root), "--all", *options]) == 0
        text = capsys.readouterr().out
        assert "student_scratch (epochs=20)" in text and "student_scratch (epochs=2)" in text
    assert "| conv_plain |" in text


def test_groups_of_one_label_that_differ_in_the_data_alone_are_told_apart_by_size_limit_and_resize(
    lab: Any, make_spec: Any
) -> None:
    """Each group differs from the first in one thing; the last only in the pictures themselves."""
    kinds = {
        "a": (8, 100, "fit"),
        "b": (16, 100, "fit"),
        "c": (8, 20, "fit"),
        "d": (8, 100, "stretch"),
        "e": (8, 100, "fit"),
    }
    for fingerprint, (size, number, resize) in kinds.items():
        put_data(lab.store, fingerprint, size, number, resize)
        model = Choice(name="student", args={"num_classes": 11, "image_size": size})
        spec = replace(make_spec(), data=fingerprint, model=model)
        lab.begin(replace(spec, seed=7), 0)  # without a result
        lab.finish(spec, data_name="food11", num_train_images=number)
        lab.plan(("student", spec), ("student", replace(spec, seed=7)), plan_id=fingerprint)

    def variants(*chosen: str) -> dict[str, str]:
        rows = to_rows(write_ranking(lab.store, all_runs=True).ranking, RANKING_SCHEMA)
        rows = [row for row in rows if row["data_fingerprint"] in chosen]
        mark_variants(rows, {row["group_id"]: specs[row["group_id"]] for row in rows})
        return {row["data_fingerprint"]: row["variant"] for row in rows}

    specs = {group_id(spec): to_dict(spec) for spec in map(lab.store.spec, lab.store.run_ids())}
    assert variants("a", "b") == {"a": "image_size=8", "b": "image_size=16"}
    assert variants("a", "c") == {"a": "train_images=100", "c": "train_images=20"}
    assert variants("a", "d") == {"a": "resize=fit", "d": "resize=stretch"}
    assert variants("a", "e") == {"a": "data=a", "e": "data=e"}
    everything = variants(*kinds)
    assert len(set(everything.values())) == 5 and "image_size=16" in everything["b"]


def put_data(store: Store, fingerprint: str, size: int, num_train_images: int, resize: str) -> None:
    manifest = Manifest(
        fingerprint=fingerprint,
        name="food11",
        origin="a test",
        class_names=("a", "b"),
        image_size=size,
        num_images={"train": num_train_images},
        has_test_labels=False,
        resize=resize,
    )
    with store.preparation(fingerprint) as folder:
        (folder / "whole").mkdir()
        store.publish_data(folder / "whole", manifest, request=fingerprint)


def test_long_variants_are_numbered_and_explained_below_so_that_a_row_is_a_line(lab: Any, make_spec: Any) -> None:
    for epochs, lr in ((2, 0.5), (20, 0.25)):
        base = make_spec(epochs=epochs, batch_size=16 * epochs, ema_decay=lr)
        for label, spec in (("student_scratch", base), ("conv_plain", replace(base, model=Choice(name="conv_plain")))):
            lab.finish(spec)
            lab.plan((label, spec), plan_id=f"{label}{epochs}")
    written = write_ranking(lab.store, all_runs=True)

    def printed(width: int) -> list[str]:
        console = Console(file=io.StringIO(), width=width)
        render(written.ranking, written.gains, written.runs, console)
        return console.file.getvalue().splitlines()

    lines = printed(80)
    assert {line.split("  ")[0] for line in lines[2:6]} == {
        *(f"{label} (#{number})" for label in ("student_scratch", "conv_plain") for number in (1, 2))
    }
    (one,) = [line for line in lines if line.startswith("#1: ")]
    assert one in (
        "#1: batch_size=32, ema_decay=0.5, epochs=2",
        "#1: batch_size=320, ema_decay=0.25, epochs=20",
    )
    assert len([line for line in lines if line.startswith("#")]) == 2
    assert any(line.startswith("student_scratch (batch_size=32, ema_decay=0.5, epochs=2)  ") for line in printed(200))


def test_groups_of_other_data_need_no_telling_apart(lab: Any, make_spec: Any) -> None:
    for data, epochs in (("d1", 2), ("d2", 20)):
        lab.finish(make_spec(data=data, epochs=epochs), data_name=data)
        lab.plan(("student", make_spec(data=data, epochs=epochs)), plan_id=data)
    rows = to_rows(write_ranking(lab.store, all_runs=True).ranking, RANKING_SCHEMA)
    assert [row["variant"] for row in rows] == [None, None]
