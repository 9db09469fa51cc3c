"""The control: a plain caption, without the question, as in the paper's Figure 5."""

from __future__ import annotations

from vision_r1.construct.replies import Dropped, plain_reply
from vision_r1.rollout.trace import Trace
from vision_r1.teachers import prompts


def render() -> str:
    """The prompt; it names no question."""
    return prompts.caption_prompt()


def parse(trace: Trace) -> str | Dropped:
    """The caption, without the white space round it."""
    return plain_reply("caption", trace)
