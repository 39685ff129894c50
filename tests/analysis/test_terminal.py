"""What a person sees, at several widths."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from analysis.rank import write_ranking
from analysis.reference import PUBLISHED
from analysis.terminal import render, to_markdown
from trainers.result import Manifest


def printed(lab: Any, width: int = 80, **options: Any) -> str:
    written = write_ranking(lab.store, **options)
    console = Console(file=io.StringIO(), width=width)
    render(written.ranking, written.gains, written.runs, console)
    text: str = console.file.getvalue()
    return text


def fill_report(lab: Any, make_spec: Any, num_seeds: int) -> None:
    """Every row of the sweep `report`, a few points beside the published number."""
    jobs = []
    for seed in range(num_seeds):
        teachers = {}
        for label, row in PUBLISHED.items():
            specs = {"model": label if "student" not in label else "student", "seed": seed}
            if "kd" in label:
                specs["teacher"] = teachers[label.removeprefix("student_kd_")]
            spec = make_spec(**specs)
            teachers[label.removeprefix("teacher_")] = spec
            macs = row.num_params * 163
            accuracy = row.validation_accuracy + 0.003 * seed
            lab.finish(spec, accuracy, num_params=row.num_params, size_bytes=4 * row.num_params, num_macs=macs)
            jobs.append((label, spec))
    lab.plan(*jobs)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_every_number_is_whole_at_every_width_and_no_line_is_longer(lab: Any, make_spec: Any, width: int) -> None:
    fill_report(lab, make_spec, num_seeds=3)
    text = printed(lab, width)
    for number in ("11,182,155", "44.73 MB", "608 kB", "1.82 G", "88.71 ±0.75", "68.425", "1.5 min", "+0.30"):
        assert number in text
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width


def test_labels_are_whole_at_80_columns(lab: Any, make_spec: Any) -> None:
    fill_report(lab, make_spec, num_seeds=3)
    assert all(label in printed(lab) for label in PUBLISHED)


def test_the_best_comes_first_with_its_count_line_above(lab: Any, make_spec: Any) -> None:
    fill_report(lab, make_spec, num_seeds=1)
    title, _, first = printed(lab).splitlines()[:3]
    assert title == "Ranking by validation accuracy: 8 ok, 0 failed, 0 blocked"
    assert first.split()[:4] == ["teacher_pretrained", "1", "1", "88.41"]


def test_one_seed_shows_no_interval_and_says_so(lab: Any, make_spec: Any) -> None:
    fill_report(lab, make_spec, num_seeds=1)
    text = printed(lab)
    assert "±" not in text
    assert "n = 1, so no spread is known." in text


def test_a_single_group_with_one_seed_is_named_among_others_with_more(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec(), 0.5)
    lab.finish(make_spec(seed=1), 0.6)
    lab.finish(make_spec(model="lonely"), 0.5)
    lab.plan(("pair", make_spec()), ("pair", make_spec(seed=1)), ("lonely", make_spec(model="lonely")))
    assert "n = 1, so no spread is known, for: lonely." in printed(lab)


def test_failed_and_blocked_jobs_are_counted_and_explained(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(model="resnet18")
    lab.fail(teacher, "loss is not finite at epoch 3, step 7, lr 0.1")
    lab.finish(make_spec())
    lab.begin(make_spec(seed=1), num_epochs=1)
    jobs = [
        ("student_kd_scratch", make_spec(teacher=teacher)),
        ("scratch", make_spec()),
        ("scratch", make_spec(seed=1)),
    ]
    lab.plan(("teacher_scratch", teacher), *jobs)
    text = printed(lab)
    (log,) = lab.store.root.glob("runs/*/attempts/*/failure.json")
    assert "1 ok, 1 failed, 1 blocked, 1 unfinished" in text
    assert "FAILED (1)\nteacher_scratch, seed 0: loss is not finite at epoch 3, step 7, lr 0.1\n" in text
    assert f"  log: {log.with_name('log.txt')}\n" in text
    assert "BLOCKED (1)\nstudent_kd_scratch, seed 0: blocked by teacher_scratch\n" in text
    assert "UNFINISHED (1)\nscratch, seed 1: 1 of 2 epochs done\n" in text


def test_gains_show_teacher_twin_and_a_note_for_beaten_teachers(lab: Any, make_spec: Any) -> None:
    fill_report(lab, make_spec, num_seeds=3)
    text = printed(lab)
    assert "Gain of distillation" in text
    assert "+2.48 ±0.00" in text  # 82.36 - 79.88 for every seed
    assert "student_kd_scratch: beat its teacher by 0.72 points" in text


def test_both_readings_of_the_swapped_table_are_shown(lab: Any, make_spec: Any) -> None:
    fill_report(lab, make_spec, num_seeds=1)
    assert "student_scratch: the report also prints 82.32" in printed(lab)


def test_published_numbers_are_absent_where_nothing_is_comparable(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec(), data_name="cifar10")
    assert "published" not in printed(lab, all_runs=True)


def test_markup_and_control_characters_in_a_label_are_text(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec())
    lab.fail(make_spec(model="m"), "[/red] :boom: \x1b[2J")
    lab.plan(("[bold red]x[/]:smile:\x1b[31m", make_spec()), ("[/nope]", make_spec(model="m")))
    text = printed(lab, 200)
    assert "[bold red]x[/]:smile:?[31m" in text
    assert "[/nope], seed 0: [/red] :boom: ?[2J" in text
    assert "\x1b" not in text


def test_the_work_of_a_tiny_network_is_not_shown_as_none(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec(), num_macs=40_320)
    assert "40.3 k" in printed(lab, 200, all_runs=True)


def test_data_sets_of_one_name_are_told_apart_by_their_size(lab: Any, make_spec: Any) -> None:
    for number, size in enumerate((8, 16)):
        manifest = Manifest(
            fingerprint=f"d{number}",
            name="food11",
            origin="a test",
            class_names=("a", "b"),
            image_size=size,
            num_images={"train": 1},
            has_test_labels=False,
        )
        with lab.store.preparation("request") as folder:
            (folder / "whole").mkdir()
            lab.store.publish_data(folder / "whole", manifest, request="request")
        lab.finish(make_spec(data=f"d{number}"))
    text = printed(lab, 200, all_runs=True)
    assert "food11 8 px" in text and "food11 16 px" in text


def test_markdown_has_one_row_per_group_and_escapes_labels(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec(), 0.8, num_params=1_000)
    lab.plan(("a|b<i>", make_spec()))
    header, rule, row, *notes = to_markdown(write_ranking(lab.store).ranking).splitlines()
    assert header.startswith("| label | rank | n | validation % | test % | params |")
    assert rule.startswith("| --- | ---: |")
    assert row.startswith(r"| a\|b\<i\> | 1 | 1 | 80.00 | 78.00 | 1,000 | \* |")
    assert "n = 1" in " ".join(notes)


def test_a_rank_stands_with_the_ranks_that_the_evidence_leaves_open(lab: Any, make_spec: Any) -> None:
    accuracies = {"a": 0.80, "b": 0.799, "c": 0.50}  # of 3,430 pictures: the first two may change places
    for model, accuracy in accuracies.items():
        lab.finish(make_spec(model=model), accuracy)
    lab.plan(*((model, make_spec(model=model)) for model in accuracies))
    ranking = write_ranking(lab.store).ranking
    ranks = [line.split("|")[2].strip() for line in to_markdown(ranking).splitlines()[2:5]]
    assert ranks == ["1 (1-2)", "2 (1-2)", "3"]
    text = printed(lab, 120)
    assert "1 (1-2)" in text and "ranks that the evidence leaves open" in " ".join(text.split())


def test_markdown_counts_what_is_missing(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec())
    lab.fail(make_spec(seed=1))
    lab.plan(("a", make_spec()), ("a", make_spec(seed=1)))
    assert "Runs: 1 ok, 1 failed, 0 blocked." in to_markdown(write_ranking(lab.store).ranking)


def test_the_data_is_named_only_where_there_are_several(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec(data="d1"), data_name="easy")
    lab.fail(make_spec(data="d3"))
    assert "easy" not in printed(lab, 200, all_runs=True)
    lab.finish(make_spec(data="d2"), data_name="hard")
    assert {"easy", "hard"} <= set(printed(lab, 200, all_runs=True).split())
