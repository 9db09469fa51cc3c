"""Step 1: image, question and answer -> Pseudo-CoT, under the two headings Caption and Reasoning."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vision_r1.construct.replies import Dropped, Reply, check_reply
from vision_r1.problems.problem import Problem
from vision_r1.teachers.prompts import Prompts

# "Caption:", "**Caption:**", "## Caption", each at the start of a line.
_HEADING = re.compile(
    r"^[ \t]{0,8}(?:#{1,6}[ \t]{0,4})?(?:\*\*)?(caption|reasoning)"
    r"(?:(?:\*\*)?[ \t]{0,4}[:：](?:\*\*)?|(?:\*\*)?[ \t]{0,8}$)",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class PseudoCot:
    """The two parts of a Pseudo-CoT."""

    caption: str
    reasoning: str

    def text(self) -> str:
        """Both parts under their headings, as step 2 is given them."""
        return f"Caption: {self.caption}\nReasoning: {self.reasoning}"


def render(prompts: Prompts, problem: Problem, answer: str | None) -> str:
    """The prompt; `answer` is what the MLLM is told, None for nothing."""
    return prompts.pseudo_cot(problem.prompt, answer)


def parse(reply: Reply) -> PseudoCot | Dropped:
    """The two parts of the reply; anything but one Caption and then one Reasoning is refused."""
    refused = check_reply("pseudo_cot", reply)
    if refused is not None:
        return refused
    headings = list(_HEADING.finditer(reply.text))
    if [heading[1].lower() for heading in headings] != ["caption", "reasoning"]:
        found = ", ".join(heading[1] for heading in headings[:6]) or "none"
        return Dropped("pseudo_cot_headings", f"expected Caption and Reasoning, found: {found}")
    first, second = headings
    parts = PseudoCot(reply.text[first.end() : second.start()].strip(), reply.text[second.end() :].strip())
    if not parts.caption or not parts.reasoning:
        return Dropped("pseudo_cot_headings", "a part is empty")
    return parts
