"""How long a finished network takes for one picture: measured where it was trained, once."""

from __future__ import annotations

import statistics
import time

import torch

from trainers.augment import to_float
from trainers.network import Network
from trainers.randomness import seeded
from trainers.resident import sent

NUM_WARM_UP = 3
NUM_PASSES = 50
MIN_PASSES = 5
SECONDS = 0.2
"""After which no further pass begins, once there are enough for a median: small sweeps are not slowed."""


def measure_latency(network: Network, image_size: int, device: torch.device) -> float:
    """Median seconds of a forward pass of one picture (S x S, grey, already on the device) in evaluation mode.

    In float32, with the threads that torch has; the device is waited for. Other jobs on the machine are in it.
    """
    grey_NHWC = torch.full((1, image_size, image_size, 3), 128, dtype=torch.uint8)
    picture_NCHW = to_float(sent(grey_NHWC, device))
    network.eval()
    with torch.inference_mode(), seeded("latency", 0):  # a user's network may draw random numbers even here
        for _ in range(NUM_WARM_UP):
            _seconds(network, picture_NCHW)
        seconds: list[float] = []
        while len(seconds) < MIN_PASSES or (len(seconds) < NUM_PASSES and sum(seconds) < SECONDS):
            seconds.append(_seconds(network, picture_NCHW))
    return statistics.median(seconds)


def _seconds(network: Network, picture_NCHW: torch.Tensor) -> float:
    """Of one pass, from a device with nothing left to do until it has nothing left to do."""
    _wait(picture_NCHW.device)
    start = time.perf_counter()
    network(picture_NCHW)
    _wait(picture_NCHW.device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
