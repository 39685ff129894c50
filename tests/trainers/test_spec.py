"""The identity of a training."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
from dataclasses import asdict, replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.errors import SpecError
from trainers.fields import flatten, settable_keys
from trainers.spec import (
    Augment,
    Choice,
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

TEACHER = RunSpec(
    data="0123456789abcdef",
    model=Choice(name="resnet18", args={"num_classes": 11, "image_size": 32, "stem_stride": 1, "max_pool": False}),
    objective=Choice(name="cross_entropy", args={"label_smoothing": 0.1}),
    optimizer=Optimizer(name=OptimizerName.SGD, lr=0.1, weight_decay=5e-4, momentum=0.9),
    schedule=Schedule(name=ScheduleName.ONE_CYCLE, warmup_fraction=0.3),
    augment=Augment(crop_padding=4, horizontal_flip=True, rotation_degrees=15.0),
    normalize=Normalization.IMAGENET,
    epochs=8,
    batch_size=64,
    precision=Precision.BFLOAT16,
    seed=3,
    view_seed=4,
    init_weights=Weights(name="imagenet", digest="f37072fd"),
)
STUDENT = RunSpec(
    data="0123456789abcdef",
    model=Choice(name="student", args={"num_classes": 11, "image_size": 32, "strides": (1, 1, 1, 2, 1, 2)}),
    objective=Choice(name="kd", args={"temperature": 20.0, "weight": 0.5, "label_smoothing": 0.0}),
    optimizer=Optimizer(name=OptimizerName.ADAMW, lr=1e-3, weight_decay=0.01),
    schedule=Schedule(name=ScheduleName.CONSTANT),
    augment=Augment(),
    normalize=Normalization.NONE,
    epochs=200,
    batch_size=32,
    precision=Precision.FLOAT32,
    seed=3,
    view_seed=3,
    teacher=TEACHER,
)

TEACHER_TEXT = (
    '{"augment":{"crop_padding":4,"horizontal_flip":true,"rotation_degrees":15.0},"batch_size":64,'
    '"data":"0123456789abcdef","epochs":8,"init_run":null,'
    '"init_weights":{"digest":"f37072fd","name":"imagenet"},'
    '"model":{"args":{"image_size":32,"max_pool":false,"num_classes":11,"stem_stride":1},"name":"resnet18"},'
    '"normalize":"imagenet","objective":{"args":{"label_smoothing":0.1},"name":"cross_entropy"},'
    '"optimizer":{"lr":0.1,"momentum":0.9,"name":"sgd","weight_decay":0.0005},"precision":"bfloat16",'
    '"schedule":{"name":"one_cycle","warmup_fraction":0.3},"seed":3,"teacher":null,"view_seed":4}'
)
STUDENT_TEXT = (
    '{"augment":{"crop_padding":0,"horizontal_flip":false,"rotation_degrees":0.0},"batch_size":32,'
    '"data":"0123456789abcdef","epochs":200,"init_run":null,"init_weights":null,'
    '"model":{"args":{"image_size":32,"num_classes":11,"strides":[1,1,1,2,1,2]},"name":"student"},'
    '"normalize":"none",'
    '"objective":{"args":{"label_smoothing":0.0,"temperature":20.0,"weight":0.5},"name":"kd"},'
    '"optimizer":{"lr":0.001,"momentum":0.0,"name":"adamw","weight_decay":0.01},"precision":"float32",'
    '"schedule":{"name":"constant","warmup_fraction":0.0},"seed":3,"teacher":' + TEACHER_TEXT + ',"view_seed":3}'
)

# If one of these moves, the meaning of every stored run has moved: SCHEMA_VERSION must move with it.
GOLDEN_RUN_ID = "1a4de549e0f9"
GOLDEN_GROUP_ID = "63ccddd0317a"


def test_the_golden_run_id_stands() -> None:
    by_hand = hashlib.sha256(('{"schema":1,"spec":' + STUDENT_TEXT + "}").encode()).hexdigest()[:12]
    assert run_id(STUDENT) == GOLDEN_RUN_ID == by_hand


def test_the_golden_group_id_stands() -> None:
    text = STUDENT_TEXT.replace('"seed":3,', "").replace(',"view_seed":3', "").replace(',"view_seed":4', "")
    assert "seed" not in text
    by_hand = hashlib.sha256(('{"group":' + text + ',"schema":1}').encode()).hexdigest()[:12]
    assert group_id(STUDENT) == GOLDEN_GROUP_ID == by_hand


LATER = [
    replace(STUDENT, ema_decay=0.99),
    replace(STUDENT, co_teachers=(replace(TEACHER, seed=4),)),
    replace(STUDENT, optimizer=replace(STUDENT.optimizer, decays_norm_and_bias=False)),
    replace(STUDENT, augment=Augment(random_crop=True)),
    replace(STUDENT, augment=Augment(mixup_alpha=0.2)),
    replace(STUDENT, augment=Augment(erasing_probability=0.2)),
    replace(STUDENT, teacher=replace(TEACHER, ema_decay=0.99)),
]


def test_a_field_that_came_later_is_part_of_the_id_once_it_is_used() -> None:
    assert len({run_id(spec) for spec in (STUDENT, *LATER)}) == 1 + len(LATER)


@pytest.mark.parametrize("spec", LATER)
def test_a_spec_with_later_fields_is_read_back_as_it_was_written(spec: RunSpec) -> None:
    assert from_dict(RunSpec, json.loads(canonical_json(to_dict(spec)))) == spec


def test_a_record_of_version_1_reads_as_the_spec_that_it_was() -> None:
    assert from_dict(RunSpec, json.loads(STUDENT_TEXT)) == STUDENT


def test_an_ensembles_group_forgets_the_seeds_of_all_its_teachers() -> None:
    ensembles = [replace(STUDENT, co_teachers=(replace(TEACHER, seed=seed),)) for seed in (4, 5)]
    assert len({run_id(spec) for spec in ensembles}) == 2
    assert len({group_id(spec) for spec in ensembles}) == 1


def test_an_id_does_not_depend_on_the_order_of_arguments() -> None:
    turned = Choice(name=STUDENT.model.name, args=dict(reversed(STUDENT.model.args.items())))
    assert list(turned.args) != list(STUDENT.model.args)
    assert run_id(replace(STUDENT, model=turned)) == run_id(STUDENT)


def test_a_students_id_moves_with_its_teachers_learning_rate() -> None:
    other = replace(TEACHER, optimizer=replace(TEACHER.optimizer, lr=0.2))
    changed = replace(STUDENT, teacher=other)
    assert run_id(changed) != run_id(STUDENT)
    assert group_id(changed) != group_id(STUDENT)


def test_a_group_forgets_every_seed_and_a_run_none() -> None:
    source = replace(TEACHER, init_weights=None)
    base = replace(STUDENT, teacher=replace(TEACHER, init_weights=None, init_run=source))
    variants = [
        replace(base, seed=9),
        replace(base, view_seed=9),
        replace(base, teacher=replace(base.teacher, seed=9)),
        replace(base, teacher=replace(base.teacher, init_run=replace(source, view_seed=9))),
    ]
    assert len({run_id(spec) for spec in [base, *variants]}) == 5
    assert {group_id(spec) for spec in [base, *variants]} == {group_id(base)}


@pytest.mark.parametrize(
    "change", [{"epochs": 9}, {"data": "other"}, {"normalize": Normalization.NONE}, {"precision": Precision.FLOAT32}]
)
def test_whatever_is_not_a_seed_moves_the_group(change: dict[str, Any]) -> None:
    assert group_id(replace(TEACHER, **change)) != group_id(TEACHER)


positive = st.floats(1e-9, 1e9, allow_nan=False)
scalars = st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = scalars | st.lists(st.integers(0, 99) | st.floats(0, 1), max_size=4).map(tuple)
names = st.text(st.characters(codec="utf-8"), max_size=8)
parts = st.text("0123456789abcdef: ", min_size=1, max_size=16)
"""What may name a folder."""
choices = st.builds(
    Choice, name=names, args=st.dictionaries(names.filter(lambda n: n not in ("seed", "view_seed")), values, max_size=4)
)
optimizers = st.builds(
    Optimizer,
    name=st.sampled_from(OptimizerName),
    lr=positive | st.integers(1, 3),
    weight_decay=st.floats(0, 1) | st.integers(0, 1),
    momentum=st.floats(0, 0.99) | st.just(0),
)
specs = st.builds(
    RunSpec,
    data=parts,
    model=choices,
    objective=choices,
    optimizer=optimizers,
    schedule=st.builds(Schedule, name=st.sampled_from(ScheduleName), warmup_fraction=st.floats(0, 0.99)),
    augment=st.builds(
        Augment, crop_padding=st.integers(0, 9), horizontal_flip=st.booleans(), rotation_degrees=st.floats(0, 180)
    ),
    normalize=st.sampled_from(Normalization),
    epochs=st.integers(1, 999),
    batch_size=st.integers(2, 999),
    precision=st.sampled_from(Precision),
    seed=st.integers(0, 2**53),
    view_seed=st.integers(0, 2**53),
    teacher=st.none(),
    init_run=st.none(),
    init_weights=st.none() | st.builds(Weights, name=names, digest=parts),
)


@given(spec=specs)
def test_a_spec_survives_json_with_its_id(spec: RunSpec) -> None:
    child = replace(spec, teacher=spec, init_run=spec, init_weights=None)
    for whole in (spec, child):
        back = from_dict(RunSpec, json.loads(json.dumps(to_dict(whole))))
        assert back == whole
        assert run_id(back) == run_id(whole)
        assert group_id(back) == group_id(whole)


@pytest.mark.parametrize("key", ["num_classes", "image_size"])
def test_a_teacher_of_other_classes_or_pictures_is_refused(key: str) -> None:
    other = Choice(name="resnet18", args={**TEACHER.model.args, key: 12})
    expected = 11 if key == "num_classes" else 32
    with pytest.raises(SpecError, match=rf"teacher\.model\.{key} is 12; allowed: {expected}, as for its student"):
        replace(STUDENT, teacher=replace(TEACHER, model=other))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_has_no_id(bad: float) -> None:
    args = {"num_classes": 11, "image_size": 32, "x": bad}
    with pytest.raises(SpecError, match="not finite"):
        run_id(replace(TEACHER, model=Choice(name="resnet18", args=args)))
    with pytest.raises(SpecError, match="not finite"):
        canonical_json({"a": [bad]})


REFUSED = [
    (lambda: replace(STUDENT, epochs=0), "epochs is 0; allowed: 1 or more"),
    (lambda: replace(TEACHER, ema_decay=1.0), "ema_decay is 1.0; allowed: 0 to below 1"),
    (lambda: replace(TEACHER, co_teachers=(TEACHER,)), "co_teachers is 1; allowed: none without a teacher"),
    (lambda: replace(TEACHER.augment, mixup_alpha=-1.0), "augment.mixup_alpha is -1.0; allowed: 0 or more"),
    (lambda: replace(TEACHER.augment, erasing_probability=1.5), "augment.erasing_probability is 1.5; allowed: 0 to 1"),
    (lambda: replace(TEACHER, batch_size=1), "batch_size is 1; allowed: 2 or more"),
    (lambda: replace(TEACHER, seed=-1), "seed is -1; allowed: 0 or more"),
    (lambda: replace(TEACHER, view_seed=-1), "view_seed is -1; allowed: 0 or more"),
    (lambda: replace(TEACHER.optimizer, lr=0.0), "optimizer.lr is 0.0; allowed: above 0"),
    (lambda: replace(TEACHER.optimizer, lr=math.nan), "optimizer.lr is nan; allowed: above 0"),
    (lambda: replace(TEACHER.optimizer, weight_decay=-0.1), "optimizer.weight_decay is -0.1; allowed: 0 or more"),
    (lambda: replace(TEACHER.optimizer, momentum=1.0), "optimizer.momentum is 1.0; allowed: 0 to below 1"),
    (lambda: replace(TEACHER.schedule, warmup_fraction=1.0), "schedule.warmup_fraction is 1.0; allowed: 0 to below 1"),
    (lambda: replace(TEACHER.augment, crop_padding=-1), "augment.crop_padding is -1; allowed: 0 or more"),
    (lambda: replace(TEACHER.augment, rotation_degrees=181.0), "augment.rotation_degrees is 181.0; allowed: 0 to 180"),
    (lambda: replace(TEACHER, init_run=TEACHER), "allowed: None when init_run is given"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_a_value_out_of_range_names_its_key_and_what_is_allowed(build: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        build()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_word_where_words_are_closed_is_named_with_its_place() -> None:
    content = to_dict(TEACHER) | {"precision": "float8"}
    with pytest.raises(SpecError, match=r"not a RunSpec: .*'float8'.*\$\.precision"):
        from_dict(RunSpec, content)


def test_a_missing_field_is_named() -> None:
    content = to_dict(TEACHER)
    del content["epochs"]
    with pytest.raises(SpecError, match="epochs"):
        from_dict(RunSpec, content)


def test_flat_keys_leave_out_args_and_reach_into_parents() -> None:
    flat = flatten(STUDENT)
    assert flat["model.strides"] == (1, 1, 1, 2, 1, 2)
    assert flat["teacher.optimizer.lr"] == 0.1
    assert flat["objective.name"] == "kd"
    assert not any("args" in key for key in flat)


def test_only_a_runs_own_free_fields_can_be_set() -> None:
    keys = settable_keys(STUDENT)
    assert {"epochs", "optimizer.lr", "view_seed", "objective.temperature", "model.strides"} <= set(keys)
    assert not {"data", "seed", "teacher", "model.num_classes", "model.image_size"} & set(keys)
    assert not any(key.startswith(("teacher", "init_")) for key in keys)


def test_what_was_worked_out_of_a_spec_does_not_travel_with_it() -> None:
    before = pickle.dumps(replace(STUDENT, seed=9))
    spec = replace(STUDENT, seed=9)
    assert run_id(spec) == run_id(pickle.loads(before))
    assert pickle.dumps(spec) == before


def test_a_spec_is_unfolded_as_the_standard_library_does_it() -> None:
    assert to_dict(STUDENT) == msgspec.to_builtins(asdict(STUDENT))
