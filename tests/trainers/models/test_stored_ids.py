"""Arguments that came later change neither the ids nor the initial weights of what is stored already."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from trainers import plugins
from trainers.network import build_body
from trainers.plugins import Kind
from trainers.randomness import seeded
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
    run_id,
)

# Run ids, and SHA-256 of names and initial values under seed 3, as the code gave them before there was a width.
BEFORE = {
    ("student", 32): ("87ab92f9b59a", "50a641bd92fe"),
    ("student", 128): ("49c264d0ddf2", "50a641bd92fe"),
    ("conv_plain", 32): ("dc11f453efbf", "ed2aafd76341"),
    ("conv_plain", 128): ("6b69f20ac66b", "ed2aafd76341"),
    ("conv_depthwise", 32): ("5650c720c80a", "36a916e84fb1"),
    ("conv_depthwise", 128): ("a753d4b7d3ea", "36a916e84fb1"),
    ("conv_group", 32): ("3e79d6294ee2", "c4887380d9bd"),
    ("conv_group", 128): ("ca93a2d0b1bc", "aec681729dcc"),
}


def model(name: str, image_size: int, **args: Any) -> Choice:
    resolved = plugins.resolve(Kind.MODEL, name, {"num_classes": 11, "image_size": image_size, **args})
    return Choice(name=name, args=resolved)


def id_with(model: Choice) -> str:
    spec = RunSpec(
        data="f00d",
        model=model,
        objective=Choice(name="cross_entropy", args={"label_smoothing": 0.0}),
        optimizer=Optimizer(name=OptimizerName.ADAMW, lr=1e-3, weight_decay=0.01),
        schedule=Schedule(name=ScheduleName.CONSTANT),
        augment=Augment(),
        normalize=Normalization.NONE,
        epochs=3,
        batch_size=8,
        precision=Precision.FLOAT32,
        seed=0,
        view_seed=0,
    )
    return run_id(spec)


def digest_of_weights(model: Choice) -> str:
    with seeded("initialisation", 3):
        body = build_body(model)
    digest = hashlib.sha256()
    for name, value in body.state_dict().items():
        digest.update(name.encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()[:12]


@pytest.mark.parametrize(("name", "size"), BEFORE)
def test_a_stored_run_keeps_its_id_and_its_initial_weights(name: str, size: int) -> None:
    expected_id, expected_weights = BEFORE[name, size]
    assert id_with(model(name, size)) == id_with(model(name, size, width=1)) == expected_id
    assert digest_of_weights(model(name, size)) == expected_weights


@pytest.mark.parametrize("name", ["student", "conv_plain", "conv_depthwise", "conv_group"])
def test_another_width_is_another_run(name: str) -> None:
    assert id_with(model(name, 32, width=0.5)) != BEFORE[name, 32][0]
