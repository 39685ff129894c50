"""The loop of a notebook, as a competent student writes it: trains one network, alone or distilled.

    python tests/benchmarks/peers/notebook_loop.py --data FOLDER --model resnet18 --out teacher.pt
    python tests/benchmarks/peers/notebook_loop.py --data FOLDER --model student --teacher teacher.pt --out student.pt

FOLDER has `train_images.npy` (N, S, S, 3) of bytes and `train_labels.npy`, and the same for `validation`. They are
read into memory, as torchvision's CIFAR10 does: no picture is decoded, which favours this loop. Every picture goes
through PIL and torchvision's transforms in every epoch, a teacher sees every batch, memory is NCHW, AdamW has torch's
defaults. The views are those of the recipe `quick`. Writes the best network by validation as FILE.pt, then FILE.json.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # the networks are the product's own

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CROP_PADDING = 2


def main(arguments: list[str] | None = None) -> None:
    """Train what the command line says."""
    options = make_parser().parse_args(arguments)
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    network = build(options.model, options.model_args)
    if options.init:
        start_from(network, options.init)
    train_set, validation_set = datasets(options.data)
    train_loader = DataLoader(
        train_set, batch_size=options.batch_size, shuffle=True, drop_last=True, num_workers=options.workers
    )
    validation_loader = DataLoader(validation_set, batch_size=options.batch_size, num_workers=options.workers)
    teacher = load(options.teacher) if options.teacher else None
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.lr)

    def train_epoch() -> float:
        return train(network, teacher, train_loader, optimizer, options.temperature, options.weight)

    num_images = len(train_loader) * options.batch_size
    epochs = run_epochs(options, network, train_epoch, num_images, lambda: evaluate(network, validation_loader))
    write(options, network, epochs)


def make_parser() -> argparse.ArgumentParser:
    """The command line, which torchdistill_loop.py shares."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of arrays")
    parser.add_argument("--model", default="student", help="a file of trainers/models")
    parser.add_argument("--model-args", type=json.loads, required=True, help='{"num_classes": 11, "image_size": 32}')
    parser.add_argument("--teacher", type=Path, help="what an earlier call wrote")
    parser.add_argument("--init", type=Path, help="what an earlier call wrote, to be fine-tuned")
    parser.add_argument("--temperature", type=float, default=4.0)
    parser.add_argument("--weight", type=float, default=0.7, help="share of the teacher in the loss")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="processes of the DataLoader")
    parser.add_argument("--out", type=Path, required=True, help="FILE.pt")
    return parser


class Pictures(Dataset[tuple[Tensor, int]]):
    """Arrays as pictures: each becomes a PIL image and then a view, whenever it is asked for."""

    def __init__(self, folder: Path, split: str, transform: Callable[[Image.Image], Tensor]) -> None:
        self.images = np.load(folder / f"{split}_images.npy")
        self.labels = np.load(folder / f"{split}_labels.npy")
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def datasets(folder: Path) -> tuple[Pictures, Pictures]:
    """Training pictures with random views, validation pictures as they are."""
    size = np.load(folder / "train_images.npy", mmap_mode="r").shape[1]
    as_tensor = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    views = [transforms.RandomCrop(size, padding=CROP_PADDING, padding_mode="edge"), transforms.RandomHorizontalFlip()]
    train_set = Pictures(folder, "train", transforms.Compose([*views, *as_tensor]))
    return train_set, Pictures(folder, "validation", transforms.Compose(as_tensor))


def build(model: str, model_args: dict[str, Any]) -> nn.Module:
    """The very network that the product trains."""
    network: nn.Module = importlib.import_module(f"trainers.models.{model}").build(**model_args)
    return network


def load(file: Path) -> nn.Module:
    """A network that an earlier call wrote, for evaluation."""
    saved = torch.load(file, weights_only=True)
    network = build(saved["name"], saved["model_args"])
    network.load_state_dict(saved["state_dict"])
    return network.eval()


def start_from(network: nn.Module, file: Path) -> None:
    """Take over all weights that fit: all but the classifier's."""
    own, given = network.state_dict(), torch.load(file, weights_only=True)["state_dict"]
    fitting = {name: value for name, value in given.items() if value.shape == own[name].shape}
    network.load_state_dict(fitting, strict=False)


def train(
    network: nn.Module,
    teacher: nn.Module | None,
    loader: DataLoader[tuple[Tensor, int]],
    optimizer: torch.optim.Optimizer,
    temperature: float,
    weight: float,
) -> float:
    """One epoch; the mean loss."""
    network.train()
    total = 0.0
    for images, labels in loader:
        logits = network(images)
        loss = F.cross_entropy(logits, labels)
        if teacher is not None:
            with torch.no_grad():
                teacher_logits = teacher(images)
            loss = (1 - weight) * loss + weight * soft_loss(logits, teacher_logits, temperature)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)


def soft_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T^2 KL(teacher || student), both softened (Hinton et al. 2015, arXiv 1503.02531)."""
    soft, target = F.log_softmax(logits / temperature, dim=1), F.softmax(teacher_logits / temperature, dim=1)
    return F.kl_div(soft, target, reduction="batchmean") * temperature**2


@torch.no_grad()
def evaluate(network: nn.Module, loader: DataLoader[tuple[Tensor, int]]) -> float:
    """Accuracy in 0..1."""
    network.eval()
    num_right = sum((network(images).argmax(dim=1) == labels).sum().item() for images, labels in loader)
    return num_right / len(loader.dataset)  # type: ignore[arg-type]  # it has a length


def run_epochs(
    options: argparse.Namespace,
    network: nn.Module,
    train_epoch: Callable[[], float],
    num_images: int,
    validate: Callable[[], float],
) -> list[dict[str, float]]:
    """All epochs; afterwards the network has the weights that validation liked best."""
    best_state, best_accuracy, epochs = copy.deepcopy(network.state_dict()), -1.0, []
    for epoch in range(1, options.epochs + 1):
        start = time.perf_counter()
        loss = train_epoch()
        train_seconds = time.perf_counter() - start
        accuracy = validate()
        if accuracy > best_accuracy:
            best_state, best_accuracy = copy.deepcopy(network.state_dict()), accuracy
        epochs.append({"num_images": num_images, "train_seconds": train_seconds, "accuracy": accuracy, "loss": loss})
        print(f"{options.out.stem}: epoch {epoch}/{options.epochs}, validation accuracy {accuracy:.4f}", flush=True)
    network.load_state_dict(best_state)
    return epochs


def write(options: argparse.Namespace, network: nn.Module, epochs: list[dict[str, float]]) -> None:
    """The network, and then, as the sign that it is complete, what the epochs were like."""
    saved = {"name": options.model, "model_args": options.model_args, "state_dict": network.state_dict()}
    torch.save(saved, options.out)
    options.out.with_suffix(".json").write_text(json.dumps(epochs))


if __name__ == "__main__":
    main()
