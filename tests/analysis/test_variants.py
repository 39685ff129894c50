"""What tells groups of one label apart; expected texts by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from analysis.rank import RANKING_SCHEMA, main, write_ranking
from analysis.tables import to_rows
from analysis.variants import differences
from trainers.spec import Choice, Weights, to_dict


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


def test_groups_of_other_data_need_no_telling_apart(lab: Any, make_spec: Any) -> None:
    for data, epochs in (("d1", 2), ("d2", 20)):
        lab.finish(make_spec(data=data, epochs=epochs), data_name=data)
        lab.plan(("student", make_spec(data=data, epochs=epochs)), plan_id=data)
    rows = to_rows(write_ranking(lab.store, all_runs=True).ranking, RANKING_SCHEMA)
    assert [row["variant"] for row in rows] == [None, None]
