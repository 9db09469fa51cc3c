"""Which facts of arithmetic a tiny model knows: every pair asked in text, and questions worked out in text.

    python benchmarks/facts.py [--model tiny:base] [--n 900]

The pairs are all there are (no sample, so no interval); the worked questions are a seeded sample of the
training families about facts that are given as text, right if every step is, with 95% Wilson intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np

from vision_r1.evals.statistics import wilson
from vision_r1.models.load import LoadedModel, load_model
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.in_process import generate
from vision_r1.rollout.request import Request
from vision_r1.train.lessons import worked_in_text

Fact = tuple[str, str, str]  # kind, question, answer


def pairs() -> Iterator[Fact]:
    """All sums and differences of the sizes that the steps need."""
    for a in range(55):
        size = "one digit" if a < 10 else "two digits"
        for b in range(10):
            yield f"{size} + one", f"What is {a}+{b}?", str(a + b)
            if b <= a:
                yield f"{size} - one", f"What is {a}-{b}?", str(a - b)
    for a in range(10, 40):
        for b in range(10, a + 1):
            yield "two digits - two", f"What is {a}-{b}?", str(a - b)


def worked(n: int) -> Iterator[Fact]:
    """Questions about facts in text, worked out."""
    rng = np.random.default_rng(5)
    for _ in range(n):
        example = worked_in_text(rng)
        yield f"worked: {example.question.split('. ')[-1]}", example.question, example.reply


def right(loaded: LoadedModel, facts: Sequence[Fact], tokens: int) -> dict[str, tuple[int, int]]:
    """Kind -> (right, asked), by greedy decoding."""
    requests = [Request(str(i), question, ()) for i, (_, question, _) in enumerate(facts)]
    replies = generate(loaded, requests, Sampling(max_new_tokens=tokens), 0)
    found: dict[str, tuple[int, int]] = {}
    for (kind, _, answer), trace in zip(facts, replies, strict=True):
        good, asked = found.get(kind, (0, 0))
        found[kind] = (good + (trace.text.strip() == answer), asked + 1)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="tiny:base")
    parser.add_argument("--n", type=int, default=900)
    options = parser.parse_args()
    loaded = load_model(options.model)
    for kind, (good, asked) in right(loaded, list(pairs()), 8).items():
        print(f"{kind:<70}{good / asked:6.1%} of {asked}")
    for kind, (good, asked) in sorted(right(loaded, list(worked(options.n)), 160).items()):
        found = wilson(good, asked)
        print(f"{kind:<70}{good / asked:6.1%} of {asked} ({found.low:.1%} to {found.high:.1%})")


if __name__ == "__main__":
    main()
