"""Hand-built cases of every benchmark: the published rule, our reproduction of it, and the strict grader.

    python benchmarks/official.py [CASES.jsonl ...]

Prints the Markdown table of docs/grading.md. The cases are those that the tests assert.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from vision_r1.evals.benchmarks import BENCHMARKS
from vision_r1.evals.benchmarks.benchmark import RowReader
from vision_r1.evals.scoring import rules_of
from vision_r1.problems.config import DEFAULT_MAX_PIXELS
from vision_r1.problems.tables import Row

CASES = Path(__file__).parent.parent / "tests" / "evals" / "benchmarks"
HEADER = ("benchmark", "case", "response", "published rule", "our `official`", "agree", "`strict`")


def line(case: dict[str, Any]) -> tuple[str, ...]:
    """One row of the table."""
    benchmark = BENCHMARKS[case["benchmark"]]
    item = benchmark.read(RowReader(Row("case", case["row"]), CASES, DEFAULT_MAX_PIXELS))
    rule = case.get("rule", "official")
    found = rules_of(benchmark, None)[rule](item, case["response"])
    title = benchmark.title + ("" if rule == "official" else f" ({rule})")
    what = f"**{case['fault']}**" if case["fault"] else case["why"]
    strict = benchmark.strict(item, case["response"]).correct
    agree = "yes" if found.correct == case["official"] else "NO"
    return (
        title,
        what,
        code(case["response"]),
        *map(verdict, (case["official"], found.correct)),
        agree,
        verdict(strict),
    )


def verdict(right: bool) -> str:
    """As the table shows it."""
    return "right" if right else "wrong"


def code(text: str) -> str:
    """A response in one cell."""
    shown = text.replace("\n", "⏎").replace("|", "\\|")
    return f"`{shown}`" if shown else "(empty)"


def main() -> None:
    """Print the table and what it adds up to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", type=Path, default=sorted(CASES.glob("cases_*.jsonl")))
    rows = [
        line(json.loads(text))
        for path in parser.parse_args().cases
        for text in path.read_text(encoding="utf-8").splitlines()
    ]
    agreeing = sum(row[5] == "yes" for row in rows)
    faults = sum(row[1].startswith("**") for row in rows)
    print(f"{agreeing} of {len(rows)} cases agree; {faults} show a fault of the published rule (bold).\n")
    print("| " + " | ".join(HEADER) + " |\n|" + "---|" * len(HEADER))
    print("\n".join("| " + " | ".join(row) + " |" for row in rows))


if __name__ == "__main__":
    main()
