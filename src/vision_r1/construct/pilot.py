"""From a sample of the problems to what the whole set will give, take and cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vision_r1.analysis.intervals import share_of
from vision_r1.construct.ask import Asked
from vision_r1.construct.config import Construction


def projection(
    config: Construction, asked: Asked, ledger: Mapping[str, Any], sample: int, kept: int, whole: int
) -> dict[str, Any]:
    """What the whole set will come to, if it is like the sample.

    Tokens and money grow with the problems. Hours: every request holds a slot of an endpoint for as long
    as it takes, so the slots of the busier role bound the time from below; endpoints that slow down
    under load take longer. Hours are None where all answers came from the log.

    Args:
        config: the construction's settings.
        asked: how long the requests of this pass took.
        ledger: tokens and money by step and model, see `Teachers.ledger`.
        sample: problems that were asked about.
        kept: those that gave a row.
        whole: problems of the whole set.
    """
    scale = whole / sample if sample else 0.0
    slots = {
        name: sum(endpoint.max_in_flight for endpoint in role.endpoints)
        for name, role in (("mllm", config.mllm), ("reasoner", config.reasoner))
    }
    seconds = [asked.seconds[name] * scale / slots[name] for name in slots if asked.requests[name]]
    steps = ledger["steps"]
    return {
        "sample": sample,
        "problems": whole,
        "kept": share_of(kept, sample),
        "rows": round(kept * scale),
        "requests": round(sum(step["replies"] for step in steps) * scale),
        "prompt_tokens": round(sum(step["prompt_tokens"] for step in steps) * scale),
        "completion_tokens": round(sum(step["completion_tokens"] for step in steps) * scale),
        "cost": round(sum(step["cost"] for step in steps) * scale, 2),
        "hours": round(max(seconds) / 3600, 2) if seconds else None,
    }
