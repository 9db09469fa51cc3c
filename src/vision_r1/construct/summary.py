"""What a construction did, as plain data for summary.json and the report."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vision_r1.analysis.intervals import share_of
from vision_r1.analysis.reflection import reflection_counts, reflection_table
from vision_r1.construct.quality import fault_table, filter_quality, rule_quality
from vision_r1.construct.rows import Row

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
EXAMPLES = 3


def reasons(rows: Sequence[Row]) -> dict[str, int]:
    """How many rows each rule dropped (as the first that fired), most frequent first."""
    return dict(Counter(row.dropped[0].rule for row in rows if row.dropped).most_common())


def rules(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """For each rule: rows it dropped as the first that fired, rows it fired on, and its quality."""
    first = Counter(row.dropped[0].rule for row in rows if row.dropped)
    return {name: {"dropped": first[name], **scores} for name, scores in rule_quality(rows).items()}


def length_quantiles(lengths: Sequence[int] | array[int]) -> dict[str, float] | None:
    """Quantiles of lengths in tokens, with the least and the most; None where there are none."""
    if not lengths:
        return None
    values = np.quantile(np.asarray(lengths), QUANTILES)
    ends = {"min": float(min(lengths)), "max": float(max(lengths)), "mean": round(float(np.mean(lengths)), 1)}
    return ends | {
        f"p{round(100 * q):02d}": round(float(v), 1) for q, v in zip(QUANTILES, values, strict=True)
    }


def description_quality(rows: Sequence[Row]) -> dict[str, Any]:
    """Share of descriptions that state exactly the scene's facts, where the scene is known."""
    known = [row for row in rows if row.misread is not None]
    families = sorted({str(row.problem.meta.get("family")) for row in known})
    return {
        "exact": _exact(known),
        "by_family": {
            family: _exact([r for r in known if str(r.problem.meta.get("family")) == family])
            for family in families
        },
    }


def _exact(rows: Sequence[Row]) -> dict[str, Any]:
    return share_of(sum(not row.misread for row in rows), len(rows))


def example_rows(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The first rows of each reason, kept ones included (unchanged and rewritten apart)."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        kept = "kept_rewritten" if row.rewritten else "kept"
        group = found.setdefault(kept if row.kept else row.dropped[0].rule, [])
        if len(group) < EXAMPLES:
            group.append(row)
    return found


def _reflection(before: list[str], after: list[str]) -> dict[str, Any]:
    """The kept rows' counts, and the whole table beside the paper's."""
    table = reflection_table({"before_filter": before, "after_filter": after})
    return {"rows": len(after), "counts": reflection_counts(after), "table": table}


def summarise(
    rows: Sequence[Row],
    count_tokens: Callable[[str], int],
    probes: dict[str, Any],
) -> dict[str, Any]:
    """The summary of all rows.

    Args:
        rows: one a problem, in order.
        count_tokens: length of a text in tokens.
        probes: results of the leak test and of the caption control.
    """
    kept = [row for row in rows if row.kept]
    answered = [row for row in rows if row.reasoner_text]
    return {
        "n": len(rows),
        "answered": len(answered),
        "kept": len(kept),
        "keep_rate": share_of(len(kept), len(rows)),
        "rewritten": sum(row.rewritten for row in kept),
        "reasons": reasons(rows),
        "rules": rules(rows),
        "filter": filter_quality(rows),
        "faults": fault_table(rows),
        "description": description_quality(rows),
        **probes,
        "reflection_words": _reflection(
            [row.reasoner_text for row in answered], [row.final_text for row in kept]
        ),
        "tokens": {
            "before_filter": length_quantiles([row.tokens for row in answered]),
            "after_filter": length_quantiles([count_tokens(row.final_text) for row in kept]),
        },
        "examples": {name: [row.problem.id for row in group] for name, group in example_rows(rows).items()},
    }
