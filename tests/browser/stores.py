"""Stores for pages: one with something for every section, and one whose every text means harm. Nobody trained them.

Pictures, accuracies and predictions are drawn from a seed, and fit together: a run's accuracies are those of its
predictions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from laboratory import ENVIRONMENT, Lab, make_epoch, make_spec  # tests/analysis/conftest.py: see conftest.py here

from trainers.result import EpochRecord, Manifest, Split, encode_predictions
from trainers.spec import RunSpec

DATA, CLASSES = "f00d", ("Bread", "Dairy product", "Egg", "Noodles/Pasta", "Soup")
NUM_IMAGES, NUM_EPOCHS, SEEDS = 60, 6, (0, 1, 2)
HOSTILE = "<script>alert(1)</script>'\"`|\\</script>&lt;\u202etxt.exe\u2028\n" + "x" * 300
WITH_NUL = f"\0{HOSTILE}"


@dataclass(frozen=True)
class Row:
    """A label's network, its accuracy without the luck of the seeds, and what it costs."""

    model: str
    accuracy: float
    num_params: int
    num_macs: int
    latency_seconds: float | None

    @property
    def costs(self) -> dict[str, Any]:
        size = {"num_params": self.num_params, "size_bytes": 4 * self.num_params + 10_000}
        return {**size, "num_macs": self.num_macs, "latency_seconds": self.latency_seconds}


ROWS = {
    "pretrain": Row("resnet18", 0.55, 11_182_155, 37_000_000, 0.0041),
    "teacher_scratch": Row("resnet18", 0.78, 11_182_155, 37_000_000, 0.0042),
    "teacher_pretrained": Row("resnet18", 0.88, 11_182_155, 37_000_000, 0.0043),
    "student_scratch": Row("student", 0.65, 152_075, 5_000_000, 0.0012),
    "student_kd_scratch": Row("student", 0.72, 152_075, 5_000_000, 0.0011),
    "student_kd_pretrained": Row("student", 0.80, 152_075, 5_000_000, 0.0013),
    "conv_plain": Row("conv_plain", 0.62, 264_075, 9_000_000, 0.0020),
    "conv_depthwise": Row("conv_depthwise", 0.70, 270_639, 8_000_000, None),
    "conv_group": Row("conv_group", 0.55, 258_955, 7_000_000, 0.0022),
}


def write_rich(lab: Lab) -> None:
    """The report with three seeds, a network of one seed, a job that failed and one that it blocks; an older plan."""
    write_data(lab, CLASSES)
    draw = np.random.default_rng(6)
    jobs = [job for seed in SEEDS for job in _report(seed)]
    for number, (label, spec) in enumerate(jobs):
        _finish(lab, draw, spec, ROWS[label], number)
    lone, old = make_spec(model="wide", seed=0), make_spec(seed=0, epochs=3)
    _finish(lab, draw, lone, Row("wide", 0.75, 700_000, 12_000_000, 0.003), len(jobs))
    _finish(lab, draw, old, replace(ROWS["student_scratch"], accuracy=0.5), 0)
    broken = make_spec(model="deep")
    lab.store.attempts(lab.fail(broken))[-1].log("epoch 1\nloss is nan")
    lab.plan(("student_scratch", old), plan_id="plan0", at="2025-12-31T00:00:00.000+00:00")
    more = (("conv_wide", lone), ("teacher_deep", broken), ("student_kd_deep", make_spec(teacher=broken)))
    lab.plan(*jobs, *more, at="2026-01-01T00:00:00.000+00:00")


def _report(seed: int) -> list[tuple[str, RunSpec]]:
    source = make_spec(model="resnet18", seed=seed, data="50c4")
    teacher = make_spec(model="resnet18", seed=seed)
    tuned = make_spec(model="resnet18", seed=seed, init_run=source)
    kids = {"student_kd_scratch": teacher, "student_kd_pretrained": tuned}
    parents = [("pretrain", source), ("teacher_scratch", teacher), ("teacher_pretrained", tuned)]
    alone = [("student_scratch", make_spec(seed=seed))]
    alone += [(label, make_spec(model=label, seed=seed)) for label in ROWS if label.startswith("conv_")]
    return [*parents, *alone, *((label, make_spec(seed=seed, teacher=parent)) for label, parent in kids.items())]


