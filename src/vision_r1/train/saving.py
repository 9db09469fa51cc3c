"""A trained model as a folder that any tool for its architecture loads: weights, processor, template."""

from __future__ import annotations

from pathlib import Path

from vision_r1.core.files import atomic_directory
from vision_r1.models.load import LoadedModel


def save_model(loaded: LoadedModel, folder: Path) -> None:
    """Write weights (in the dtype they were trained in) and processor; the folder is whole or absent."""
    with atomic_directory(folder) as scratch:
        loaded.model.save_pretrained(scratch)
        loaded.processor.save_pretrained(scratch)
