"""What distillation did: agreement of students with their teachers, and accuracy per class on the way. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from analysis.charts.classes import WHO
from analysis.stats import Summary, summarize
from analysis.tables import Row
from trainers.result import Split

MOST_STUDENTS, MOST_CLASSES = 12, 40
"""Of which accuracies per class are shown: the students with the largest gain, the classes that change most."""

_KEY = ("student_group_id", "student_label", "teacher_group_id", "teacher_label")


def agreements(rows: Iterable[Row]) -> list[Row]:
    """One row per student and teacher group, over seeds, of the validation pictures; most agreement first."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row["split"] == Split.VALIDATION.value:
            groups[tuple(row[name] for name in _KEY)].append(row)
    found = [
        {
            **dict(zip(_KEY, key, strict=True)),
            "n": len(members),
            "agreement": _summary(members, "agreement"),
            "when_wrong": _summary(members, "agreement_when_teacher_wrong"),
            "kl_nats": _summary(members, "kl_nats"),
        }
        for key, members in groups.items()
    ]
    return sorted(found, key=lambda row: -(row["agreement"].mean or 0.0))


def _summary(rows: Sequence[Row], name: str) -> Summary:
    return summarize([row[name] for row in rows if row[name] is not None])


def class_changes(gains: Sequence[Row], class_accuracy: Iterable[Row]) -> list[Row]:
    """Rows for the chart: per student and class, the validation accuracy of each of the three."""
    by_group = _of_groups(class_accuracy)
    rows: list[Row] = []
    for gain in [row for row in gains if row["n"]][:MOST_STUDENTS]:
        groups = dict(zip(WHO, (gain["twin_group_id"], gain["group_id"], gain["teacher_group_id"]), strict=True))
        known = {who: by_group.get(group, {}) for who, group in groups.items()}
        names = _most_changed(known["student alone"], known["distilled"])
        rows += [
            {"student": gain["label"], "class_name": name, "who": who, "accuracy": accuracies[name]}
            for name in names
            for who, accuracies in known.items()
            if name in accuracies
        ]
    return rows


def _of_groups(class_accuracy: Iterable[Row]) -> dict[str, dict[str, float]]:
    """Mean over seeds by group and class."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in class_accuracy:
        if row["split"] == Split.VALIDATION.value:
            values[row["group_id"]][row["class_name"] or str(row["class_index"])].append(row["accuracy"])
    return {group: {name: sum(same) / len(same) for name, same in classes.items()} for group, classes in values.items()}


def _most_changed(before: dict[str, float], after: dict[str, float]) -> list[str]:
    """The classes in their own order; only those that changed most, where there are many."""
    shared = [name for name in before if name in after]
    kept = set(sorted(shared, key=lambda name: -abs(after[name] - before[name]))[:MOST_CLASSES])
    return [name for name in shared if name in kept]
