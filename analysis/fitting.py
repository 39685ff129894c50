"""Text in the room that there is: shortened and counted together where that is short, never cut off silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells
from rich.text import Text

from analysis.overview import Glance
from trainers.shown import one_line

GAP = "..."
INDENT = "    "

MOST_NAMES = 200
"""That are written side by side: nobody reads more."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing to say in several forms: the richest first, the last of a single line."""

    forms: tuple[list[str], ...]
    style: str = ""


def fitted(lines: Sequence[Line], room: int) -> list[Text]:
    """Every line in the richest form that the room allows, those before others first."""
    spare, shown = max(0, room - len(lines)), list[Text]()
    for line in lines:
        form = next((form for form in line.forms if len(form) - 1 <= spare), line.forms[-1])
        spare -= len(form) - 1
        shown += [Text(text, style=line.style) for text in form]
    return shown


def shortened(text: str, width: int) -> str:
    """The text on one line, its middle left out where it is wider than so many columns."""
    text = one_line(text)
    if cell_len(text) <= width:
        return text
    tail = (width - len(GAP)) // 2
    beginning = chop_cells(text, max(1, width - len(GAP) - tail))[0]
    end = chop_cells(text[::-1], tail)[0][::-1] if tail > 0 else ""
    return f"{beginning}{GAP}{end}"


def said(start: str, text: str, width: int, style: str = "") -> Line:
    """A sentence: whole, on as many lines as it needs, or with its middle left out."""
    whole = flowing(start, one_line(text).split(" "), width, separator=" ")
    return Line(forms=(whole, [start + shortened(text, width - cell_len(start))]), style=style)


def naming(start: str, jobs: Sequence[Glance], width: int, style: str = "") -> Line:
    """Jobs after some words: all their names, their labels with counts, or what a single line has room for."""
    forms = [[one_line(job.name) for job in jobs]] if len(jobs) <= MOST_NAMES else []
    forms += [words] if len(words := list(counted_kinds(jobs))) <= MOST_NAMES else []
    flown = (comma_separated(start, words, width) for words in forms)
    return Line(forms=(*flown, [start + listed(jobs, width - cell_len(start))]), style=style)


def comma_separated(start: str, words: Sequence[str], width: int) -> list[str]:
    """Words on as many lines as they need."""
    short = [shortened(word, width - len(INDENT) - 1) for word in words]
    return flowing(start, [*(f"{word}," for word in short[:-1]), short[-1]], width, " ")


def counted_kinds(jobs: Sequence[Glance]) -> dict[str, int]:
    """`student x 3`, or the name where a label has one job alone -> how many jobs."""
    counts = Counter(one_line(job.kind) for job in jobs)
    name_of = {one_line(job.kind): one_line(job.name) for job in jobs}
    return {name_of[kind] if number == 1 else f"{kind} x {number:,}": number for kind, number in counts.items()}


def flowing(start: str, words: Iterable[str], width: int, separator: str) -> list[str]:
    """Words on as many lines as they need, the first after a start; one that is wider than a line is broken."""
    lines, is_fresh = [start], True
    for word in words:
        for part in chop_cells(word, width - len(INDENT)) or [""]:
            gap = "" if is_fresh else separator
            if cell_len(lines[-1]) + len(gap) + cell_len(part) > width:
                lines.append(INDENT)
                gap = ""
            lines[-1] += gap + part
            is_fresh = False
    return [line.rstrip() for line in lines]


def listed(jobs: Sequence[Glance], width: int) -> str:
    """Jobs on one line: by their names, else counted by label, else the first labels and how many jobs are more."""
    whole = ", ".join(one_line(job.name) for job in jobs[:MOST_NAMES])
    if len(jobs) <= MOST_NAMES and cell_len(whole) <= width:
        return whole
    counts = counted_kinds(jobs)
    folded = ", ".join(counts)
    return folded if cell_len(folded) <= width else _first_of(list(counts), list(counts.values()), width)


def _first_of(words: Sequence[str], counts: Sequence[int], width: int) -> str:
    """As many words as there is room for, at least the first, and how many jobs the rest stand for."""
    chosen = 1
    while chosen < len(words) and cell_len(_with_rest(words[: chosen + 1], counts[chosen + 1 :])) <= width:
        chosen += 1
    rest = _with_rest([""], counts[chosen:])
    kind, times, number = words[0].rpartition(" x ")
    kept = f"{times}{number}" if times else ""
    room = max(len(GAP) + 2, width - len(rest) - len(kept))
    first = words[0] if chosen > 1 else shortened(kind if times else words[0], room) + kept
    return _with_rest([first, *words[1:chosen]], counts[chosen:])


def _with_rest(words: Sequence[str], counts: Sequence[int]) -> str:
    return ", ".join(words) + (f" and {sum(counts):,} more" if counts else "")


def broken_name(name: str, width: int) -> str:
    """A job's name for a column of this width: that of a grid's point on two lines where it needs them."""
    name = one_line(name)
    label, slash, point = name.partition("/")
    if cell_len(name) <= width or not slash:
        return shortened(name, width)
    return f"{shortened(label, width - 1)}/\n  {shortened(point, width - 2)}"
