"""Step 2: image, question and Pseudo-CoT -> a question-aware description."""

from __future__ import annotations

from vision_r1.construct.pseudo_cot import PseudoCot
from vision_r1.construct.replies import Dropped, Reply, plain_reply
from vision_r1.problems.problem import Problem
from vision_r1.teachers.prompts import Prompts


def render(prompts: Prompts, problem: Problem, pseudo_cot: PseudoCot) -> str:
    """The prompt: the only template that the paper prints, with its two slots."""
    return prompts.describe(problem.prompt, pseudo_cot.text())


def parse(reply: Reply) -> str | Dropped:
    """The description, without the white space round it."""
    return plain_reply("description", reply)
