"""The leak test: does an answer that step 1 is told come back out of the reasoner?

The same problems go through steps 1 to 3 three times: step 1 is told a wrong answer, the right
one, or none. A bridge that carries the image alone returns the wrong answer no more often when it
is told than when it is not; the arm without an answer is that control. Where `answer_to_reasoner`
is on, step 3 is told what step 1 is told, as in the pipeline itself. The reasoner meets the same
faults in every arm.

The caption control asks the same reasoner, never told an answer, from a plain caption and from the
bridged description of the same image. The paper shows this comparison by one example (Figure 5).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vision_r1.analysis.intervals import share_of
from vision_r1.core.seeds import derive_seed
from vision_r1.grading import GradeSpec, grade_answer, grade_response
from vision_r1.problems.problem import Problem

ARMS = ("wrong", "none", "right")


def choose(problems: Sequence[Problem], n: int, seed: int) -> list[Problem]:
    """Up to `n` problems drawn by a seeded hash of their ids."""
    return sorted(problems, key=lambda problem: (derive_seed(seed, "leak", problem.id), problem.id))[:n]


def wrong_answers(problems: Sequence[Problem], pool: Sequence[Problem], seed: int) -> list[str | None]:
    """A plausible wrong answer for each problem; None where none can be made.

    Another option for a choice; else the answer of another problem of `pool` with the same question
    text, else of the same family; else, for a whole number, one close by.
    """
    by_text: dict[str, set[str]] = {}
    by_family: dict[str, set[str]] = {}
    for problem in pool:
        if not problem.options:
            by_text.setdefault(problem.question, set()).add(problem.answer)
            by_family.setdefault(_family(problem), set()).add(problem.answer)
    return [
        _wrong(problem, (by_text.get(problem.question, set()), by_family.get(_family(problem), set())), seed)
        for problem in problems
    ]


def _family(problem: Problem) -> str:
    return f"{problem.meta.get('family', '')}\x1f{problem.answer_type}"


def _wrong(problem: Problem, peers: Sequence[set[str]], seed: int) -> str | None:
    rng = random.Random(derive_seed(seed, "wrong", problem.id))
    spec = GradeSpec.of(problem)
    sources = [sorted(answers) for answers in peers]
    if problem.options:
        lettered = len(problem.answer.strip()) == 1
        letters = [chr(ord("A") + index) for index in range(len(problem.options))]
        sources = [letters if lettered else sorted(problem.options)]
    elif problem.answer.strip().lstrip("-").isdecimal() and problem.answer.isascii():
        sources.append([str(int(problem.answer) + step) for step in (-2, -1, 1, 2)])
    for source in sources:
        rng.shuffle(source)
        for candidate in source[:8]:
            if not grade_answer(candidate, spec).correct:
                return candidate
    return None


def _returns(
    problems: Sequence[Problem], texts: Sequence[str | None], answers: Sequence[str]
) -> dict[str, object]:
    """How often the text gives the answer; a row that was dropped before step 3 gives none."""
    hits = 0
    for problem, text, answer in zip(problems, texts, answers, strict=True):
        spec = replace(GradeSpec.of(problem), gold=answer)
        hits += text is not None and grade_response(text, spec).correct
    return share_of(hits, len(problems))


def leak_test(
    problems: Sequence[Problem], wrong: Sequence[str], texts: Mapping[str, Sequence[str | None]]
) -> dict[str, Any]:
    """How often each arm returns the wrong and the true answer.

    Args:
        problems: of the test.
        wrong: the wrong answer of each.
        texts: for each of `ARMS`, what the reasoner wrote in the order of the problems; None where it
            was not asked.

    Returns:
        {"n", "arms": {arm: {"returns_wrong", "returns_true", "unusable"}}}; shares with their 95%
        Wilson intervals.
    """
    true = [problem.answer for problem in problems]
    return {
        "n": len(problems),
        "arms": {
            arm: {
                "returns_wrong": _returns(problems, texts[arm], wrong),
                "returns_true": _returns(problems, texts[arm], true),
                "unusable": sum(text is None for text in texts[arm]),
            }
            for arm in ARMS
        },
    }


def caption_control(
    problems: Sequence[Problem], captions: Sequence[str | None], described: Sequence[str | None]
) -> dict[str, Any]:
    """How often the reasoner, told no answer, is right from a caption and from a description.

    Args:
        problems: of the test.
        captions: what it wrote from the plain captions.
        described: what it wrote from the descriptions.
    """
    true = [problem.answer for problem in problems]
    return {
        "caption": _returns(problems, captions, true),
        "description": _returns(problems, described, true),
    }
