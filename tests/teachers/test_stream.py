"""A streamed reply is the same reply however its bytes are cut, and never half of one."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_wire import JSON, read

from faulty_server import events, reply
from vision_r1.teachers.chat import ChatReply
from vision_r1.teachers.stream import ReplyStream
from vision_r1.teachers.wire import Fault, read_stream


def streamed(*pieces: bytes) -> ChatReply | Fault:
    stream = ReplyStream()
    for piece in pieces:
        stream.feed(piece)
    return read_stream(stream)


@given(st.text(min_size=1), st.text(), st.integers(1, 5), st.lists(st.integers(0, 4000), max_size=8))
def test_however_it_is_cut_it_is_the_whole_reply(text, thought, piece, cuts):
    data = b"".join(events(text, thought, piece))
    cuts = sorted({0, *(cut % len(data) for cut in cuts), len(data)})
    found = streamed(*(data[start:end] for start, end in itertools.pairwise(cuts)))
    assert found == read(200, reply(text, reasoning_content=thought))


@given(st.data())
def test_a_stream_that_breaks_off_is_no_reply(data):
    pieces = events("The answer is 4.", "two and two")
    kept = data.draw(st.integers(0, len(pieces) - 4))  # the last ones say that the reply has ended
    found = streamed(*pieces[:kept])
    assert isinstance(found, Fault) and found.kind == "retry" and found.worked


@given(
    st.lists(st.binary() | JSON.map(lambda value: b"data: " + json.dumps(value).encode() + b"\n"), max_size=8)
)
def test_any_stream_is_a_reply_or_a_fault(pieces):
    found = streamed(*pieces)
    assert isinstance(found, ChatReply | Fault)
    if isinstance(found, Fault):
        assert "\n" not in found.reason


def test_what_servers_do_differently():
    lines = events("four", "two", reasoning_tokens=2)
    assert streamed(*(line.replace(b"\n", b"\r\n") for line in lines)).text == "four"
    assert streamed(*(line.replace(b"data: ", b"data:") for line in lines)).text == "four"
    assert streamed(b": keep-alive\n\n", *lines).text == "four"
    assert streamed(*(line.replace(b"reasoning_content", b"reasoning") for line in lines)).reasoning == "two"
    assert streamed(*lines[:-1]).text == "four"  # no [DONE]: the finish reason has said it
    assert isinstance(streamed(*lines[:-3], lines[-1]), Fault)  # [DONE], but nothing says how it ended
    assert streamed(*lines[:-2]).prompt_tokens is None  # no counts


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (b'data: {"error": {"message": "engine died"}}\n\n', "engine died"),
        (b"data: <html>\n\n", "not a JSON object"),
        (b"data: [1]\n\n", "not a JSON object"),
        (b"x" * (8 * 2**20 + 1), "no end"),
    ],
)
def test_a_stream_that_goes_wrong_is_a_fault(event, words):
    lines = events("four")
    found = streamed(*lines[:2], event, *lines[2:])
    assert isinstance(found, Fault) and words in found.reason and found.kind == "retry"
