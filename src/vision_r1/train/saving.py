"""A trained model as a folder that any tool for its architecture loads: weights, processor, template.

Beside them is the record of what the model was trained on, see `problems.contamination`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from transformers import AutoModelForImageTextToText

from vision_r1.core.files import atomic_directory
from vision_r1.models.load import LoadedModel
from vision_r1.problems.contamination import TrainingRecord, write_record
from vision_r1.problems.fingerprints import Fingerprint
from vision_r1.train.resume import take_learning_rate


def save_model(
    loaded: LoadedModel, folder: Path, prints: Iterable[Sequence[Fingerprint]], inherited: TrainingRecord
) -> None:
    """Write weights (in the dtype they were trained in), processor and record; the folder is whole or absent.

    Args:
        loaded: the trained model.
        folder: the model directory.
        prints: of what the stage trained on, see `fingerprint`.
        inherited: the record of the model that the stage started from.
    """
    with atomic_directory(folder) as scratch:
        loaded.model.save_pretrained(scratch)
        loaded.processor.save_pretrained(scratch)
        write_record(scratch, prints, inherited)


def restore_weights(model: Any, folder: Path) -> None:
    """Put a checkpoint's weights into `model`; every name must be there.

    transformers writes Qwen2.5-VL under its older names (`visual.*` for `model.visual.*`), and its
    Trainer then loads them by the new ones, not strictly: resuming would go on from the weights the
    model was built with, in silence.
    """
    saved = AutoModelForImageTextToText.from_pretrained(folder, dtype=model.dtype, trust_remote_code=False)
    model.load_state_dict(saved.state_dict(), strict=True)


class Resumable:
    """What both trainers do alike when a run goes on from a checkpoint; mixed in before TRL's class."""

    def _load_from_checkpoint(self: Any, resume_from_checkpoint: str, model: Any | None = None) -> None:
        restore_weights(self.model if model is None else model, Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self: Any, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[misc]
        if checkpoint is not None:
            take_learning_rate(self.optimizer, self.lr_scheduler, self.args.learning_rate)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """No model card in a checkpoint: it would ask the hub."""
