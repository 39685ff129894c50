"""What is recorded of a process, and when two of them may give the same bits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
import torch

from trainers.environment import describe_environment, gives_same_numbers, numbers_digest
from trainers.execution import Execution
from trainers.result import Environment
from trainers.spec import Choice, digest_of, from_dict

TIMM = Choice(name="timm", args={"num_classes": 2, "image_size": 8, "architecture": "resnet10t"})


def environment(spec: Any) -> Environment:
    return describe_environment(spec, torch.device("cpu"), Execution())


def test_the_version_of_a_package_that_a_model_requires_is_recorded(make_spec: Any) -> None:
    timm = pytest.importorskip("timm")
    assert environment(make_spec(model=TIMM)).packages == {"timm": timm.__version__}
    assert environment(make_spec()).packages == {}


def test_another_version_of_a_package_may_give_other_numbers(make_spec: Any) -> None:
    one = environment(make_spec())
    old, new = replace(one, packages={"timm": "0.9"}), replace(one, packages={"timm": "1.0"})
    assert not gives_same_numbers(old, new)
    assert gives_same_numbers(new, replace(new, host="another", git_is_dirty=True))


def test_a_record_from_before_packages_were_recorded_is_read_and_agrees(make_spec: Any) -> None:
    now = replace(environment(make_spec()), packages={"timm": "1.0"})
    content = msgspec.to_builtins(now)
    del content["packages"]
    before = from_dict(Environment, content)
    assert gives_same_numbers(before, now)
    assert not gives_same_numbers(before, replace(now, torch="0"))


def test_a_record_from_before_determinism_was_a_choice_agrees_with_one_without_it_and_finds_its_logits(
    make_spec: Any,
) -> None:
    now = environment(make_spec())
    content = msgspec.to_builtins(now)
    del content["deterministic"]
    essential = {name: value for name, value in content.items() if name not in ("host", "git_commit", "git_is_dirty")}
    assert gives_same_numbers(from_dict(Environment, content), now)
    assert numbers_digest(now) == digest_of(essential)
    strict = replace(now, deterministic=True)
    assert not gives_same_numbers(now, strict)
    assert numbers_digest(strict) != numbers_digest(now)
