"""What was collected -> one HTML file. Text from outside is escaped by the template engine, and in JSON by hand."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import msgspec

from analysis.cells import model_size_text
from analysis.page.answer import percent
from analysis.tables import Row
from analysis.words import count_text, counted
from trainers.shown import one_line

_IN_SCRIPTS = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def render(content: Mapping[str, Any], data: Mapping[str, Any], charts: Mapping[str, Any], bundle: str) -> str:
    """The page; `content` is for the template, `data` and `charts` are put into it as JSON."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_part),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "model_size": model_size_text, "count": count_text, "counted": counted}
    environment.filters |= {"signed": signed, "moment": moment}
    script, style = _part("page.js"), _part("page.css")
    hashes = " ".join(f"'sha256-{_digest(text)}'" for text in (bundle, script))
    parts = {"bundle": bundle, "script": script, "style": style}
    parts |= {"data": script_json(data), "charts": script_json(charts)}
    safe = {name: Markup(text) for name, text in parts.items()}
    return environment.get_template("template.html").render(content, hashes=hashes, **safe)


def _part(name: str) -> str:
    return files("analysis.page").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """As a content security policy names a script."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _shown(value: Any) -> Any:
    """Every value that the template shows: nothing for None, and text as one line without marks that act."""
    if value is None:
        return ""
    return one_line(value) if type(value) is str else value


def script_json(value: Any) -> str:
    """JSON that may stand inside a script element whatever its texts are."""
    text = msgspec.json.encode(value).decode()
    for character, escape in _IN_SCRIPTS.items():
        text = text.replace(character, escape)
    return text


def in_columns(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
    """A table for JSON: the names of its columns once, and texts that are safe to show."""
    return {"columns": list(names), "rows": [[clean(row.get(name)) for name in names] for row in rows]}


def clean(value: Any) -> Any:
    """Text as one line without marks that act; all else as it is."""
    return one_line(value) if isinstance(value, str) else value


def signed(value: float | None) -> str:
    """A difference of accuracies in points: `+1.20`."""
    return "" if value is None else f"{100 * value:+.2f}"


def moment(value: str | None) -> str:
    """`2026-01-01 12:30:05`, of ISO 8601."""
    return "" if value is None else value[:19].replace("T", " ")
