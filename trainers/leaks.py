"""Pictures that are in two splits at once: what is learnt by heart must not be what is asked.

Two pictures are the same if all their prepared pixels are, whatever files they came from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainers.errors import DataError
from trainers.files import write
from trainers.result import Split

NUM_EXAMPLES = 2
Name = Callable[[Split, int], str]
"""What the data calls the picture at a position of a split."""
Label = Callable[[Split, int], int]


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


def refuse_leaks(leaks: Sequence[Leak], name: Name, label: Label, origin: str, list_file: Path) -> None:
    """DataError with the count per pair of splits and two examples, if there are any; all are in `list_file` then."""
    if not leaks:
        return
    pairs = Counter((leak.split, leak.earlier_split) for leak in leaks)
    counts = ", ".join(
        f"{count} pictures of {split} are also in {earlier}" for (split, earlier), count in pairs.items()
    )
    equations = [
        f"{name(leak.split, leak.position)} = {name(leak.earlier_split, leak.earlier_position)}" for leak in leaks
    ]
    write(list_file, "".join(f"{equation}\n" for equation in equations).encode(errors="surrogateescape"))
    examples = ", ".join(equations[:NUM_EXAMPLES])
    raise DataError(
        f"{origin}: {counts} ({examples}; all are in {list_file}){_contradictions(leaks, label)}; "
        "remove one of each, or go on with --allow-leak"
    )


def _contradictions(leaks: Sequence[Leak], label: Label) -> str:
    """How many pictures are of two classes; unlabelled ones (-1) contradict nobody."""
    both = [{label(leak.split, leak.position), label(leak.earlier_split, leak.earlier_position)} for leak in leaks]
    count = sum(len(labels - {-1}) > 1 for labels in both)
    return f"; {count} of them are in another class there" if count else ""
