"""What every sweep file must keep, found by file name: a new file is tested without another edit."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sweeps.plan import make_plan
from trainers import plugins
from trainers.plugins import Kind

SWEEPS = plugins.names(Kind.SWEEP)


def test_the_report_is_found() -> None:
    assert "report" in SWEEPS


@pytest.mark.parametrize("name", SWEEPS)
def test_the_docstring_gives_question_cost_and_expectation(name: str) -> None:
    text = plugins.docstring(Kind.SWEEP, name)
    assert text.splitlines()[0].strip()
    assert re.search(r"^Question: .+", text, re.MULTILINE | re.DOTALL)
    assert re.search(r"^Cost: .*\bminutes?\b", text, re.MULTILINE | re.DOTALL)
    assert re.search(r"^Expected\b", text, re.MULTILINE)


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize("recipe", ["quick", "course"])
@pytest.mark.parametrize("image_size", [32, 128])
def test_jobs_are_a_pure_function_of_the_context(
    name: str, recipe: str, image_size: int, make_context: Any, make_manifest: Any
) -> None:
    jobs = plugins.load(Kind.SWEEP, name).jobs
    shape = {"data": make_manifest(image_size=image_size), "source": make_manifest("50ce", image_size=image_size)}
    first, second = (
        jobs(make_context(recipe_name=recipe, seeds=(0, 1), **shape)),
        jobs(make_context(recipe_name=recipe, seeds=(0, 1), **shape)),
    )
    assert first == second
    assert [job.id for job in first] == [job.id for job in second]
    assert isinstance(first, tuple)


@pytest.mark.parametrize("name", SWEEPS)
def test_jobs_are_a_plan_and_cover_every_seed(name: str, make_context: Any) -> None:
    plan = make_plan(plugins.load(Kind.SWEEP, name).jobs(make_context(seeds=(0, 1))))
    labels = [{job.label for job in plan.jobs if job.spec.seed == seed} for seed in (0, 1)]
    assert labels[0] == labels[1] != set()


@pytest.mark.parametrize("name", SWEEPS)
def test_a_seed_does_not_change_what_another_seed_is(name: str, make_context: Any) -> None:
    jobs = plugins.load(Kind.SWEEP, name).jobs
    together = {job.id for job in jobs(make_context(seeds=(0, 1)))}
    apart = {job.id for seed in (0, 1) for job in jobs(make_context(seeds=(seed,)))}
    assert together == apart
