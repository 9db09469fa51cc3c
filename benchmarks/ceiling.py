"""Is one glance enough? What reading plus steps reaches on the tiny world, and what a direct answer does.

    python benchmarks/ceiling.py [--n 900] [--json]

Four figures on validation scans (the families are chosen by them, so the test scans stay unseen),
each with its 95% Wilson interval:
  perfect reading + steps   the scripted steps on the true facts
  base reading + steps      the base model's own reading, parsed, then the scripted steps
  base reading              the share of pictures the base reads without a mistake
  base direct               the base's direct answers
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from vision_r1.evals.statistics import wilson
from vision_r1.grading import GradeSpec, grade_response
from vision_r1.models.load import LoadedModel, load_model
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.problem import Problem
from vision_r1.problems.tiny_world import make_problems
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.in_process import generate
from vision_r1.rollout.request import Request
from vision_r1.teachers.language import Facts, facts_of, parse_reading, reading
from vision_r1.teachers.steps import solve
from vision_r1.train.lessons import READ


def replies(loaded: LoadedModel, problems: Sequence[Problem], questions: Sequence[str]) -> list[str]:
    """Greedy replies."""
    requests = [Request(p.id, q, p.media) for p, q in zip(problems, questions, strict=True)]
    return [trace.text for trace in generate(loaded, requests, Sampling(max_new_tokens=64), 0)]


def solved(problem: Problem, facts: Facts | None) -> bool:
    """Whether the scripted steps on these facts give the gold answer."""
    solution = solve(problem.question, facts) if facts is not None else None
    return solution is not None and str(solution.answer) == problem.answer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=900)
    parser.add_argument("--model", default="tiny:base")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    problems = make_problems(TinyWorldData(split="validation", n=options.n, seed=7))
    loaded = load_model(options.model)
    truth = [facts_of(p.meta["scene"]) for p in problems]
    read = replies(loaded, problems, [READ] * len(problems))
    parsed = [parse_reading(facts.layout, text) for facts, text in zip(truth, read, strict=True)]
    direct = replies(loaded, problems, [p.question for p in problems])
    figures = {
        "perfect reading + steps": [solved(p, facts) for p, facts in zip(problems, truth, strict=True)],
        "base reading + steps": [solved(p, facts) for p, facts in zip(problems, parsed, strict=True)],
        "base reading": [text == reading(facts) for text, facts in zip(read, truth, strict=True)],
        "base direct": [
            grade_response(t, GradeSpec.of(p)).correct for p, t in zip(problems, direct, strict=True)
        ],
    }
    rows = {name: wilson(sum(values), len(values)) for name, values in figures.items()}
    if options.json:
        print(
            json.dumps(
                {name: {"accuracy": r.mean, "ci95": r.ci95, "n": options.n} for name, r in rows.items()}
            )
        )
        return
    for name, r in rows.items():
        print(f"{name:<26}{100 * r.mean:6.1f}%   95% {100 * r.low:.1f}-{100 * r.high:.1f}   n={options.n}")


if __name__ == "__main__":
    main()
