"""The page's data section: filter reasons and rules, leak test, captions, reflection words, examples."""

from __future__ import annotations

from typing import Any

from vision_r1.report.clean import cut
from vision_r1.report.figures import decimal, percent, whole
from vision_r1.report.read import Row, RunRecord, number, table
from vision_r1.report.samples import Pictures
from vision_r1.report.scores import View
from vision_r1.report.training import plain

# Counts of the paper's Table 4 and the rows they are from.
PAPER_WORDS = {
    "wait": (2_300, 1_122, 585_719),
    "hmm": (1, 0, 75_853),
    "mistake": (183, 8_784, 26_697),
    "alternatively": (251, 68, 188_187),
    "check": (8_332, 26_421, 100_148),
}
PAPER_ROWS = (100_000, 260_000, 200_000)
_SHOWN_APART = ("rules", "reflection_words", "reasons", "dropped")
_EXAMPLES = 8
_PARTS = (
    ("caption", "Caption (MLLM)"), ("pseudo_cot", "Pseudo-CoT (MLLM)"), ("description", "Description (MLLM)"),
    ("reasoner_text", "Reasoner (text only, sees the description)"), ("final_text", "Training text"),
)  # fmt: skip


def construction(run: RunRecord, pictures: Pictures) -> View | None:
    """What was kept and why the rest was not."""
    summary = run.stage("construct").summary or table(run.results, "construct")
    if not summary and not run.construct.total:
        return None
    return {
        "total": whole(number(summary, "rows") or run.construct.total or None),
        "kept": whole(number(summary, "kept") or run.construct.kept or None),
        "reasons": _reasons(run, summary),
        "rules": _rules(summary),
        "words": _words(summary),
        "tests": _tests(summary),
        "examples": [_example(row, pictures) for row in run.construct.examples[:_EXAMPLES]],
    }


def _reasons(run: RunRecord, summary: Row) -> list[View]:
    given = table(summary, "reasons") or table(summary, "dropped")
    counts = {name: n for name, value in given.items() if (n := number(value)) is not None}
    counts = counts or {name: float(n) for name, n in run.construct.reasons.items()}
    most = max(counts.values(), default=1.0) or 1.0
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    return [
        {"name": name.replace("_", " "), "count": whole(n), "width": f"{100 * max(0.0, n) / most:.1f}"}
        for name, n in ranked
    ]


def _rules(summary: Row) -> list[View]:
    """Each filter rule with whatever counts and shares the summary has for it."""
    rows = []
    for name, rule in table(summary, "rules").items():
        hits = next(
            (n for key in ("dropped", "hits", "count", "n") if (n := number(rule, key)) is not None), None
        )
        rows.append({
            "name": name.replace("_", " "), "hits": whole(hits),
            "precision": percent(number(rule, "precision")),
            "recall": percent(number(rule, "recall")),
            "what": plain(table(rule).get("what")),
        })  # fmt: skip
    return rows


def _words(summary: Row) -> View | None:
    given = table(summary, "reflection_words")
    given = table(given, "counts") or given
    ours = {str(word).lower(): _count(value) for word, value in given.items()}
    ours = {word: n for word, n in ours.items() if n is not None}
    if not ours:
        return None
    rows = number(summary, "reflection_words", "rows") or number(summary, "kept")
    lines = []
    for word in [*PAPER_WORDS, *(w for w in ours if w not in PAPER_WORDS)]:
        paper = PAPER_WORDS.get(word)
        count = ours.get(word)
        lines.append({
            "word": word.capitalize(), "ours": whole(count),
            "ours_rate": decimal(1000 * count / rows, 0) if rows and count is not None else "–",
            "paper": [whole(n) for n in paper] if paper else ["–"] * 3,
            "paper_rate": [f"{1000 * n / total:,.0f}" for n, total in zip(paper, PAPER_ROWS, strict=True)]
            if paper else ["–"] * 3,
        })  # fmt: skip
    return {"rows": lines, "traces": whole(rows)}


def _count(value: Any) -> float | None:
    return number(value) if not isinstance(value, dict) else number(value, "count")


def _tests(summary: Row) -> list[View]:
    """Every other block of the summary (leak test, caption control, ...), as it stands."""
    return [
        {"title": key.replace("_", " ").capitalize(), "rows": _flat(value)}
        for key, value in summary.items()
        if isinstance(value, dict) and value and key not in _SHOWN_APART
    ]


def _flat(value: Row, prefix: str = "", depth: int = 0) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for key, item in value.items():
        name = f"{prefix}{key.replace('_', ' ')}"
        if isinstance(item, dict) and depth < 3:
            rows += _flat(item, f"{name} · ", depth + 1)
        else:
            rows.append({"name": name, "value": _shown(key, item)})
    return rows


def _shown(key: str, value: Any) -> str:
    found = number(value)
    if found is None:
        return cut(plain(value), 400)[0]
    is_share = 0 <= found <= 1 and (isinstance(value, float) or key.endswith(("share", "rate")))
    if is_share:
        return percent(found)
    return whole(found) if found.is_integer() else decimal(found)


def _example(row: Row, pictures: Pictures) -> View:
    image = row.get("image")
    parts = []
    for key, title in _PARTS:
        text, left_off = cut(plain(row.get(key)), 3_000)
        if text:
            parts.append({"title": title, "text": text, "left_off": left_off})
    return {
        "kept": row.get("kept") is True,
        "reason": plain(row.get("reason") or row.get("rule")).replace("_", " "),
        "question": cut(plain(row.get("question")), 1_000)[0],
        "answer": cut(plain(row.get("answer")), 200)[0],
        "fault": plain(row.get("fault")), "rewritten": row.get("rewritten") is True,
        "image": pictures.at(f"stages/construct/{image}") if isinstance(image, str) else None, "parts": parts,
    }  # fmt: skip
