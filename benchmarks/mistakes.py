"""What the wrong answers of a run's model come from: misread pictures, wrong arithmetic, or wrong steps.

    python benchmarks/mistakes.py RUN [--variant vision_r1]

A wrong answer counts as misread if the true reading of its picture is not in it, else as arithmetic if a sum,
difference or product in it is wrong, else as a wrong step. Greedy answers; tiny-world runs only.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path
from typing import Any

from vision_r1.core.config import parse_yaml, validate
from vision_r1.core.files import read_jsonl
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.tiny_world import make_problems
from vision_r1.teachers import language
from vision_r1.teachers.steps import apply

_SUM = re.compile(r"(\d+)([+*-])(\d+)=(\d+)")
KINDS = ("right", "misread", "arithmetic", "step")


def kind(row: dict[str, Any], reading: str) -> str:
    """One of `KINDS`."""
    if row["correct"]:
        return "right"
    if reading not in row["text"]:
        return "misread"
    sums = _SUM.findall(row["text"])
    return "arithmetic" if any(apply(int(a), op, int(b)) != int(c) for a, op, b, c in sums) else "step"


def mistakes(run: Path, variant: str) -> dict[str, Counter[str]]:
    """Family -> how many answers of each kind."""
    config = parse_yaml((run / "config.yaml").read_text(encoding="utf-8"), str(run))
    problems = make_problems(validate(TinyWorldData, config["data"]["test"], "data.test"))
    readings = {p.id: language.reading(language.facts_of(p.meta["scene"])) for p in problems}
    found: dict[str, Counter[str]] = {}
    for _, row in read_jsonl(run / "stages" / "evaluate" / variant / "traces.jsonl"):
        if row["decoding"] == "greedy":
            found.setdefault(row["family"], Counter())[kind(row, readings[row["problem_id"]])] += 1
    return found


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--variant", default="vision_r1")
    options = parser.parse_args()
    found = mistakes(options.run, options.variant)
    total = sum(found.values(), Counter[str]())
    print(f"{'':<20}" + "".join(f"{name:>12}" for name in KINDS))
    for family, counts in [*sorted(found.items()), ("all", total)]:
        print(f"{family:<20}" + "".join(f"{counts[name]:>12}" for name in KINDS))


if __name__ == "__main__":
    main()
