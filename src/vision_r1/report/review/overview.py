"""What the review page says of all rows together: counts, reasons, lengths, reflection words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vision_r1.analysis.intervals import wilson
from vision_r1.analysis.reflection import PUBLISHED, PUBLISHED_SIZES, WORDS, reflection_counts
from vision_r1.report.figures import NONE, percent, span, whole
from vision_r1.report.review.chunks import Group, sent_smaller

BINS = 40
_MOST_LINES = 40


@dataclass
class Totals:
    """Counted row by row.

    Attributes:
        tokens: thought and reply of answered rows, by length; kept and dropped rows apart.
        answered: rows with a thought or a reply.
        fired: rows by each rule that fired, first or not.
        scaled: images that were sent smaller than they are.
        words: reflection words of all thoughts, and of the kept rows' training texts.
    """

    tokens: dict[bool, Counter[int]] = field(default_factory=lambda: {True: Counter(), False: Counter()})
    answered: int = 0
    scaled: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    words: dict[str, Counter[str]] = field(default_factory=lambda: {"made": Counter(), "kept": Counter()})

    def add(self, row: dict[str, Any]) -> None:
        """Count a row."""
        self.fired.update(set(row["fired"]))
        self.scaled += sum(map(bool, map(sent_smaller, row["image_sizes"])))
        if row["thought"] or row["reply"]:
            self.answered += 1
            self.tokens[bool(row["kept"])][int(row["tokens"])] += 1
            self.words["made"].update(reflection_counts([row["thought"]]))
        if row["kept"]:
            self.words["kept"].update(reflection_counts([row["final_text"]]))


def overview(groups: Sequence[Group], totals: Totals) -> dict[str, Any]:
    """What the template prints."""
    made = sum(group.rows for group in groups)
    kept = sum(group.rows for group in groups if group.kept)
    return {
        "made": whole(made),
        "kept": whole(kept),
        "dropped": whole(made - kept),
        "rate": percent(kept / made) if made else NONE,
        "rate_span": span(wilson(kept, made)) if made else "",
        "scaled": whole(totals.scaled) if totals.scaled else "",
        "reasons": _reasons(groups, totals),
        "sources": _sources(groups),
        "lengths": histogram(totals.tokens),
        "words": _words(totals, kept),
    }


def _reasons(groups: Sequence[Group], totals: Totals) -> list[dict[str, str]]:
    """The rules that dropped rows, the most frequent first; and how many each fired on."""
    dropped: Counter[str] = Counter()
    for group in groups:
        if not group.kept:
            dropped[group.reason] += group.rows
    names = sorted({*dropped, *totals.fired}, key=lambda name: (-dropped[name], name))
    most = max(dropped.values(), default=0) or 1
    return [
        {
            "name": name,
            "dropped": whole(dropped[name]),
            "fired": whole(totals.fired[name]) if name in totals.fired else NONE,
            "width": f"{100 * dropped[name] / most:.1f}",
        }
        for name in names[:_MOST_LINES]
    ]


def _sources(groups: Sequence[Group]) -> list[dict[str, str]]:
    made: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    for group in groups:
        made[group.source] += group.rows
        kept[group.source] += group.rows * group.kept
    return [
        {"name": name, "made": whole(n), "kept": whole(kept[name]), "rate": percent(kept[name] / n)}
        for name, n in made.most_common(_MOST_LINES)
    ]


def histogram(tokens: dict[bool, Counter[int]], bins: int = BINS) -> dict[str, Any] | None:
    """Lengths of kept and dropped rows in equal bins, as shares of their own number.

    The last bin holds everything above the 99th percentile of all, so that one endless reply does not
    squeeze all others into one bin.

    Returns:
        None where no row was answered; else the bars of both, in hundredths of the tallest, and what
        stands at the axis.
    """
    every = tokens[True] + tokens[False]
    if not every:
        return None
    top = max(quantile(every, 0.99), 1)
    width = max(1, -(-top // (bins - 1)))
    sets = {}
    for kept, name in ((True, "kept"), (False, "dropped")):
        counts = [0] * bins
        for length, n in tokens[kept].items():
            counts[min(length // width, bins - 1)] += n
        sets[name] = counts
    sums = {name: sum(counts) or 1 for name, counts in sets.items()}
    tallest = max(n / sums[name] for name, counts in sets.items() for n in counts)
    bars = {
        name: [
            {
                "height": f"{100 * n / sums[name] / tallest:.2f}",
                "label": f"{_bin(i, width, bins)} tokens: {n:,} rows",
            }
            for i, n in enumerate(counts)
        ]
        for name, counts in sets.items()
    }
    return {
        "bars": bars,
        "ticks": [f"{i * width:,}" for i in range(0, bins, bins // 4)],
        "rows": {name: whole(sum(counts)) for name, counts in sets.items()},
        "medians": {
            name: whole(quantile(tokens[kept], 0.5)) if tokens[kept] else NONE
            for kept, name in ((True, "kept"), (False, "dropped"))
        },
    }


def _bin(index: int, width: int, bins: int) -> str:
    start = index * width
    return f"{start:,} and more" if index == bins - 1 else f"{start:,}–{start + width - 1:,}"


def quantile(counts: Counter[int], share: float) -> int:
    """The least value that at least a share of all counted ones do not exceed."""
    left = share * sum(counts.values())
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return max(counts)


def _words(totals: Totals, kept: int) -> dict[str, Any]:
    """The paper's Table 4 with these rows beside it."""
    sizes = {"made": totals.answered, "kept": kept}
    lines = []
    for word in WORDS:
        own = [(totals.words[name][word], sizes[name]) for name in ("made", "kept")]
        published = [(PUBLISHED[word][name], PUBLISHED_SIZES[name]) for name in PUBLISHED_SIZES]
        cells = [
            {"count": whole(n), "rate": f"{1000 * n / size:,.0f}" if size else NONE}
            for n, size in own + published
        ]
        lines.append({"word": word, "cells": cells})
    names = ["All thoughts", "Kept rows", *PUBLISHED_SIZES]
    heads = [
        {"name": name, "rows": f"{size:,} rows"}
        for name, size in zip(names, [*sizes.values(), *PUBLISHED_SIZES.values()], strict=True)
    ]
    return {"heads": heads, "lines": lines}
