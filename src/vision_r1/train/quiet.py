"""Training without the chatter of the libraries, and without their calls home."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator

# Read when huggingface_hub is first used: TRL's trainers send telemetry at every start.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, notes or warnings of transformers and TRL inside the block."""
    import huggingface_hub.constants
    import transformers

    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    telemetry = huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY
    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.set_verbosity(level)
        huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = telemetry
        if bars:
            log.enable_progress_bar()
