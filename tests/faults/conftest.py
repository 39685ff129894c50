"""A sweep that takes a second and writes a file of every kind, and where the tools of this folder lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent

DATA = '''"""Dark and bright specks."""
import numpy as np
from PIL import Image

from trainers.images import RawData
from trainers.result import Split

PRETRAINED, SOURCE_DATA = "imagenet", None
SIZES = {Split.TRAIN: 24, Split.VALIDATION: 10, Split.TEST: 6}


def identity(path):
    return {"version": 1}


def read(path):
    draw = np.random.default_rng(0)
    labels = {split: np.arange(size) % 2 for split, size in SIZES.items()}
    noise = {split: draw.integers(0, 90, (size, 8, 8, 3)) for split, size in SIZES.items()}

    def decode(split, index):
        return Image.fromarray((noise[split][index] + 80 * (index % 2)).astype(np.uint8))

    return RawData(class_names=("dark", "bright"), labels=labels, decode=decode, origin="specks")
'''

SWEEP = '''"""A given teacher and two students that share its logits, a run with everything on, and one that fails."""
from trainers.spec import Choice, Role

SMALL = Choice(name="conv_plain", args={"channels": (4, 6), "final_size": 2})
EVERYTHING = {"ema_decay": 0.9, "augment.mixup_alpha": 0.4, "augment.crop_padding": 1, "epochs": 3}


def jobs(context):
    return context.of_every_seed(_of_seed)


def _of_seed(context, seed):
    teacher = context.given_teacher()
    taught = {"role": Role.STUDENT, "model": SMALL, "seed": seed, "objective": "kd", "teacher": teacher}
    plain = context.job("plain", role=Role.VARIANT, model=SMALL, seed=seed, settings=EVERYTHING)
    wild = context.job("wild", role=Role.VARIANT, model=SMALL, seed=seed, settings={"optimizer.lr": 1e30})
    cold = context.job("cold", **taught, settings={"objective.temperature": 1.0})
    return (teacher, context.job("warm", **taught), cold, plain, wild)
'''


@dataclass(frozen=True)
class Tiny:
    """`arguments` of the command, but for the store and how to execute it."""

    arguments: list[str]
    plugins: Path


def make_tiny(folder: Path, weights: Path) -> Tiny:
    """Write a user's plug-ins, and weights of a user's teacher; gives the options that make a sweep of them."""
    import safetensors.torch

    from trainers.models import conv_plain

    for name, text in {"data/specks.py": DATA, "sweeps/tiny.py": SWEEP}.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
    body = conv_plain.build(num_classes=2, image_size=8, channels=(4, 6), final_size=2)
    safetensors.torch.save_file(body.state_dict(), weights)
    options = ["--plugins", str(folder), "--data", "specks", "--sweep", "tiny", "--epochs", "2", "--batch-size", "8"]
    given = ["--teacher", str(weights), "--teacher-model", "conv_plain", "--set", "teacher_given:model.final_size=2"]
    given += ["--set", "teacher_given:model.channels=[4, 6]", "--allow-weak-teacher", "--teacher-logits", "always"]
    return Tiny([*options, *given, "--no-report"], folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The smallest sweep, in a folder of its own."""
    folder = tmp_path_factory.mktemp("tiny")
    return make_tiny(folder / "own", folder / "teacher.safetensors")


@pytest.fixture(scope="session")
def specks() -> str:
    """The data file of that sweep."""
    return DATA


@pytest.fixture(scope="session")
def tool() -> Path:
    """Where this folder's programs lie."""
    return HERE
