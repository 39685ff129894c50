"""The copy of a user's plug-ins with which a finished run's network can be built again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trainers import plugins
from trainers.errors import CorruptFileError
from trainers.plugin_folder import PluginFolder
from trainers.plugins import Kind
from trainers.storage import Store


def find_plugins(store: Store, run: str) -> Path | None:
    """The store's copy that has the run's model as it was trained; None for a model of ours, and if no copy has it."""
    name, result = store.spec(run).model.name, store.result(run)
    if result is None or (plugins.folders(Kind.MODEL)[0] / f"{name}.py").is_file():
        return None
    for digest in store.plugin_digests():
        try:
            copy = store.plugins(digest)
        except CorruptFileError:
            continue
        if f"models/{name}.py" in copy.files and _has_same_models(copy, result.environment.source_digests):
            return copy.path
    return None


def _has_same_models(copy: PluginFolder, digests: Mapping[str, str]) -> bool:
    """Whether every file of models that the run used has the content that it had then."""
    models = {f"{Kind.MODEL}.{Path(name).stem}": copy.files[name] for name in copy.files if name.startswith("models/")}
    used = models.keys() & digests.keys()
    return all(plugins.content_digest(models[module]) == digests[module] for module in used)
