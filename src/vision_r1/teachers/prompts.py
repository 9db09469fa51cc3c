"""The prompts of modality bridging, each a text file beside this module.

The paper prints only the second step's template, truncated, with two slots (question, thinking
process); the words here are ours, in the structure that it shows. Slots are filled by plain
replacement: nothing in a question or a model's reply is ever interpreted.
"""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import Literal

PromptName = Literal["caption", "pseudo_cot", "describe", "reason"]
VERSION = "1"


@functools.cache
def template(name: PromptName) -> str:
    """The text of a prompt file."""
    return (resources.files("vision_r1.teachers") / "prompts" / f"{name}.txt").read_text(encoding="utf-8")


def fill(name: PromptName, **slots: str) -> str:
    """The prompt with its slots filled, in one pass, so that a filled-in text cannot name a slot."""
    return re.sub(r"\{(\w+)\}", lambda match: slots[match[1]], template(name))


def caption_prompt() -> str:
    """Ask for a plain caption: the control without a question."""
    return fill("caption")


def pseudo_cot_prompt(question: str, answer: str | None) -> str:
    """Step 1: caption and reasoning under two headings; the paper's MLLM is told the answer."""
    line = "" if answer is None else f"Answer: {answer}\n"
    return fill("pseudo_cot", question=question, answer_line=line)


def describe_prompt(question: str, thinking_process: str) -> str:
    """Step 2: the question-aware description."""
    return fill("describe", question=question, thinking_process=thinking_process)


def reason_prompt(description: str, question: str, answer: str | None) -> str:
    """Step 3: what the text-only reasoner gets (the answer only where the switch says so)."""
    line = "" if answer is None else f"\nAnswer: {answer}"
    return fill("reason", description=description, question=question, answer_line=line)
