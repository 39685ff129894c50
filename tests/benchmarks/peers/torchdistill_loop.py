"""torchdistill's released package as its examples use it: a DistillationBox from a configuration, epoch by epoch.

    python tests/benchmarks/peers/torchdistill_loop.py --data FOLDER --teacher teacher.pt --out student.pt

Matsubara 2021, arXiv 2011.12913. Takes the options of notebook_loop.py, its pictures and its networks; the loop is
`train_one_epoch` of torchdistill's examples/torchvision/image_classification.py, with its MetricLogger. The teacher's
outputs are not cached: torchdistill's cache keeps one view per picture.
"""

from __future__ import annotations

import argparse
import logging
from typing import Any

import notebook_loop
import torch
from torch import nn
from torch.utils.data import RandomSampler, SequentialSampler
from torchdistill.common.constant import def_logger
from torchdistill.core.distillation import DistillationBox, get_distillation_box
from torchdistill.misc.log import MetricLogger, SmoothedValue

DEVICE = torch.device("cpu")
LOG_FREQUENCY = 50


def main(arguments: list[str] | None = None) -> None:
    """Distil what the command line says."""
    options = notebook_loop.make_parser().parse_args(arguments)
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    def_logger.setLevel(logging.WARNING)
    student = notebook_loop.build(options.model, options.model_args)
    box = build_box(options, student)
    num_images = len(box.train_data_loader) * options.batch_size
    epochs = iter(range(options.epochs))

    def train_epoch() -> float:
        epoch = next(epochs)
        box.pre_epoch_process(epoch=epoch)
        loss = train(box, epoch)
        box.post_epoch_process()
        return loss

    def validate() -> float:
        return notebook_loop.evaluate(student, box.val_data_loader)

    notebook_loop.write(options, student, notebook_loop.run_epochs(options, student, train_epoch, num_images, validate))


def build_box(options: argparse.Namespace, student: nn.Module) -> DistillationBox:
    """The box for a student and its teacher."""
    train_set, validation_set = notebook_loop.datasets(options.data)
    return get_distillation_box(
        notebook_loop.load(options.teacher),
        student,
        {"train": train_set, "validation": validation_set},
        configuration(options),
        DEVICE,
        None,
        False,
        1.0,
    )


def configuration(options: argparse.Namespace) -> dict[str, Any]:
    """What torchdistill's users write in YAML."""
    loader = {"batch_size": options.batch_size, "num_workers": options.workers}
    logits = {"student_module_path": ".", "student_module_io": "output"}
    logits |= {"teacher_module_path": ".", "teacher_module_io": "output"}
    loss = {**logits, "temperature": options.temperature, "alpha": 1 - options.weight, "reduction": "batchmean"}
    return {
        "num_epochs": options.epochs,
        "train_data_loader": {
            "dataset_id": "train",
            "sampler": {"class_or_func": RandomSampler, "kwargs": {}},
            "kwargs": {**loader, "drop_last": True},
        },
        "val_data_loader": {
            "dataset_id": "validation",
            "sampler": {"class_or_func": SequentialSampler, "kwargs": {}},
            "kwargs": loader,
        },
        "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False},
        "student": {"forward_proc": "forward_batch_only", "requires_grad": True},
        "optimizer": {"key": "AdamW", "kwargs": {"lr": options.lr}},
        "criterion": {
            "key": "WeightedSumLoss",
            "kwargs": {"sub_terms": {"kd": {"criterion": {"key": "KDLoss", "kwargs": loss}, "weight": 1.0}}},
        },
    }


def train(box: DistillationBox, epoch: int) -> float:
    """One epoch, as in torchdistill's example; the mean loss."""
    logger = MetricLogger(delimiter="  ")
    logger.add_meter("lr", SmoothedValue(window_size=1, fmt="{value}"))
    batches = logger.log_every(box.train_data_loader, LOG_FREQUENCY, f"Epoch: [{epoch}]")
    for images, labels, extra in batches:
        images, labels = images.to(DEVICE), labels.to(DEVICE)
        loss = box.forward_process(images, labels, extra)
        box.post_forward_process(loss=loss)
        logger.update(loss=loss.item(), lr=box.optimizer.param_groups[0]["lr"])
    mean: float = logger.meters["loss"].global_avg
    return mean


if __name__ == "__main__":
    main()
