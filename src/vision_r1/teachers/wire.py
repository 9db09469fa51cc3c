"""The OpenAI-compatible chat protocol as pure functions: request to bytes, answer to reply or fault."""

from __future__ import annotations

import email.utils
import functools
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from vision_r1.teachers.chat import ChatReply, ChatRequest, Picture, messages
from vision_r1.teachers.stream import ReplyStream
from vision_r1.teachers.thoughts import why_hidden

_SHOWN = 200  # characters of an endpoint's own words that are repeated
_MOST_TOKENS = 2**53
_THROTTLED = (429, 503, 529)
_CROWDED = (408, 502, 504, 522, 524)  # time-outs, those of gateways among them
_EVENT = re.compile(rb"\A\s*(?:event:[^\n]*\n)?data:([^\n]*)")
_NO_MODEL = re.compile(r"\bmodel\b.{0,200}\b(does not exist|not found|not exist|unknown model)", re.I | re.S)


# As vLLM, OpenAI, llama.cpp and DeepSeek say it; narrow, as one image may be refused for its own sake.
_NO_IMAGES = re.compile(
    r"not a multimodal model|does not support (?:image|vision|multimodal)|image input is not supported"
    r"|image_url is only supported|unknown variant `image_url`|At most 0 image",
    re.IGNORECASE,
)
FaultKind = Literal[
    "retry", "unreachable", "throttled", "row", "key", "forbidden", "model", "images", "address", "quota"
]
Clean = Callable[[str], str]
_IMAGE_PLACE = b'{"url": ""}'


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an attempt brought no reply.

    Attributes:
        kind: "retry": try again; "throttled": later, and fewer at a time; "row": this request never
            will; "unreachable": try again, then no request will;
            "key", "forbidden", "model", "images", "address", "quota": no request will.
        reason: what happened.
        wait: seconds that the endpoint asks to wait, if it says so.
        worked: whether the endpoint may have written an answer, and may charge for it.
        perhaps_own: whether it may be about this request alone (HTTP 403, 404), whatever its kind says;
            other requests show it.
        crowded: whether it may come of too much under way at a time: a time-out, ours or a gateway's.
    """

    kind: FaultKind
    reason: str
    wait: float | None = None
    worked: bool = False
    perhaps_own: bool = False
    crowded: bool = False


def begun_body(request: ChatRequest, pictures: list[Picture]) -> bytes:
    """The part of the JSON that is the same for every endpoint; `finished_body` takes it.

    Raises:
        InputError: the prompt cannot be asked, see `chat.messages`.
    """
    body: dict[str, Any] = {"model": request.model, "messages": messages(request, [""] * len(pictures))}
    if request.temperature is not None:
        body |= {"temperature": request.temperature, "top_p": request.top_p}
    if request.stop:
        body["stop"] = list(request.stop)
    if request.seed is not None:
        body["seed"] = request.seed
    # The images are most of it and need no escaping. No text looks like their places: its quotes are escaped.
    first, *rest = json.dumps(body)[:-1].encode().split(_IMAGE_PLACE)
    parts = (
        each
        for picture, piece in zip(pictures, rest, strict=True)
        for each in (b'{"url": "', picture.url, b'"}', piece)
    )
    return b"".join([first, *parts])


def finished_body(begun: bytes, max_tokens: int, cap_field: str, stream: bool) -> bytes:
    """The JSON to send, from `begun_body` and what one endpoint wants."""
    return begun + _rest_of_body(max_tokens, cap_field, stream)


@functools.lru_cache(maxsize=64)
def _rest_of_body(max_tokens: int, cap_field: str, stream: bool) -> bytes:
    rest: dict[str, Any] = {cap_field: max_tokens, "stream": stream}
    if stream:
        rest["stream_options"] = {"include_usage": True}
    return b", " + json.dumps(rest)[1:].encode()


def read_answer(
    status: int,
    data: bytes,
    retry_after: str | None,
    now: float,
    clean: Clean = str,
    clean_reply: Clean | None = None,
) -> ChatReply | Fault:
    """What an HTTP answer says.

    Args:
        status: of HTTP.
        data: the whole body.
        retry_after: that header.
        now: seconds since the epoch, to read a date in it.
        clean: blots the key out of every text, before any is cut short.
        clean_reply: the same for what the model wrote; `clean` if None.
    """
    if status == 200:
        return _read_reply(data, clean, clean_reply or clean)
    said, code = _error_words(data, clean)
    kind = _kind(status, said, code)
    if kind == "key":
        return Fault("key", f"HTTP {status}")  # the endpoint's words may hold a part of the key
    reason = f"HTTP {status}" + (f": {said}" if said else "")
    own = status in (403, 404) and kind in ("forbidden", "model", "address")
    wait = _seconds(retry_after, now)
    return Fault(kind, reason, wait, perhaps_own=own, crowded=kind == "retry" and status in _CROWDED)


def _kind(status: int, said: str, code: str) -> FaultKind:
    rules: tuple[tuple[bool, FaultKind], ...] = (
        (status == 401, "key"),
        (status == 402 or code == "insufficient_quota", "quota"),
        (code == "model_not_found" or (400 <= status < 500 and bool(_NO_MODEL.search(said))), "model"),
        (status >= 400 and bool(_NO_IMAGES.search(said)), "images"),
        (status == 403, "forbidden"),
        (status in (404, 405) or status < 400, "address"),
        (status in _THROTTLED, "throttled"),
        (status >= 500 or status in (408, 409, 425), "retry"),
    )
    return next((kind for holds, kind in rules if holds), "row")


def read_stream(
    stream: ReplyStream, clean: Clean = str, clean_reply: Clean | None = None
) -> ChatReply | Fault:
    """What a stream of events came to; `clean` and `clean_reply` as for `read_answer`."""
    body = _cleaned(stream.body(), clean_reply or clean)
    found = None if body is None else _reply_of(body)
    if found is None:
        said = _shown(clean(stream.fault)) or "the stream ended before the reply did"
        return Fault("retry", said, worked=True)
    return _whole(found)


def _read_reply(data: bytes, clean: Clean, clean_reply: Clean) -> ChatReply | Fault:
    raw = _parse(data)
    body = raw if clean_reply is str else _cleaned(raw, clean_reply)
    found = _reply_of(body) if isinstance(body, dict) else None
    if found is not None and (found.text or found.finish_reason):
        return _whole(found)
    body = _cleaned(raw, clean)
    if not isinstance(body, dict):
        shown = data.decode(errors="replace") if body is None else json.dumps(body)
        return Fault("retry", f"HTTP 200, but not a JSON object: {_shown(clean(shown))}", worked=True)
    if "choices" not in body and "error" in body:
        return Fault("retry", f"HTTP 200 with an error: {_error_words(data, clean)[0]}", worked=True)
    return Fault("retry", f"HTTP 200 without an answer in it: {_shown(json.dumps(body))}", worked=True)


def _whole(reply: ChatReply) -> ChatReply | Fault:
    """The reply, unless the server itself broke it off."""
    if reply.broken_off:
        said = f"the server broke the reply off (finish_reason {reply.finish_reason})"
        return Fault("retry", said, worked=True)
    return reply


def _reply_of(body: dict[str, Any]) -> ChatReply | None:
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    text = _text(message.get("content")) if isinstance(message, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict) or text is None:
        return None
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    forms = ("reasoning_content", "reasoning", "reasoning_details")
    reasoning = next((found for name in forms if (found := _text(message.get(name)))), "")
    details = usage.get("completion_tokens_details")
    reasoning_tokens = _count(details.get("reasoning_tokens")) if isinstance(details, dict) else None
    return ChatReply(
        text=text,
        reasoning=reasoning,
        finish_reason=(_text(choice.get("finish_reason")) or "")[:40],
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        model=(_text(body.get("model")) or "")[:200],
        reasoning_tokens=reasoning_tokens,
        hidden=why_hidden(text, reasoning, reasoning_tokens, _kinds_of_reasoning(message)),
    )


def _kinds_of_reasoning(message: dict[str, Any]) -> list[str]:
    """Types of the reasoning items that a message carries beside its text."""
    items = [
        item
        for name in ("reasoning_details", "reasoning", "reasoning_content", "content")
        if isinstance(message.get(name), list)
        for item in message[name]
        if isinstance(item, dict)
    ]
    kinds = [str(item.get("type") or "")[:80] for item in items]
    encrypted = any(item.get("encrypted_content") for item in [message, *items])
    return [*kinds, "encrypted"] if encrypted else kinds


def _parse(data: bytes) -> Any:
    """The JSON value, or None for anything that is none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _text(value: Any) -> str | None:
    """A message's content: a string, nothing, or a list of text parts. None for anything else."""
    if value is None:
        return ""
    if isinstance(value, list):
        parts = [part.get("text") for part in value if isinstance(part, dict)]
        value = "".join(part for part in parts if isinstance(part, str))
    # Half of a surrogate pair is legal in JSON and could not be written to any file.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _count(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= _MOST_TOKENS else None


