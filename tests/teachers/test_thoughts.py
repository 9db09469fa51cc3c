"""A thought is found in every form that endpoints use, and one that is not there in full is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_wire import read

from faulty_server import reply
from vision_r1.teachers.chat import ChatReply
from vision_r1.teachers.thoughts import split_thought

PLAIN = st.text().filter(lambda text: "think>" not in text).map(str.strip)


def said(text: str, reasoning: str = "", finish: str = "stop") -> ChatReply:
    return ChatReply(text, reasoning, finish, 1, 1, "m")


@given(PLAIN.filter(bool), PLAIN.filter(bool), st.booleans())
def test_four_forms_of_one_thought(thought, rest, opened):
    wanted = (thought, rest, True)
    assert split_thought(said(rest, thought), opened) == wanted
    assert split_thought(said(f"<think>\n{thought}\n</think>\n\n{rest}"), opened) == wanted
    assert split_thought(said(f"{thought}\n</think>\n\n{rest}"), opened) == wanted
    # A server may hand the thought over apart and leave it in the text as well.
    assert split_thought(said(f"<think>{thought}</think>{rest}", thought), opened) == wanted


@given(PLAIN.filter(bool))
def test_a_thought_that_never_ends_is_told_from_none(text):
    assert split_thought(said(f"<think>{text}"), opened=False) == (text, "", False)
    assert split_thought(said(text), opened=True) == (text, "", False)
    assert split_thought(said(text), opened=False) == ("", text, True)
    assert split_thought(said("", text, "length")) == (text, "", False)
    assert split_thought(said("", text, "stop")) == (text, "", True)


@given(st.text(st.sampled_from("<>/think ab")), st.text(), st.booleans())
def test_any_reply_comes_apart(text, reasoning, opened):
    _, rest, finished = split_thought(said(text, reasoning), opened)
    assert finished or rest == ""


def hidden(text="B", tokens=None, **message):
    body = reply(text, **message)
    if tokens is not None:
        body["usage"]["completion_tokens_details"] = {"reasoning_tokens": tokens}
    return read(200, body)


LONG = "First I add the two numbers, then I check. " * 30


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (hidden(tokens=500), "500 reasoning tokens, and none"),
        (hidden(tokens=3000, reasoning_content=LONG), "only"),
        (hidden(reasoning_details=[{"type": "reasoning.summary", "summary": "I added"}]), "summary"),
        (hidden(reasoning_details=[{"type": "reasoning.encrypted", "data": "x"}], reasoning=LONG), "encrypted"),
        (hidden([{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "B"}]), "redacted"),
        (hidden(reasoning=[{"type": "reasoning", "encrypted_content": "x"}]), "encrypted"),
    ],
)  # fmt: skip
def test_a_hidden_thought_is_told(found, words):
    assert words in found.hidden


@pytest.mark.parametrize(
    "found",
    [
        hidden(),
        hidden(tokens=0),
        hidden(tokens=300, reasoning_content=LONG),
        hidden(tokens=300, reasoning=LONG),
        hidden(f"<think>{LONG}</think>B", tokens=300),
        hidden(f"{LONG}</think>B", tokens=300),
        hidden(tokens=700, reasoning_content="1 2 3 4 5 6 7 8 9 " * 78),  # a token for each digit and space
        hidden(tokens=300, reasoning_details=[{"type": "reasoning.text", "text": LONG}]),
    ],
)
def test_a_thought_in_full_is_not_suspected(found):
    assert found.hidden == "" and found.reasoning_tokens in (None, 0, 300, 700)
