"""The control: a plain caption, without the question, as in the paper's Figure 5."""

from __future__ import annotations

from vision_r1.construct.replies import Dropped, Reply, plain_reply
from vision_r1.teachers.prompts import Prompts


def render(prompts: Prompts) -> str:
    """The prompt; it names no question."""
    return prompts.caption()


def parse(reply: Reply) -> str | Dropped:
    """The caption, without the white space round it."""
    return plain_reply("caption", reply)
