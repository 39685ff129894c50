"""A spec's identity under whatever JSON may do to it, for random trees of specs with all fields."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainers.spec import (
    Augment,
    Choice,
    LogitsType,
    Normalization,
    Optimizer,
    OptimizerName,
    Precision,
    RunSpec,
    Schedule,
    ScheduleName,
    Weights,
    canonical_json,
    from_dict,
    group_id,
    run_id,
    to_dict,
)

few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A tree has a hundred random values; on a busy machine each takes its time."""
fractions = st.floats(0, 0.99, allow_subnormal=False)
numbers = st.floats(1e-9, 1e9, allow_subnormal=False) | st.integers(1, 9).map(float)
parts = st.sampled_from(["a", "\u00e9", "\u2028", "\U0001f600", '"', "\\", "NaN"])
"""Names of data and weights, which are parts of a path."""
words = parts | st.sampled_from(["", "b/c"])
names = words.filter(lambda name: name not in ("seed", "view_seed"))
values = st.booleans() | st.integers(-99, 99) | numbers | words | st.lists(st.integers(0, 9), max_size=3)
seeds = st.integers(0, 2**63 - 1)
choices = st.builds(Choice, name=words, args=st.dictionaries(names, values, max_size=3))
augments = st.builds(
    Augment,
    crop_padding=st.integers(0, 9),
    horizontal_flip=st.booleans(),
    rotation_degrees=st.just(0.0) | st.floats(0, 180, allow_subnormal=False),
    random_crop=st.booleans(),
    mixup_alpha=st.just(0.0) | numbers,
    erasing_probability=fractions,
)
leaves = st.builds(
    RunSpec,
    data=parts,
    model=choices,
    objective=choices,
    optimizer=st.builds(
        Optimizer,
        name=st.sampled_from(OptimizerName),
        lr=numbers,
        weight_decay=fractions,
        momentum=fractions,
        decays_norm_and_bias=st.booleans(),
    ),
    schedule=st.builds(Schedule, name=st.sampled_from(ScheduleName), warmup_fraction=fractions),
    augment=augments,
    normalize=st.sampled_from(Normalization),
    epochs=st.integers(1, 999),
    batch_size=st.integers(2, 999),
    precision=st.sampled_from(Precision),
    seed=seeds,
    view_seed=seeds,
    init_weights=st.none() | st.builds(Weights, name=words, digest=parts),
    ema_decay=st.just(0.0) | fractions,
    logits_dtype=st.sampled_from(LogitsType),
    teacher=st.none(),
    init_run=st.none(),
    co_teachers=st.just(()),
)


@st.composite
def trees(draw: st.DrawFn) -> RunSpec:
    """A spec with up to three teachers, the first of which may have one as well, and perhaps a start."""
    spec = draw(leaves)
    teachers = [replace(one, model=spec.model) for one in draw(st.lists(leaves, max_size=3))]
    if len(teachers) == 3:
        teachers = [replace(teachers[0], teacher=teachers[2]), teachers[1]]
    start = draw(leaves) if spec.init_weights is None and draw(st.booleans()) else None
    first = teachers[0] if teachers else None
    return replace(spec, teacher=first, co_teachers=tuple(teachers[1:]), init_run=start)


def shuffled(content: Any, draw: random.Random) -> Any:
    """The same plain data with the keys of every object in another order."""
    if isinstance(content, dict):
        pairs = [(key, shuffled(value, draw)) for key, value in content.items()]
        draw.shuffle(pairs)
        return dict(pairs)
    return [shuffled(value, draw) for value in content] if isinstance(content, list | tuple) else content


class Spelled(float):
    """A float that JSON writes in another form than the shortest."""

    def __repr__(self) -> str:
        return f"{float(self):.17e}"


def spelled(content: Any) -> Any:
    """Every float as 1.00000000000000000e+00; those in `args` too."""
    if isinstance(content, dict):
        return {key: spelled(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [spelled(value) for value in content]
    return Spelled(content) if isinstance(content, float) else content


def written(content: Any) -> str:
    """JSON with floats by their own `repr` (the standard library asks `float.__repr__` instead)."""
    if isinstance(content, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{written(value)}" for key, value in content.items()) + "}"
    if isinstance(content, list | tuple):
        return "[" + ",".join(map(written, content)) + "]"
    return repr(content) if isinstance(content, Spelled) else json.dumps(content)


def reseeded(spec: RunSpec, draw: random.Random) -> RunSpec:
    """The same with other seeds everywhere."""

    def other(parent: RunSpec | None) -> RunSpec | None:
        return None if parent is None else reseeded(parent, draw)

    return replace(
        spec,
        seed=(spec.seed + draw.randrange(1, 99)) % 2**63,
        view_seed=(spec.view_seed + draw.randrange(1, 99)) % 2**63,
        teacher=other(spec.teacher),
        init_run=other(spec.init_run),
        co_teachers=tuple(reseeded(one, draw) for one in spec.co_teachers),
    )


@few
@given(spec=trees())
def test_any_tree_of_specs_comes_back_from_json_as_it_was(spec: RunSpec) -> None:
    back = from_dict(RunSpec, json.loads(canonical_json(to_dict(spec))))
    assert canonical_json(to_dict(back)) == canonical_json(to_dict(spec))
    assert (run_id(back), group_id(back)) == (run_id(spec), group_id(spec))


@few
@given(spec=trees(), draw=st.randoms(use_true_random=False))
def test_the_order_of_keys_is_no_part_of_an_id(spec: RunSpec, draw: random.Random) -> None:
    back = from_dict(RunSpec, json.loads(json.dumps(shuffled(to_dict(spec), draw))))
    assert (run_id(back), group_id(back)) == (run_id(spec), group_id(spec))


@few
@given(spec=trees())
def test_how_a_float_is_spelled_is_no_part_of_an_id(spec: RunSpec) -> None:
    text = written(spelled(to_dict(spec)))
    assert "e-01" in text or "e+0" in text
    assert run_id(from_dict(RunSpec, json.loads(text))) == run_id(spec)


@few
@given(spec=trees(), draw=st.randoms(use_true_random=False))
def test_other_seeds_at_any_depth_are_another_run_of_the_same_group(spec: RunSpec, draw: random.Random) -> None:
    other = reseeded(spec, draw)
    assert group_id(other) == group_id(spec)
    assert run_id(other) != run_id(spec)


@few
@given(spec=trees(), draw=st.randoms(use_true_random=False))
def test_one_other_value_anywhere_is_another_run(spec: RunSpec, draw: random.Random) -> None:
    changed = draw.choice([{"data": spec.data + "x"}, {"epochs": spec.epochs + 1}, {"batch_size": spec.batch_size + 1}])
    parents = [name for name in ("teacher", "init_run") if getattr(spec, name) is not None]
    where = draw.choice([None, *parents])
    other = replace(spec, **changed if where is None else {where: replace(getattr(spec, where), **changed)})
    assert run_id(other) != run_id(spec)
    assert group_id(other) != group_id(spec)