def write_hostile(lab: Lab) -> None:
    """Class names, labels, data, hosts, commands, reasons and logs that mean harm; two runs, one that failed."""
    write_data(lab, (HOSTILE, WITH_NUL, *CLASSES[2:]), name=HOSTILE)
    draw = np.random.default_rng(6)
    teacher, failed = make_spec(), make_spec(model="conv_plain")
    teacher = replace(teacher, model=replace(teacher.model, args={**teacher.model.args, "of a user": WITH_NUL}))
    student = make_spec(teacher=teacher)
    where = replace(ENVIRONMENT, host=HOSTILE, hardware=HOSTILE, git_commit=HOSTILE, packages={HOSTILE: HOSTILE})
    for number, (spec, row) in enumerate(((teacher, ROWS["teacher_scratch"]), (student, ROWS["student_kd_scratch"]))):
        _finish(lab, draw, spec, row, number, environment=where, data_name=HOSTILE, initialized_from=HOSTILE)
    lab.store.attempts(lab.fail(failed, WITH_NUL))[-1].log(f"{HOSTILE}\n{WITH_NUL}")
    blocked = make_spec(model="conv_group", teacher=failed)
    jobs = (f"teacher_{HOSTILE}", teacher), (f"student_{HOSTILE}", student), (f"conv{HOSTILE}", failed)
    plan = lab.plan(*jobs, (f"{HOSTILE}2", blocked))
    lab.store.write_plan(replace(plan, sweep=HOSTILE, command=HOSTILE, data_name=HOSTILE))


def write_data(lab: Lab, class_names: tuple[str, ...], name: str = "plates") -> None:
    """Prepared pictures of noise, as many in each split."""
    draw = np.random.default_rng(0)
    folder = lab.store.root / "data" / "making"
    folder.mkdir(parents=True)
    splits = [split.value for split in Split]
    for split in splits:
        np.save(folder / f"{split}_images.npy", draw.integers(0, 256, (NUM_IMAGES, 32, 32, 3), dtype=np.uint8))
        np.save(folder / f"{split}_labels.npy", labels())
    number = dict.fromkeys(splits, NUM_IMAGES)
    texts = {"name": name, "origin": name, "class_names": class_names, "fingerprint": DATA}
    lab.store.publish_data(
        folder, Manifest(**texts, image_size=32, num_images=number, has_test_labels=True), request="of-a-test"
    )


def labels() -> np.ndarray:
    return np.arange(NUM_IMAGES) % len(CLASSES)


def _finish(lab: Lab, draw: Any, spec: RunSpec, row: Row, number: int, **changes: Any) -> None:
    """A finished run; the `number`th of a plan on two hosts, a minute each."""
    accuracy = row.accuracy + draw.normal(0, 0.01)
    logits = {split: (labels(), _logits(draw, accuracy)) for split in (Split.VALIDATION, Split.TEST)}
    found = {split: float((logits[split][1].argmax(1) == labels()).mean()) for split in logits}
    minute = number // 2
    times = {"started_at": f"2026-01-01T00:{minute:02d}:00.000+00:00", "train_seconds": 55.0 + number}
    times["finished_at"] = f"2026-01-01T00:{minute + 1:02d}:00.000+00:00"
    where = {"data_name": "plates", "environment": replace(ENVIRONMENT, host=f"box-{number % 2}")}
    best = found[Split.VALIDATION]
    lab.finish(
        spec,
        best,
        curves=_curves(best),
        predictions=encode_predictions(logits),
        **{**where, **times, **row.costs, "test_accuracy": found[Split.TEST], "best_epoch": NUM_EPOCHS - 1, **changes},
    )


def _logits(draw: Any, accuracy: float) -> np.ndarray:
    """So many right, and the wrong ones anywhere else."""
    logits = draw.normal(0, 1, (NUM_IMAGES, len(CLASSES)))
    top = labels()
    wrong = draw.choice(NUM_IMAGES, round((1 - accuracy) * NUM_IMAGES), replace=False)
    top[wrong] = (top[wrong] + draw.integers(1, len(CLASSES), len(wrong))) % len(CLASSES)
    logits[np.arange(NUM_IMAGES), top] += 8
    return logits.astype(np.float32)


def _curves(best: float) -> list[EpochRecord]:
    """The epoch before the last is the best one."""
    part = [epoch / (NUM_EPOCHS - 1) for epoch in range(1, NUM_EPOCHS)]
    values = [best * (0.4 + 0.6 * done) for done in part] + [best * 0.98]
    return [replace(make_epoch(epoch, value), train_accuracy=value * 0.9) for epoch, value in enumerate(values, 1)]
