"""From a sample of the problems to what the whole set will give, take and cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vision_r1.construct.config import Construction
from vision_r1.teachers.ledger import Spent


def projection(summary: Mapping[str, Any], config: Construction) -> dict[str, Any]:
    """What the whole set will come to, if it is like the sample.

    Tokens and money grow with the problems. Hours: every request holds a slot of an endpoint for as long
    as it takes, so the slots of the busier role bound the time from below; endpoints that slow down
    under load take longer. Hours are None where all answers came from the log.

    Args:
        summary: of the sample.
        config: the construction's settings.
    """
    sample, whole = summary["problems"], summary["whole"]
    scale = whole / sample
    seconds, requests = summary["asked"]["seconds"], summary["asked"]["requests"]
    slots = {
        name: sum(endpoint.max_in_flight for endpoint in role.endpoints)
        for name, role in (("mllm", config.mllm), ("reasoner", config.reasoner))
    }
    busy = [seconds[name] * scale / slots[name] for name in slots if requests.get(name)]
    lines = [dict(line) for line in summary["ledger"]]
    spent = sum(
        (Spent(**{k: v for k, v in line.items() if k not in ("step", "model")}) for line in lines), Spent()
    )
    return {
        "sample": sample,
        "problems": whole,
        "kept": summary["problems_kept"],
        "rows": round(summary["kept"] * scale),
        "requests": round(spent.replies * scale),
        "prompt_tokens": round(spent.prompt_tokens * scale),
        "completion_tokens": round(spent.completion_tokens * scale),
        "cost": round(spent.cost * scale, 2),
        "hours": round(max(busy) / 3600, 2) if busy else None,
    }
