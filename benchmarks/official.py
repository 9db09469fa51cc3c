"""Hand-built cases of every benchmark: the published rule, our reproduction of it, and the strict grader.

    python benchmarks/official.py [--all]

Prints the Markdown tables of docs/grading.md: counts, then the cases that show a fault of a published rule
(every case with --all). The cases are those that the tests assert.
"""

from __future__ import annotations

import argparse
import io
import json
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from vision_r1.evals.benchmarks import BENCHMARKS
from vision_r1.evals.benchmarks.benchmark import RowReader
from vision_r1.evals.scoring import rules_of
from vision_r1.problems.config import DEFAULT_MAX_PIXELS
from vision_r1.problems.tables import Row

CASES = Path(__file__).parent.parent / "tests" / "evals" / "benchmarks"
HEADER = ("benchmark", "case", "gold", "response", "published rule", "`official`", "`strict`")


@dataclass(frozen=True)
class Case:
    """A case and what was found."""

    benchmark: str
    fault: str
    what: str
    gold: str
    response: str
    published: bool
    official: bool
    strict: bool


def found(case: dict[str, Any]) -> Case:
    """Score one case."""
    benchmark, rule = BENCHMARKS[case["benchmark"]], case.get("rule", "official")
    row = Row("case", {"image": picture(), **case["row"]})
    item = benchmark.read(RowReader(row, CASES, DEFAULT_MAX_PIXELS))
    published = case["official"]
    if published == "seeded":  # TabMWP draws an option; here the row's id draws it
        draw = random.Random(f"tabmwp {case['row']['pid']}").choice(case["row"]["choices"])
        published = draw == case["row"]["answer"]
    return Case(
        benchmark.title + ("" if rule == "official" else f" ({rule})"),
        case["fault"],
        case["fault"] or case["why"],
        item.problem.answer,
        case["response"],
        published,
        rules_of(benchmark)[rule](item, case["response"]).correct,
        benchmark.strict(item, case["response"]).correct,
    )


def picture() -> bytes:
    """A small PNG, for rows without an image."""
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), (200, 40, 40)).save(buffer, "PNG")
    return buffer.getvalue()


def code(text: str) -> str:
    """A text in one cell."""
    shown = text.replace("\n", "⏎").replace("|", "\\|").replace("\x0c", "␌")
    shown = shown if len(shown) <= 60 else f"{shown[:40]} … {shown[-15:]}"
    return f"`{shown}`" if shown.strip() else "(empty)"


def verdict(right: bool) -> str:
    """As the table shows it."""
    return "right" if right else "wrong"


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def counts(cases: list[Case]) -> list[tuple[str, ...]]:
    """One row a benchmark, and all of them."""
    names = [*dict.fromkeys(case.benchmark for case in cases), "all"]
    rows = []
    for name in names:
        own = [case for case in cases if name in (case.benchmark, "all")]
        tally = Counter(
            agree=sum(case.published == case.official for case in own),
            faults=sum(bool(case.fault) for case in own),
            differ=sum(case.official != case.strict for case in own),
        )
        rows.append((name, *map(str, (len(own), tally["agree"], tally["faults"], tally["differ"]))))
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="every case, not only those that show a fault")
    everything = parser.parse_args().all
    cases = [
        found(json.loads(text))
        for path in sorted(CASES.glob("cases_*.jsonl"))
        for text in path.read_text(encoding="utf-8").splitlines()
    ]
    header = ("benchmark", "cases", "`official` agrees", "show a fault", "`official` and `strict` differ")
    print(table(header, counts(cases)) + "\n")
    shown = [case for case in cases if everything or case.fault]
    rows = [
        (
            case.benchmark, case.what, code(case.gold), code(case.response),
            *map(verdict, (case.published, case.official, case.strict)),
        )
        for case in shown
    ]  # fmt: skip
    print(table(HEADER, rows))


if __name__ == "__main__":
    main()
