"""Answers of endpoints, good and bad, are a reply or a named fault; nothing raises."""

import email.utils
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faulty_server import reply
from vision_r1.teachers.chat import ChatReply, ChatRequest
from vision_r1.teachers.wire import Fault, begun_body, finished_body, read_answer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "error", "usage", "code", "prompt_tokens", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def read(status, body, retry_after=None):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_answer(status, data, retry_after, now=1_000_000.0)


@given(st.integers(100, 599), st.binary(max_size=300) | JSON, st.none() | st.text(max_size=30))
def test_any_answer_is_a_reply_or_a_fault(status, body, retry_after):
    found = read(status, body, retry_after)
    assert isinstance(found, ChatReply | Fault)
    if isinstance(found, ChatReply):
        assert status == 200
        (found.text + found.reasoning + found.model).encode("utf-8")
    else:
        assert "\n" not in found.reason and len(found.reason) < 300
        assert found.wait is None or found.wait >= 0


@given(st.text(), st.text())
def test_what_a_model_wrote_comes_through(text, thought):
    found = read(200, reply(text, reasoning_content=thought))
    clean = [part.encode("utf-8", "replace").decode() for part in (text, thought)]
    assert [found.text, found.reasoning] == clean
    assert (found.prompt_tokens, found.completion_tokens, found.finish_reason) == (11, 3, "stop")


def test_shapes_of_a_message():
    assert read(200, reply("a", reasoning="r")).reasoning == "r"
    assert read(200, reply(None, reasoning_content="r")).text == ""
    assert read(200, reply([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])).text == "ab"
    body = reply("a")
    for usage in (
        None,
        {},
        {"prompt_tokens": -1, "completion_tokens": 10**400},
        {"prompt_tokens": True},
        "many",
    ):
        body["usage"] = usage
        found = read(200, body)
        assert (found.prompt_tokens, found.completion_tokens) == (None, None)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"", "retry"),
        (200, json.dumps(reply("a")).encode()[:-9], "retry"),
        (200, b"<html><body>Bad gateway</body></html>", "retry"),
        (200, {"choices": []}, "retry"),
        (200, {"choices": [{}]}, "retry"),
        (200, {"choices": [{"message": {"content": 7}}]}, "retry"),
        (200, {"error": {"message": "overloaded"}}, "retry"),
        (200, b"[" * 200_000, "retry"),
        (200, b"9" * 10_000, "retry"),
        (429, {"error": {"message": "slow down"}}, "throttled"),
        (429, {"error": {"code": "insufficient_quota", "message": "pay"}}, "quota"),
        (503, b"", "throttled"),
        (500, b"<html>oops</html>", "retry"),
        (502, b"", "retry"),
        (401, {"error": {"message": "Incorrect API key: sk-12"}}, "key"),
        (403, b"", "forbidden"),
        (403, {"error": {"message": "refused by the content policy"}}, "forbidden"),
        (403, {"error": {"code": "model_not_found", "message": "no access"}}, "model"),
        (401, b'data: {"error": {"message": "no"}}\n\n', "key"),
        (429, b'data: {"error": {"code": "insufficient_quota"}}\n\n', "quota"),
        (400, b'event: error\ndata: {"error": {"code": "model_not_found"}}\n\n', "model"),
        (200, {"choices": [{"message": {"content": None}, "finish_reason": None}]}, "retry"),
        (200, {"choices": [{"message": {"content": ""}}]}, "retry"),
        (200, {"choices": [{"message": {"content": "", "reasoning": "so"}, "finish_reason": None}]}, "retry"),
        (404, {"error": {"message": "The model `x` does not exist."}}, "model"),
        (400, {"object": "error", "message": "At most 0 image(s) may be provided in one prompt."}, "images"),
        (400, {"error": {"message": "Invalid content type. image_url is only supported by certain models."}}, "images"),
        (500, {"error": {"message": "image input is not supported - hint: you may need the mmproj"}}, "images"),
        (422, {"error": {"message": "unknown variant `image_url`, expected `text`"}}, "images"),
        (400, {"error": {"message": "image/webp: this image format is not supported"}}, "row"),
        (400, {"error": {"code": "model_not_found", "message": "?"}}, "model"),
        (404, b"<html>Not Found</html>", "address"),
        (301, b"", "address"),
        (400, {"error": {"message": "max_tokens is too large"}}, "row"),
        (422, {"detail": [{"msg": "field required"}]}, "row"),
        (413, b"", "row"),
    ],
)  # fmt: skip
def test_faults_are_told_apart(status, body, kind):
    assert read(status, body).kind == kind


@given(st.sampled_from([200, 400, 401, 403, 404, 429, 500, 503]), JSON)
def test_only_403_and_404_may_be_about_one_request(status, body):
    found = read(status, body)
    if isinstance(found, Fault) and found.perhaps_own:
        assert status in (403, 404) and found.kind in ("forbidden", "model", "address")
    elif status in (403, 404):
        assert found.kind in ("quota", "images")


@given(JSON, st.integers(150, 210))
def test_the_key_is_in_nothing_whatever_the_answer(body, before):
    key = "k3y/" + "x" * 60
    blot = lambda text: text.replace(key, "***")  # noqa: E731
    padded = "a" * before + key
    wholes = (
        {
            "choices": [{"message": {"content": padded, "reasoning": key}, "finish_reason": key}],
            "model": padded,
        },
        {"error": {"message": padded, "code": key}},
        {"choices": [], "more": [body, {"x": padded}]},
        padded,
    )
    for whole in wholes:
        for status in (200, 400, 403, 500):
            data = json.dumps(whole).replace("/", "\\/").encode() if whole is not padded else padded.encode()
            found = read_answer(status, data, None, 0.0, blot)
            assert "k3y" not in repr(found)


def test_a_refused_key_is_not_repeated():
    assert "sk-12" not in read(401, {"error": {"message": "Incorrect API key: sk-12"}}).reason


def test_retry_after_is_seconds_or_a_date():
    assert read(429, b"", "7").wait == 7.0
    assert read(429, b"", email.utils.formatdate(1_000_030, usegmt=True)).wait == 30.0
    assert read(429, b"", email.utils.formatdate(999_000, usegmt=True)).wait == 0.0
    for nonsense in (None, "soon", "nan", "inf", ""):
        assert read(429, b"", nonsense).wait is None


def test_the_body_says_what_was_asked():
    request = ChatRequest(
        "m", "2+2?", system="Be brief.", max_tokens=9, temperature=0.7, top_p=0.9, stop=("\n",), seed=4
    )
    body = json.loads(finished_body(begun_body(request, []), 9, "max_tokens", stream=False))
    assert body == {
        "model": "m", "max_tokens": 9, "temperature": 0.7, "top_p": 0.9, "stop": ["\n"], "seed": 4, "stream": False,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}],
    }  # fmt: skip
    begun = begun_body(ChatRequest("m", "x", temperature=None), [])
    bare = json.loads(finished_body(begun, 1024, "max_completion_tokens", stream=True))
    assert bare["stream"] and bare["stream_options"] == {"include_usage": True}
    assert not {"temperature", "top_p", "seed", "stop", "max_tokens"} & set(bare)
    assert bare["max_completion_tokens"] == 1024
