"""Claims, distillation, mistakes and time: as many marks as the tables have rows, and the same words."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq
import pytest

from trainers.storage import Store

pytestmark = pytest.mark.browser


Rows = list[dict[str, Any]]


def parquet(store: Store, name: str) -> Rows:
    """The rows of a table, as pyarrow reads them."""
    return list(pq.read_table(store.table_file(name)).to_pylist())


def test_every_claim_has_its_verdict_in_words(page: Any, rich: Store) -> None:
    claims = parquet(rich, "claims")
    shown = [
        row.all_inner_texts() for row in (line.locator("th, td") for line in page.locator("#claims tbody tr").all())
    ]
    assert len(shown) == len(claims) > 3
    for claim, (text, verdict, n, *_) in zip(claims, shown, strict=True):
        assert text.startswith(claim["text"]) and n == str(claim["n"])
        assert verdict.startswith(claim["verdict"])
        assert not claim["num_more_seeds"] or f"{claim['num_more_seeds']:,}" in verdict
    assert "confirmed" in {claim["verdict"] for claim in claims}


def test_every_gain_is_a_point_with_its_interval_and_a_row(page: Any, rich: Store) -> None:
    gains = parquet(rich, "kd_gains")
    splits = [(gain, split) for gain in gains for split in ("validation", "test")]
    known = [(gain, split) for gain, split in splits if gain[f"{split}_gain_mean"] is not None]
    assert page.locator("#gains-chart svg .role-mark.mark-symbol path").count() == len(known) > 2
    texts = page.locator("#gains tbody tr").all_inner_texts()
    assert len(texts) == len(gains)
    for gain, text in zip(gains, texts, strict=True):
        assert gain["label"] in text
        assert gain["validation_gain_mean"] is None or f"{100 * gain['validation_gain_mean']:+.2f}" in text


def test_a_confusion_matrix_has_the_counts_of_its_run(page: Any, rich: Store, runs: Rows) -> None:
    from playwright.sync_api import expect

    cells = [row for row in parquet(rich, "confusion") if row["split"] == "validation"]
    names = {f"{run['label']}@{run['seed']}": run["run_id"] for run in runs}
    options = page.locator("#confusion-run option").all_inner_texts()
    assert {names[option.strip()] for option in options} == {row["run_id"] for row in cells}
    for option in (options[0], options[-1]):
        page.select_option("#confusion-run", label=option.strip())
        counts = sorted(row["count"] for row in cells if row["run_id"] == names[option.strip()])
        numbers = page.locator("#confusion svg .mark-text.role-mark text")
        expect(numbers).to_have_count(len(counts))
        assert sorted(int(number) for number in numbers.all_text_contents()) == counts
        assert page.locator("#confusion svg .mark-rect.role-mark path").count() == 25


def test_pictures_that_may_be_shown_are_there(page: Any) -> None:
    widths = page.evaluate("[...document.querySelectorAll('#mistakes img')].map((picture) => picture.naturalWidth)")
    assert widths and set(widths) == {32}
    assert page.locator("#mistakes img:not([alt])").count() == 0


def test_every_attempt_is_a_bar_and_leads_to_its_run(page: Any, rich: Store, runs: Rows) -> None:
    attempts = [attempt for run in runs for attempt in rich.attempts(run["run_id"])]
    bars = page.locator("#timeline svg .mark-rect.role-mark.layer_0_marks path")
    assert bars.count() == len(attempts) == len(runs) - 1  # one is blocked
    bars.last.click()
    assert page.evaluate("location.hash").removeprefix("#run-") in {run["run_id"] for run in runs}


def test_hosts_of_the_store_are_listed_with_their_use(page: Any) -> None:
    texts = page.locator("#hosts tbody tr").all_inner_texts()
    assert sorted(text.split()[0] for text in texts) == ["box", "box-0", "box-1"]
