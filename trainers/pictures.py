"""The pictures of one prepared split, mapped into memory: what trainings read, a batch at a time.

Shapes: N pictures, B of a batch, S pixels per side, H x W where pictures have sizes of their own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainers.arrays import images_file, labels_file, sizes_file
from trainers.errors import CorruptFileError
from trainers.loaded import load_array
from trainers.result import Split
from trainers.storage import Store

Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]


class Pictures:
    """RGB pictures, read-only; only what is taken is read.

    Squares (N, S, S, 3) uint8; or, given `sizes_N2` (heights and widths) and S, the pixels of pictures of any size
    one after the other, from which squares are cut.
    """

    def __init__(
        self, images: npt.NDArray[np.uint8], sizes_N2: npt.NDArray[np.int64] | None = None, size: int | None = None
    ) -> None:
        self._images, self._sizes_N2 = images, sizes_N2
        self._size = int(images.shape[1]) if size is None else size
        if sizes_N2 is not None:
            self._starts = np.concatenate([[0], np.cumsum(sizes_N2.prod(axis=1) * 3)])

    def __len__(self) -> int:
        return len(self._images if self._sizes_N2 is None else self._sizes_N2)

    @property
    def size(self) -> int:
        """S, the pixels per side of every picture that is taken."""
        return self._size

    @property
    def varies(self) -> bool:
        """Whether squares are cut from pictures of any size, so that it matters where."""
        return self._sizes_N2 is not None

    def take(self, indices: Indices, where_B2: npt.NDArray[np.floating] | None = None) -> npt.NDArray[np.uint8]:
        """A copy of some pictures (B, S, S, 3), in the order of the indices.

        If they vary, `where_B2` in 0..1 (down, across) says where the square is cut: every position in the room
        there is has the same share of 0..1, as in torchvision's RandomCrop; None is the centre, as in its
        CenterCrop. A picture that is too small gets black about it, and moves in the room that this gives.
        """
        if self._sizes_N2 is None:
            return np.asarray(self._images[indices])
        squares = np.zeros((len(indices), self._size, self._size, 3), dtype=np.uint8)
        for number, index in enumerate(indices):
            picture = self._picture(int(index))
            where = (None, None) if where_B2 is None else where_B2[number]
            (to_y, from_y), (to_x, from_x) = (
                _overlap(length, self._size, place) for length, place in zip(picture.shape[:2], where, strict=True)
            )
            squares[number, to_y, to_x] = picture[from_y, from_x]
        return squares

    def _picture(self, index: int) -> npt.NDArray[np.uint8]:
        """(H, W, 3), still mapped."""
        height, width = self._sizes_N2[index]  # type: ignore[index]
        return self._images[self._starts[index] : self._starts[index + 1]].reshape(height, width, 3)


def _overlap(length: int, size: int, where: float | None) -> tuple[slice, slice]:
    """Along one axis: which pixels of the square are filled, and with which of the picture."""
    room = abs(length - size)
    if length >= size:
        start = round(room / 2) if where is None else min(room, int(where * (room + 1)))
        return slice(0, size), slice(start, start + size)
    start = room // 2 if where is None else room - min(room, int(where * (room + 1)))
    return slice(start, start + length), slice(0, length)


def load_split(store: Store, fingerprint: str, split: Split) -> tuple[Pictures, Labels]:
    """Pictures and labels (N,) of one prepared split; label -1 means unlabelled."""
    folder = store.local_data(fingerprint)
    try:
        images = load_array(images_file(folder, split), mmap_mode="r")
        labels: Labels = load_array(labels_file(folder, split))
        if not sizes_file(folder, split).exists():
            return Pictures(images), labels
        sizes_N2 = load_array(sizes_file(folder, split))
    except CorruptFileError as error:
        raise CorruptFileError(f"prepared data {folder} cannot be read ({error}); delete it and run again") from error
    return Pictures(images, sizes_N2, store.manifest(fingerprint).image_size), labels
