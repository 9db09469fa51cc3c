"""What each scorer says of the benchmarks' own golds, in the forms in which models write answers.

    python benchmarks/golds.py DATA

DATA holds one folder a benchmark, as `vision-r1 eval --benchmark all --data DATA` takes it. Prints, for
every benchmark and form, how many golds each scorer finds right: all of them are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vision_r1.evals.benchmarks import Item
from vision_r1.evals.benchmarks.load import load_benchmark
from vision_r1.pipeline.benchmarks import places

FORMS = {
    "X": "{}",
    "The answer is X.": "The answer is {}.",
    r"\boxed{X}": "\\boxed{{{}}}",
    "**X**": "**{}**",
    "tags": "<think>So.</think><answer>{}</answer>",
    "paper's tags": "<think>So.</think><answer> Final Answer:{} </answer>",
}
EMPTY = "nothing at all"


def gold(item: Item) -> str:
    """The answer that the prompt asks for: the letter of a choice where the gold is an option's text."""
    answer, options = item.problem.answer, item.problem.options
    return chr(65 + options.index(answer)) if answer in options else answer


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    print("| benchmark | n | response | `official` right | `strict` right |\n|---|---|---|---|---|")
    for place in places(["all"], parser.parse_args().data):
        items = load_benchmark(place.benchmark, place.folder).items
        for name, form in {**FORMS, EMPTY: ""}.items():
            texts = [form.format(gold(item)) for item in items]
            pairs = list(zip(items, texts, strict=True))
            official = sum(place.benchmark.official(item, text).correct for item, text in pairs)
            strict = sum(place.benchmark.strict(item, text).correct for item, text in pairs)
            title = place.benchmark.title if name == "X" else ""
            print(f"| {title} | {len(items)} | {name.replace('|', '')} | {official} | {strict} |", flush=True)


if __name__ == "__main__":
    main()
