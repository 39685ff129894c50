"""The charts of a page as files for papers and slides, without a browser: PNG, SVG or PDF, from the page's numbers."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.charts.curves import BEST, TRAIN, VALIDATION
from analysis.charts.look import WIDTH
from analysis.charts.pareto import SIZES
from analysis.tables import Row
from trainers.errors import SpecError

FORMATS = ("png", "svg", "pdf")
MOST_CURVES = 12
PIXELS_PER_UNIT = 2.0


def parse_formats(text: str) -> tuple[str, ...]:
    """`png,svg` -> its parts; SpecError for an unknown one."""
    formats = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    unknown = [one for one in formats if one not in FORMATS]
    if unknown or not formats:
        raise SpecError(f"--figures {text!r}; allowed: {', '.join(FORMATS)}, or several with commas")
    return formats


def figures(data: Mapping[str, Any], charts: Mapping[str, Any], formats: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of every figure that there are numbers for; `data` and `charts` are what is in the page."""
    for name, rows in chart_rows(data).items():
        if rows:
            spec = filled(charts["specs"][name], rows)
            for kind in formats:
                yield f"{name}.{kind}", _converted(spec, charts["config"]["light"], kind)


def filled(spec: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """A specification with its rows, as wide as a page of paper takes it."""
    made = copy.deepcopy(dict(spec))
    made["datasets"] = {_name_of_data(made): list(rows)}
    if made.get("width") == "container":
        made |= {"width": WIDTH}
        made.pop("autosize", None)
    if "facet" in made:
        field = made["facet"]["field"]
        made["facet"] = made["facet"] | {"sort": list(dict.fromkeys(row[field] for row in rows))}
    return made


def _name_of_data(spec: Mapping[str, Any]) -> str:
    return str(spec["data"]["name"] if "data" in spec else spec["layer"][0]["data"]["name"])


def _converted(spec: dict[str, Any], look: Mapping[str, Any], kind: str) -> bytes:
    import vl_convert

    config = {**look, "background": "white"}
    if kind == "svg":
        return str(vl_convert.vegalite_to_svg(spec, config=config)).encode()
    if kind == "pdf":
        return bytes(vl_convert.vegalite_to_pdf(spec, config=config))
    return bytes(vl_convert.vegalite_to_png(spec, config=config, scale=PIXELS_PER_UNIT))


def chart_rows(data: Mapping[str, Any]) -> dict[str, list[Row]]:
    """Rows for each chart by name, as the page's script makes them of the page's JSON."""
    ranking = [row for row in rows_of(data["ranking"]) if row["rank"] is not None]
    paretos = {f"pareto-{size}": [row for row in ranking if row.get(size)] for size in SIZES}
    return {
        **paretos,
        "gains": list(_gains(rows_of(data["gains"]))),
        "classes": rows_of(data["classes"]),
        "curves": list(curve_rows(data["curves"], _names(rows_of(data["ranking"])))),
        "timeline": rows_of(data["attempts"]),
    }


def rows_of(table: Mapping[str, Any]) -> list[Row]:
    """Rows of a table in the page's JSON."""
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def _gains(gains: Sequence[Row]) -> Iterator[Row]:
    for gain in gains:
        for split in ("validation", "test"):
            mean, low, high = (gain[f"{split}_gain_{part}"] for part in ("mean", "low", "high"))
            if mean is not None:
                names = {"student": gain["label"], "teacher": gain["teacher_label"], "split": split}
                yield {**names, "gain": mean, "low": low, "high": high}


def _names(ranking: Sequence[Row]) -> dict[str, str]:
    return {row["group_id"]: row["label"] or row["group_id"] for row in ranking}


def curve_rows(curves: Sequence[Row], names: Mapping[str, str]) -> Iterator[Row]:
    """Rows for the chart of the first groups; `names` are those of groups by id."""
    for curve in curves[:MOST_CURVES]:
        name = names.get(curve["group_id"], curve["group_id"])
        for part, key in ((TRAIN, "train"), (VALIDATION, "validation")):
            values = (curve["epochs"], curve[key], curve[f"{key}_low"], curve[f"{key}_high"])
            for epoch, mean, low, high in zip(*values, strict=True):
                yield {"name": name, "part": part, "epoch": epoch, "accuracy": mean, "low": low, "high": high}
        for epoch, accuracy in curve["best"]:
            yield {"name": name, "part": BEST, "epoch": epoch, "accuracy": accuracy}
