"""A finished run as a network that classifies pictures: `load_run("petite-store", "student_scratch@0")(image)`.

Shapes: N pictures, S pixels per side, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from trainers.augment import to_float
from trainers.errors import DataError, PluginError, StoreError, UnknownRunError, WeightsError
from trainers.find_plugins import find_plugins
from trainers.find_run import find_run
from trainers.images import Resize, resized, upright_rgb
from trainers.pictures import Pictures
from trainers.plugin_folder import read_folder, use
from trainers.plugins import Kind, source_file
from trainers.saved import trained_network
from trainers.spec import RunSpec
from trainers.storage import Store


@dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """`network` maps pictures (N, 3, S, S) in 0..1 to logits (N, K); it is frozen and in evaluation mode."""

    run_id: str
    network: nn.Module
    class_names: tuple[str, ...]
    image_size: int
    resize: Resize

    def __repr__(self) -> str:
        return f"LoadedRun({self.run_id}: {len(self.class_names)} classes, {self.image_size} pixels)"

    def preprocess(self, image: Image.Image) -> Tensor:
        """(3, S, S) in 0..1, made as the pictures were made that the run was trained on; DataError if it is none."""
        if not isinstance(image, Image.Image):
            raise DataError(
                f"a picture is of type {type(image).__name__}; "
                "allowed: PIL images, as of Image.open(FILE) or Image.fromarray(uint8_HWC)"
            )
        pixels_HWC = resized(upright_rgb(image), self.resize, self.image_size)
        sizes_N2 = np.array([pixels_HWC.shape[:2]])
        squares = Pictures(pixels_HWC.ravel(), sizes_N2, self.image_size)  # as they are validated: about the centre
        return to_float(torch.from_numpy(squares.take(np.array([0]))))[0]

    def __call__(self, images: Image.Image | Sequence[Image.Image]) -> Tensor:
        """Logits (N, K) of one picture or several, on the CPU."""
        batch = list(images) if isinstance(images, Iterable) else [images]
        if not batch:
            raise DataError("no picture was given; give a PIL image, or a list of them")
        device = next(self.network.parameters()).device
        images_NCHW = torch.stack([self.preprocess(image) for image in batch])
        with torch.inference_mode():
            logits_NK: Tensor = self.network(images_NCHW.to(device, memory_format=torch.channels_last))
        return logits_NK.float().cpu()

    def predict(self, images: Image.Image | Sequence[Image.Image]) -> Tensor:
        """Probabilities (N, K), in the order of `class_names`."""
        return self(images).softmax(dim=1)


def load_run(store: str | Path, run: str, *, plugins: str | Path | None = None) -> LoadedRun:
    """The network of a finished run, by its id, the beginning of it, or LABEL@SEED; its checksums are compared.

    `plugins` is the folder with the user's own model, as run_all.py --plugins takes it, or the store's copy of it.
    Its files are found from then on, in the place of any other user's folder.
    SweepError in one line: there is no such run, it is unfinished, a file is damaged, or the code of
    its model is not the code that it was trained with.
    """
    opened = Store(store)
    if not opened.check_version():
        raise StoreError(f"no store at {opened.root}; give the folder that run_all.py --store was given")
    found = find_run(opened, run)
    _check_finished(opened, found)
    if plugins is not None:
        use(read_folder(Path(plugins)))
    spec = opened.spec(found)
    manifest = opened.manifest(spec.data)
    return LoadedRun(
        run_id=found,
        network=_network(opened, found, spec),
        class_names=manifest.class_names,
        image_size=manifest.image_size,
        resize=Resize(manifest.resize),
    )


def _check_finished(store: Store, run: str) -> None:
    if store.result(run) is None:
        failure = store.state(run).failure
        why = f"failed ({failure.reason})" if failure else "is unfinished"
        raise UnknownRunError(f"run {run} {why}, so it has no network; run its sweep again")


def _network(store: Store, run: str, spec: RunSpec) -> nn.Module:
    try:
        source_file(Kind.MODEL, spec.model.name)
    except PluginError as error:
        copy = find_plugins(store, run)
        folder = repr(str(copy)) if copy else "FOLDER"
        raise PluginError(
            f"run {run} is a model that is not here: {error}; "
            f"give load_run(..., plugins={folder}), the plug-ins that it was trained with"
        ) from error
    try:
        return trained_network(spec, store)
    except RuntimeError as error:  # torch's, for tensors of other names or shapes
        raise WeightsError(
            f"the weights of run {run} do not fit trainers/models/{spec.model.name}.py, which has changed since; "
            f"use the code that it was trained with ({str(error).splitlines()[0]})"
        ) from error
