"""How good the filter is: each rule held against the faults that are known to be there.

Counted over the rows that the reasoner answered. Their known faults are the one that the scripted
reasoner was told to make (wrong, contradiction, loop, broken_form, no_facts) and `misread`: the
MLLM's description differs from the scene. A row may have both. A rule counts on every row on which
it fires, whether or not an earlier rule already did.

- precision: of the rows on which a rule fires, the share with a fault that it is meant for.
- precision_any: the same, for any known fault.
- recall: of the rows with a fault that it is meant for, the share on which it fires.

For the whole filter, "fires" means dropped, and every known fault is meant. A misread that leaves
the answer right is a known fault which no rule can see without the image: it bounds that recall.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from vision_r1.construct.filters import RULES
from vision_r1.construct.rows import Row

MEANT_FOR: dict[str, tuple[str, ...]] = {
    "truncated": ("loop",),
    "control_token": (),
    "hidden_thought": (),
    "no_thought": (),
    "refusal": (),
    "broken_form": ("broken_form",),
    "wrong_answer": ("wrong", "misread", "no_facts"),
    "contradiction": ("contradiction",),
    "arithmetic": ("wrong",),
    "repetition": ("loop",),
    "language_mix": (),
    "image_contradicted": ("misread", "wrong"),
    "missing_information": ("no_facts",),
    "too_long": ("loop",),
    "residual_talk": ("no_facts",),
}


def faults(row: Row) -> set[str]:
    """The known faults of a row."""
    return {row.fault or "none", "misread" if row.misread else "none"} - {"none"}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _scores(fired: Iterable[bool], meant: Iterable[bool], bad: Iterable[bool]) -> dict[str, Any]:
    table = Counter(zip(fired, meant, bad, strict=True))
    hits = sum(count for (f, m, _), count in table.items() if f and m)
    total = sum(count for (f, _, _), count in table.items() if f)
    wanted = sum(count for (_, m, _), count in table.items() if m)
    any_bad = sum(count for (f, _, b), count in table.items() if f and b)
    return {
        "fired": total,
        "precision": _share(hits, total),
        "precision_any": _share(any_bad, total),
        "recall": _share(hits, wanted),
        "faulty": wanted,
    }


def rule_quality(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Precision and recall of each rule (see the module's text)."""
    answered = [row for row in rows if row.fault is not None]
    known = [faults(row) for row in answered]
    bad = [bool(each) for each in known]
    result = {}
    for name in (*RULES, "residual_talk"):
        fired = [any(each.rule == name for each in row.dropped) for row in answered]
        meant = [bool(each & set(MEANT_FOR[name])) for each in known]
        what = RULES[name].__doc__ if name in RULES else "After rewriting, still talk of a description."
        result[name] = {"what": what, **_scores(fired, meant, bad), "meant_for": list(MEANT_FOR[name])}
    return result


def filter_quality(rows: Sequence[Row]) -> dict[str, Any]:
    """Precision and recall of the whole filter: dropped rows against rows with any known fault."""
    answered = [row for row in rows if row.fault is not None]
    bad = [bool(faults(row)) for row in answered]
    return _scores([not row.kept for row in answered], bad, bad)


def fault_table(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """For each known fault: rows, rows kept, and the rules that dropped the others."""
    table: dict[str, Counter[str]] = {}
    for row in rows:
        if row.fault is not None:
            counts = table.setdefault(row.known_fault, Counter())
            counts["rows"] += 1
            counts["kept" if row.kept else row.dropped[0].rule] += 1
    return {fault: dict(sorted(counts.items())) for fault, counts in sorted(table.items())}
