"""Graphs of ids: who waits for whom, and what the longest way costs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence


def children_of(order: Sequence[str], parents: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """Id -> ids that wait for it, among the ids of `order` alone."""
    children: dict[str, list[str]] = {run: [] for run in order}
    for run in order:
        for parent in parents.get(run, ()):
            if parent in children:
                children[parent].append(run)
    return children


def longest_paths(
    order: Sequence[str], children: Iterable[Mapping[str, Collection[str]]], cost: Callable[[str], float]
) -> dict[str, float]:
    """Id -> cost of the job and of the dearest chain of jobs that waits for it, over all kinds of children."""
    paths: dict[str, float] = {}
    kinds = tuple(children)
    for run in reversed(order):
        below = (paths[child] for kind in kinds for child in kind.get(run, ()))
        paths[run] = cost(run) + max(below, default=0.0)
    return paths
