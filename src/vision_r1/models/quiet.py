"""Loading models without the chatter of transformers and the hub: no bars, no notes, no warnings."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars, notes or Python warnings inside the block; what was set before is set after."""
    import transformers
    from huggingface_hub.utils import logging as hub

    log = transformers.utils.logging
    level, bars, hub_level = log.get_verbosity(), log.is_progress_bar_enabled(), hub.get_verbosity()
    log.set_verbosity_error()
    hub.set_verbosity(logging.CRITICAL)  # it says each retry of a request; the error says the last
    log.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.set_verbosity(level)
        hub.set_verbosity(hub_level)
        if bars:
            log.enable_progress_bar()
