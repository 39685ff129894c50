"""The JavaScript that draws charts: Vega, Vega-Lite and Vega-Embed in one piece, as vl-convert carries them.

Putting it together takes seconds, so that a copy is kept on this machine.
"""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path

from trainers.cache import cache_folder

_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def bundle() -> str:
    """A script that defines `vegaEmbed`; it needs no network and, with `ast`, no evaluation of strings."""
    from importlib.metadata import version

    import vl_convert

    file = cache_folder() / "pages" / f"vega-{version('vl-convert-python')}.js"
    with suppress(OSError):
        return file.read_text(encoding="utf-8")
    script = str(vl_convert.javascript_bundle(_SNIPPET))
    with suppress(OSError):
        _keep(file, script)
    return script


def _keep(file: Path, script: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".writing-{uuid.uuid4().hex}")
    aside.write_text(script, encoding="utf-8")
    os.replace(aside, file)
