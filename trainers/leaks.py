"""Pictures that are in two splits at once: what is learnt by heart must not be what is asked.

Two pictures are the same if all their prepared pixels are, whatever files they came from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trainers.errors import DataError
from trainers.result import Split

NUM_EXAMPLES = 2


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A picture of `split`, by position, that an earlier split has as well."""

    split: Split
    position: int
    earlier_split: Split
    earlier_position: int


def find_leaks(digests: Mapping[Split, Sequence[str]]) -> tuple[Leak, ...]:
    """Every picture whose digest an earlier split (training, validation, test) has, once each, in order."""
    seen: dict[str, tuple[Split, int]] = {}
    leaks = []
    for split in Split:
        for position, digest in enumerate(digests.get(split, ())):
            earlier_split, earlier_position = seen.setdefault(digest, (split, position))
            if earlier_split is not split:
                leak = Leak(
                    split=split, position=position, earlier_split=earlier_split, earlier_position=earlier_position
                )
                leaks.append(leak)
    return tuple(leaks)


def refuse_leaks(leaks: Sequence[Leak], name: Callable[[Split, int], str], origin: str) -> None:
    """DataError with the count per pair of splits and two examples, if there are any."""
    if not leaks:
        return
    pairs = Counter((leak.split, leak.earlier_split) for leak in leaks)
    counts = ", ".join(
        f"{count} pictures of {split} are also in {earlier}" for (split, earlier), count in pairs.items()
    )
    examples = ", ".join(
        f"{name(leak.split, leak.position)} = {name(leak.earlier_split, leak.earlier_position)}"
        for leak in leaks[:NUM_EXAMPLES]
    )
    raise DataError(f"{origin}: {counts} ({examples}); remove one of each, or go on with --allow-leak")