def _cleaned(value: Any, clean: Clean) -> Any:
    """A JSON value with every text in it cleaned; None for one that is nested without end."""

    def cleaned(value: Any) -> Any:
        if isinstance(value, str):
            return clean(value)
        if isinstance(value, list):
            return [cleaned(each) for each in value]
        if isinstance(value, dict):
            return {clean(name): cleaned(each) for name, each in value.items()}
        return value

    try:
        return cleaned(value)
    except RecursionError:
        return None


def _error_words(data: bytes, clean: Clean) -> tuple[str, str]:
    """An error's message and code, from the shapes that endpoints use; an HTML page gives its text."""
    event = _EVENT.search(data)  # an endpoint that streams may wrap its errors as it wraps its answers
    body = _cleaned(_parse(event[1] if event else data), clean)
    error = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(error, str):
        return _shown(error), ""
    if isinstance(error, dict):
        said = error.get("message") or error.get("detail") or ""
        return _shown(said if isinstance(said, str) else json.dumps(said)), str(error.get("code") or "")[:40]
    return _shown(clean(re.sub(r"<[^<>]{0,500}>", " ", data[:5000].decode(errors="replace")))), ""


def _shown(text: str) -> str:
    """The start of an endpoint's words on one line, safe to print."""
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in text[: 20 * _SHOWN]).split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."


def _seconds(retry_after: str | None, now: float) -> float | None:
    """The header's seconds or date as seconds from now; None where it is missing or makes no sense."""
    if retry_after is None:
        return None
    try:
        wait = float(retry_after)
    except ValueError:
        try:
            wait = email.utils.parsedate_to_datetime(retry_after).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, wait) if math.isfinite(wait) else None
