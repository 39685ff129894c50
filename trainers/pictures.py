"""The pictures of one prepared split, mapped into memory: what trainings read, a batch at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainers.errors import CorruptFileError
from trainers.result import Split
from trainers.storage import Store

Labels = npt.NDArray[np.int64]


class Pictures:
    """RGB pictures (N, S, S, 3) uint8, read-only; only what is taken is read."""

    def __init__(self, images: npt.NDArray[np.uint8]) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    @property
    def size(self) -> int:
        """S, the pixels per side of every picture that is taken."""
        return int(self._images.shape[1])

    def take(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """A copy of some pictures (B, S, S, 3), in the order of the indices."""
        return np.asarray(self._images[indices])


def load_split(store: Store, fingerprint: str, split: Split) -> tuple[Pictures, Labels]:
    """Pictures and labels (N,) of one prepared split; label -1 means unlabelled."""
    folder = store.data_folder(fingerprint)
    try:
        images = np.load(folder / f"{split.value}_images.npy", mmap_mode="r")
        labels: Labels = np.load(folder / f"{split.value}_labels.npy")
    except (OSError, ValueError) as error:
        raise CorruptFileError(f"prepared data {folder} cannot be read ({error}); delete it and run again") from error
    return Pictures(images), labels
