"""What a run's model and data are called in tables and messages: `torchvision:resnet50`, `food11 32 px`."""

from __future__ import annotations

from trainers import plugins
from trainers.errors import CorruptFileError, PluginError
from trainers.plugins import Kind
from trainers.spec import Choice
from trainers.storage import Store


def model_title(model: Choice) -> str:
    """The name with its main argument, as a user writes it; the name alone where the model's file is not here."""
    try:
        main = plugins.constant(Kind.MODEL, model.name, "MAIN_ARGUMENT", None)
    except PluginError:
        return model.name
    return f"{model.name}:{model.args[main]}" if main in model.args else model.name


def data_title(store: Store, fingerprint: str) -> str:
    """Name and pixels per side; the fingerprint of data that is gone or damaged."""
    try:
        manifest = store.manifest(fingerprint)
    except CorruptFileError:
        return f"data {fingerprint}"
    return f"{manifest.name} {manifest.image_size} px"
