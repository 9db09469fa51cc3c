"""From a sample of the problems to what the whole set will give, take and cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vision_r1.construct.config import Construction
from vision_r1.teachers.ledger import Spent


def projection(summary: Mapping[str, Any], config: Construction) -> dict[str, Any]:
    """What the rows of the whole set will come to, if it is like the sample; controls come on top.

    Requests, tokens and money are those that the sample's rows rest on, whenever they were asked, and grow
    with the problems; `uncounted` is the share of answers whose tokens were not all counted, which are too
    little in tokens and money. Hours: a request holds a slot of an endpoint for as long as it takes, so the
    slots of the busier role bound the time from below. They are None where a role was asked nothing in this
    pass.

    Args:
        summary: of the sample.
        config: the construction's settings.
    """
    sample, whole = summary["problems"], summary["scope"]["of"]
    scale = whole / sample if sample else 0.0  # an empty part says nothing of the whole
    spent = {role: Spent(**each) for role, each in summary["rows_spent"].items()}
    total = sum(spent.values(), Spent())
    return {
        "sample": sample,
        "problems": whole,
        "kept": summary["problems_kept"],
        "rows": round(summary["kept"] * scale),
        "requests": round(total.replies * scale),
        "prompt_tokens": round(total.prompt_tokens * scale),
        "completion_tokens": round(total.completion_tokens * scale),
        "cost": round(total.cost * scale, 2),
        "uncounted": summary["rows_uncounted"] / total.replies if total.replies else 0.0,
        "hours": _hours(summary, config, {role: each.replies * scale for role, each in spent.items()}),
    }


def _hours(summary: Mapping[str, Any], config: Construction, requests: Mapping[str, float]) -> float | None:
    pace = (summary["outcomes"] or {}).get("roles", {})
    busy = []
    for name, role in config.roles.items():
        if requests.get(name):
            if not pace.get(name, {}).get("answered"):
                return None
            slots = sum(endpoint.max_in_flight for endpoint in role.endpoints)
            busy.append(requests[name] * pace[name]["seconds"] / pace[name]["answered"] / slots)
    return round(max(busy) / 3600, 4) if busy else None
