"""The end of a training: the test split is read, once, and the run's files and result are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trainers.checkpoint import encode_weights
from trainers.evaluate import accuracy, predict
from trainers.latency import measure_latency
from trainers.measure import num_macs, num_params
from trainers.network import Network
from trainers.pictures import load_split
from trainers.result import Environment, EpochRecord, Manifest, Result, Split, encode_predictions
from trainers.spec import RunSpec, group_id, run_id, to_dict
from trainers.storage import CURVES, PREDICTIONS, WEIGHTS, Attempt, Store, now


@dataclass(frozen=True, kw_only=True)
class History:
    """How a network came about: its epochs, the best of them (0: none was needed), where and from what."""

    records: tuple[EpochRecord, ...]
    best_epoch: int
    environment: Environment
    parent_weights: dict[str, str]
    resumed_from: tuple[int, ...]
    is_mixed: bool
    started_at: str


def write_outcome(
    spec: RunSpec, store: Store, attempt: Attempt, network: Network, device: torch.device, history: History
) -> Result:
    """Evaluate the network that validation chose, write weights, predictions and curves; gives the result."""
    manifest = store.manifest(spec.data)
    splits = {split: load_split(store, spec.data, split) for split in (Split.VALIDATION, Split.TEST)}
    logits = {split: predict(network, pictures, device) for split, (pictures, _) in splits.items()}
    accuracies = {split: accuracy(logits_NK, torch.from_numpy(splits[split][1])) for split, logits_NK in logits.items()}
    predictions = {split: (splits[split][1], logits_NK.numpy()) for split, logits_NK in logits.items()}
    files = {
        WEIGHTS: attempt.write_file(WEIGHTS, encode_weights(network.body, _description(spec, manifest))),
        PREDICTIONS: attempt.write_file(PREDICTIONS, encode_predictions(predictions)),
        CURVES: attempt.write_curves(history.records),
    }
    records = history.records
    best = records[history.best_epoch - 1] if records else None
    return Result(
        run_id=run_id(spec),
        group_id=group_id(spec),
        attempt=attempt.token,
        data_name=manifest.name,
        initialized_from=_origin(spec, store),
        best_epoch=history.best_epoch,
        best_validation_accuracy=best.validation_accuracy if best else accuracies[Split.VALIDATION],
        last_validation_accuracy=records[-1].validation_accuracy if best else accuracies[Split.VALIDATION],
        test_accuracy=accuracies[Split.TEST] if manifest.has_test_labels else None,
        train_accuracy=best.train_accuracy if best else None,
        num_params=num_params(network),
        num_macs=num_macs(spec.model),
        size_bytes=files[WEIGHTS].size_bytes,
        num_train_images=manifest.num_images[Split.TRAIN.value],
        num_validation_images=manifest.num_images[Split.VALIDATION.value],
        num_test_images=manifest.num_images[Split.TEST.value],
        train_seconds=sum(record.epoch_seconds for record in records),
        images_per_second=float(np.mean([record.images_per_second for record in records])) if best else 0.0,
        latency_seconds=measure_latency(network, manifest.image_size, device),
        started_at=history.started_at,
        finished_at=now(),
        environment=history.environment,
        files=files,
        parent_weights=history.parent_weights,
        resumed_from_epochs=history.resumed_from,
        has_mixed_environment=history.is_mixed,
        reads_logits=bool(records) and all(record.reads_logits for record in records),
    )


def _description(spec: RunSpec, manifest: Manifest) -> dict[str, Any]:
    """What a reader of the weights alone needs to know."""
    return {
        "run_id": run_id(spec),
        "model": to_dict(spec.model),
        "normalize": spec.normalize.value,
        "class_names": manifest.class_names,
    }


def _origin(spec: RunSpec, store: Store) -> str:
    """Where training started, in words for a person."""
    if spec.init_run is not None:
        return f"source: {store.manifest(spec.init_run.data).name} (run {run_id(spec.init_run)})"
    return "scratch" if spec.init_weights is None else f"{spec.init_weights.name} ({spec.init_weights.digest[:12]})"
