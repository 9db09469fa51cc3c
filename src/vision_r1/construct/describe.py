"""Step 2: image, question and Pseudo-CoT -> a question-aware description."""

from __future__ import annotations

from vision_r1.construct.pseudo_cot import PseudoCot
from vision_r1.construct.replies import Dropped, plain_reply
from vision_r1.problems.problem import Problem
from vision_r1.rollout.trace import Trace
from vision_r1.teachers import prompts


def render(problem: Problem, pseudo_cot: PseudoCot) -> str:
    """The prompt: the only template that the paper prints, with its two slots."""
    return prompts.describe_prompt(problem.prompt, pseudo_cot.text())


def parse(trace: Trace) -> str | Dropped:
    """The description, without the white space round it."""
    return plain_reply("description", trace)
