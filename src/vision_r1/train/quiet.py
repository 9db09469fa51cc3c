"""Training without the chatter of the libraries, and without their calls home."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from vision_r1.models.quiet import quiet_transformers

# Read when huggingface_hub is first used: TRL's trainers send telemetry at every start.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, notes or warnings of transformers and TRL, and no telemetry, inside the block."""
    import huggingface_hub.constants

    telemetry = huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY
    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    try:
        with quiet_transformers():
            yield
    finally:
        huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = telemetry
