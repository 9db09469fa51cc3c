"""How much of what a problem needs a description keeps, and what bridging adds over a plain caption.

    python benchmarks/fidelity.py [DATA] [--n 300] [--seed 0] [--json]

The tiny world: the shipped tiny teacher describes `n` pictures in two ways, by a plain caption and by the
bridge (Pseudo-CoT, then description; told no answer). The share of the needed values that each text keeps,
with 95% bootstrap intervals over problems, beside three controls: the gold text, the text of another problem,
and the description cut to as many words as the caption has.

DATA/puzzlevqa and DATA/tabmwp_dev (problems.jsonl), where they are there: what the controls give on real
captions and tables. Nothing describes those pictures here; the gold text stands where a description would,
and the question where a caption would.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vision_r1.construct.bridge import bridge, plain_captions
from vision_r1.construct.config import ConstructSettings
from vision_r1.construct.fidelity import fidelity
from vision_r1.construct.gold_facts import gold_facts
from vision_r1.construct.mllm import in_process
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.problem import Problem
from vision_r1.problems.tiny_world import make_problems

REAL = ("puzzlevqa", "tabmwp_dev")


def tiny_world(n: int, seed: int) -> dict[str, Any]:
    """Caption and description by the tiny teacher, of pictures with scans that it was not trained on."""
    problems = make_problems(TinyWorldData(split="validation", n=n, seed=seed))
    mllm = in_process(ConstructSettings(), seed)
    captions = plain_captions(problems, mllm.generate)
    bridged = bridge(problems, [None] * n, mllm.generate)
    texts = {
        "caption": [row.description or None for row in captions],
        "description": [row.description or None for row in bridged],
    }
    return fidelity(problems, texts, "caption", seed)


def real(folder: Path, seed: int) -> dict[str, Any] | None:
    """The controls on real gold texts; None where the set is not there."""
    path = folder / "problems.jsonl"
    if not path.is_file():
        return None
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    problems = [Problem(str(i), row["question"], str(row["answer"]), meta=row) for i, row in enumerate(rows)]
    golds = [gold_facts(problem) for problem in problems]
    texts: dict[str, Sequence[str | None]] = {
        "question": [problem.question for problem in problems],
        "gold": [gold.text if gold else None for gold in golds],
    }
    return fidelity(problems, texts, "question", seed)


def lines(name: str, result: dict[str, Any]) -> list[str]:
    """The table of one set."""
    controls = result["controls"]
    shown = {f"{arm}, all kept {100 * each['all_kept']:.1f}%": each for arm, each in result["arms"].items()}
    shown |= {f"{arm} minus {result['reference']}": each for arm, each in result["differences"].items()}
    shown["control: the gold text"] = controls["gold"]
    shown |= {f"control: {arm} of another problem": each for arm, each in controls["other_problem"].items()}
    for arm, each in controls.get("cut_to_reference", {}).items():
        shown[f"control: {arm} cut to the length of the {result['reference']}"] = each
    head = (
        f"{name}: {result['scored']} of {result['problems']} problems, {result['needed_items']} needed items"
    )
    return [head, *(_line(label, each) for label, each in shown.items())]


def _line(label: str, each: dict[str, Any]) -> str:
    low, high = each["ci95"]
    return f"  {label:<56}{100 * each['mean']:6.1f}%   95% {100 * low:.1f} to {100 * high:.1f}"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", help="the folder that holds puzzlevqa and tabmwp_dev")
    parser.add_argument("--n", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = {"tiny_world": tiny_world(options.n, options.seed)}
    for name in REAL if options.data is not None else ():
        found = real(options.data / name, options.seed)
        if found is None:
            print(f"{name}: not there, left out ({options.data / name})", file=sys.stderr)
        else:
            results[name] = found
    if options.json:
        print(json.dumps({"n": options.n, "seed": options.seed, "sets": results}))
    else:
        print("\n".join(line for name, result in results.items() for line in lines(name, result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
