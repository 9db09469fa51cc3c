"""The page's data section: filter reasons and rules, leak test, captions, reflection words, examples."""

from __future__ import annotations

from typing import Any

from vision_r1.report.clean import cut
from vision_r1.report.figures import decimal, percent, span, whole
from vision_r1.report.read import Row, RunRecord, interval, number, table
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
# Shown in tables of their own, or names of rows that the examples show.
_SHOWN_APART = ("rules", "reflection_words", "reasons", "examples")
_FIRST = {
    "leak_test": "The MLLM is told a wrong, a right or no answer; how often does the reasoner return it?",
    "caption_control": "How often the reasoner is right from a plain caption and from a description.",
    "description": "Share of descriptions that state exactly what the picture shows.",
}
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
        "total": whole(number(summary, "n") or run.construct.total or None),
        "kept": whole(number(summary, "kept") or run.construct.kept or None),
        "reasons": _reasons(run, summary),
        "rules": _rules(summary),
        "words": _words(summary),
        "tests": _tests(summary),
        "examples": [_example(row, pictures) for row in run.construct.examples[:_EXAMPLES]],
    }


def _reasons(run: RunRecord, summary: Row) -> list[View]:
    given = table(summary, "reasons")
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
        hits = next((n for key in ("fired", "dropped") if (n := number(rule, key)) is not None), None)
        rows.append({
            "name": name.replace("_", " "), "hits": whole(hits),
            "precision": percent(number(rule, "precision")),
            "recall": percent(number(rule, "recall")),
            "what": _meant_for(rule),
        })  # fmt: skip
    return rows


def _meant_for(rule: Any) -> str:
    meant = table(rule).get("meant_for")
    if not isinstance(meant, list) or not meant:
        return ""
    return "meant for: " + ", ".join(plain(fault).replace("_", " ") for fault in meant)


def _words(summary: Row) -> View | None:
    given = table(summary, "reflection_words", "counts")
    counted = {word.lower(): number(count) for word, count in given.items()}
    ours = {word: count for word, count in counted.items() if count is not None}
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


def _tests(summary: Row) -> list[View]:
    """Every other block of the summary, as it stands; those that few ask for are not `first`."""
    shown = {key: summary[key] for key in (*_FIRST, *summary) if key in summary}
    return [
        {
            "title": key.replace("_", " ").capitalize(),
            "first": key in _FIRST,
            "what": _FIRST.get(key, ""),
            "rows": _flat({"share": value} if "share" in value else value),
        }
        for key, value in shown.items()
        if isinstance(value, dict) and value and key not in _SHOWN_APART
    ]


def _flat(value: Row, prefix: str = "", depth: int = 0) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for key, item in value.items():
        name = f"{prefix}{key.replace('_', ' ')}"
        if isinstance(item, dict) and "share" in item:
            rows.append({"name": name, "value": _share(item)})
        elif isinstance(item, dict) and depth < 3:
            rows += _flat(item, f"{name} · ", depth + 1)
        else:
            rows.append({"name": name, "value": _shown(key, item)})
    return rows


def _share(item: Row) -> str:
    """A share with its interval and what it is of: "81.0% (75.0–86.0), n = 200"."""
    pair = interval(item)
    around = f" ({span(pair)})" if pair else ""
    return f"{percent(number(item, 'share'))}{around}, n = {whole(number(item, 'n'))}"


def _shown(key: str, value: Any) -> str:
    found = number(value)
    if found is None:
        return cut(plain(value), 400)[0]
    if 0 <= found <= 1 and key in ("share", "precision", "precision_any", "recall"):
        return percent(found)
    return whole(found) if found.is_integer() else decimal(found)


def _why(row: Row) -> str:
    """The rule that dropped a row and what it says."""
    if row.get("kept") is True:
        return ""
    reason, detail = plain(row.get("reason")).replace("_", " "), cut(plain(row.get("detail")), 300)[0]
    return f"{reason}: {detail}" if detail else reason


def _example(row: Row, pictures: Pictures) -> View:
    image = row.get("image")
    parts = []
    for key, title in _PARTS:
        text, left_off = cut(plain(row.get(key)), 3_000)
        if text:
            parts.append({"title": title, "text": text, "left_off": left_off})
    return {
        "kept": row.get("kept") is True,
        "reason": _why(row),
        "question": cut(plain(row.get("question")), 1_000)[0],
        "answer": cut(plain(row.get("answer")), 200)[0],
        "fault": plain(row.get("fault")), "rewritten": row.get("rewritten") is True,
        "image": pictures.at(f"stages/construct/{image}") if isinstance(image, str) else None, "parts": parts,
    }  # fmt: skip
