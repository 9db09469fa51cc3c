"""The tests of the bridge on served models: does an answer leak, and what does the bridge add?

The same problems go through the steps in several arms; see `construct.leak` for what is compared. Arms
are asked like everything else, so what the rows themselves asked is not asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vision_r1.construct import leak
from vision_r1.construct.chain import Chain, Made, Step, Told, chain
from vision_r1.construct.fidelity import fidelity
from vision_r1.problems.problem import Problem

CAPTION = "caption"


@dataclass(frozen=True, slots=True)
class Controls:
    """What the tests ask.

    Attributes:
        problems: chosen by a seeded hash of their ids.
        wrong: a plausible wrong answer of each.
        steps: of the construction.
        caption_steps: those of the caption control.
        both: whether the reasoner is told what the MLLM is told.
        retries: further samples where a reply cannot be parsed.
    """

    problems: tuple[Problem, ...]
    wrong: tuple[str, ...]
    steps: Sequence[Step]
    caption_steps: Sequence[Step]
    both: bool
    retries: int

    def chains(self) -> dict[str, list[Callable[[], Chain]]]:
        """For each arm, how to begin each problem's chain."""
        told: dict[str, Sequence[str | None]] = {
            "wrong": self.wrong,
            "none": [None] * len(self.problems),
            "right": [problem.answer for problem in self.problems],
        }
        arms = {
            arm: [
                self._begin(problem, self.steps, Told(answer, answer if self.both else None))
                for problem, answer in zip(self.problems, answers, strict=True)
            ]
            for arm, answers in told.items()
        }
        return {**arms, CAPTION: [self._begin(p, self.caption_steps, Told()) for p in self.problems]}

    def _begin(self, problem: Problem, steps: Sequence[Step], told: Told) -> Callable[[], Chain]:
        return lambda: chain(problem, steps, told, 1, self.retries)

    def result(self, made: Mapping[str, Sequence[Made]]) -> dict[str, Any]:
        """Leak test, caption control and fidelity, from what the arms made.

        The caption control and the fidelity use the arm that is told nothing: a description that was
        written by somebody who knew the answer is not what a caption is to be compared with.
        """
        texts = {arm: [_text(each) for each in made[arm]] for arm in made}
        descriptions = {
            name: [each.notes.get("description") for each in made[arm]]
            for name, arm in (("description", "none"), ("caption", CAPTION))
        }
        return {
            "leak_test": leak.leak_test(self.problems, self.wrong, texts),
            "caption_control": leak.caption_control(self.problems, texts[CAPTION], texts["none"]),
            "fidelity": fidelity(self.problems, descriptions, CAPTION),
        }


def choose(
    problems: Sequence[Problem],
    n: int,
    seed: int,
    steps: Sequence[Step],
    caption_steps: Sequence[Step],
    *,
    both: bool,
    retries: int,
) -> Controls:
    """The controls over up to `n` problems; those for which no wrong answer can be made are left out."""
    subset = leak.choose(problems, n, seed)
    wrong = leak.wrong_answers(subset, problems, seed)
    pairs = [(problem, answer) for problem, answer in zip(subset, wrong, strict=True) if answer is not None]
    return Controls(
        tuple(problem for problem, _ in pairs),
        tuple(answer for _, answer in pairs),
        steps,
        caption_steps,
        both,
        retries,
    )


def _text(made: Made) -> str | None:
    """What the reasoner wrote, as the grader reads it; None where it was not asked."""
    if not made.samples or made.samples[0].dropped is not None:
        return None
    sample = made.samples[0]
    return f"<think>{sample.thought}</think>{sample.reply}" if sample.thought else sample.reply
