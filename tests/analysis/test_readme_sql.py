"""The three queries of the README, as they stand there, against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from analysis.rank import write_ranking

README = Path(__file__).resolve().parents[2] / "README.md"


def queries() -> list[str]:
    """The indented blocks under the heading `SQL`."""
    section = README.read_text().partition("\n### SQL\n")[2].partition("\n## ")[0]
    blocks = [block for block in section.split("\n\n") if block.startswith("    ")]
    assert len(blocks) == 3
    return blocks


@pytest.fixture
def answers(lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[Any, ...]]]:
    """A teacher, a student alone and distilled, over two seeds, a convolution that both beat, and one that failed."""
    jobs = []
    for seed, (alone, taught) in enumerate([(0.70, 0.75), (0.74, 0.77)]):
        teacher = make_spec(model="resnet18", seed=seed)
        specs = teacher, make_spec(seed=seed), make_spec(seed=seed, teacher=teacher)
        lab.finish(specs[0], 0.9, num_params=11_182_155)
        lab.finish(specs[1], alone)
        lab.finish(specs[2], taught)
        jobs += zip(("teacher_scratch", "student_scratch", "student_kd_scratch"), specs, strict=True)
    conv, lost = make_spec(model="conv_plain"), make_spec(seed=2, teacher=make_spec(model="resnet18", seed=2))
    lab.finish(conv, 0.6, num_params=264_075)
    lab.fail(lost)
    lab.plan(*jobs, ("conv_plain", conv), ("student_kd_scratch", lost))
    write_ranking(lab.store)
    lab.store.root.rename(lab.store.root.parent / "petite-store")
    monkeypatch.chdir(lab.store.root.parent)
    return [duckdb.sql(query).fetchall() for query in queries()]


def test_the_queries_of_the_readme_say_what_they_promise(answers: list[list[tuple[Any, ...]]]) -> None:
    front, gains, growth = answers
    assert [row[:2] for row in front] == [("student_kd_scratch", 152_075), ("teacher_scratch", 11_182_155)]
    assert [row[2] for row in front] == pytest.approx([0.76, 0.9])
    ((label, teacher, n, gain, sd),) = gains
    assert (label, teacher, n) == ("student_kd_scratch", "teacher_scratch", 2)
    assert (gain, sd) == pytest.approx((4.0, 2**0.5))  # 5 and 3 points
    alone = [row[1:] for row in growth if row[0] == "student_scratch"]
    assert [row[:2] for row in alone] == [(1, 2), (2, 2)] and [row[2] for row in alone] == pytest.approx([0.5, 0.72])
