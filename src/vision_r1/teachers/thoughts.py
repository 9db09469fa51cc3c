"""Where a reasoner's thought ends and its answer begins, in each of the forms that endpoints use."""

from __future__ import annotations

from typing import NamedTuple

from vision_r1.teachers.chat import ChatReply

OPENING, CLOSING = "<think>", "</think>"
# A token is a byte at least. English runs at about four, digits one by one at one to two.
_FEWEST_BYTES, _FEW_TOKENS = 1.5, 100


class Thought(NamedTuple):
    """A reply taken apart.

    Attributes:
        thought: what was thought, without tags; empty where there is no thought.
        rest: what was said beside it.
        finished: false for a thought that was cut off or never closed; `rest` is then empty.
    """

    thought: str
    rest: str
    finished: bool


def split_thought(reply: ChatReply, opened: bool = False) -> Thought:
    """Thought and answer of a reply.

    Args:
        reply: with its reasoning apart (`reasoning_content`, `reasoning`), or inside its text between
            `<think>` and `</think>`, or with the closing tag alone, where the chat template wrote the
            opening one.
        opened: the chat template writes the opening tag, so a text without any tag is a thought that
            never ended.
    """
    thought = reply.reasoning.strip()
    if thought:
        rest = _inline(reply.text, opened=False).rest if OPENING in reply.text else reply.text.strip()
        return Thought(thought, rest, bool(rest) or not reply.cut)
    return _inline(reply.text, opened)


def _inline(text: str, opened: bool) -> Thought:
    before, opening, inside = text.partition(OPENING)
    if opening and CLOSING not in before:
        thought, closing, after = inside.partition(CLOSING)
        if not closing:
            return Thought(thought.strip(), "", finished=False)
        return Thought(thought.strip(), f"{before.strip()} {after.strip()}".strip(), finished=True)
    thought, closing, after = text.partition(CLOSING)
    if closing:
        return Thought(thought.strip(), after.strip(), finished=True)
    return Thought(text.strip(), "", finished=False) if opened else Thought("", text.strip(), finished=True)


def why_hidden(text: str, reasoning: str, reasoning_tokens: int | None, kinds: list[str]) -> str:
    """Why a reply's reasoning is not there in full; empty where nothing says so.

    Args:
        text: the answer.
        reasoning: what came apart.
        reasoning_tokens: as the endpoint counted them.
        kinds: types of the reasoning items that came with it, such as "reasoning.encrypted".
    """
    for kind, words in (
        ("encrypted", "is encrypted"),
        ("redacted", "is redacted"),
        ("summary", "is a summary"),
    ):
        if any(kind in found for found in kinds):
            return f"the reasoning {words}"
    shown = len((reasoning.strip() or _inline(text, opened=False).thought).encode())
    if reasoning_tokens and not shown:
        return f"{reasoning_tokens} reasoning tokens, and none of their text"
    if reasoning_tokens and reasoning_tokens >= _FEW_TOKENS and shown < _FEWEST_BYTES * reasoning_tokens:
        return f"{reasoning_tokens} reasoning tokens, and only {shown} bytes of text"
    return ""
