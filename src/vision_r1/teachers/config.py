"""Settings of the scripted reasoner, of served models and of what may be spent; imports nothing heavy."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from vision_r1.core.config import FrozenConfig
from vision_r1.core.errors import ConfigError


class ReasonerRates(FrozenConfig):
    """How often the reasoner does what; shares of all traces unless said otherwise.

    Attributes:
        recheck: probability of one more re-check after each look or re-check (so their number
            is geometric, up to `max_rechecks`).
        max_rechecks: the most re-checks in a trace that does not loop.
        hmm_one_in: one re-check in this many opens with "Hmm", the others with "Wait".
        misread: share of re-checks that misread a digit and take it back.
        slip: probability that a sum is first written wrong and then corrected.
        restate: probability of working the sums out a second time.
        talk: share of traces that speak of "the description".
        wrong, contradiction, loop, broken_form: share of traces with that fault.
    """

    recheck: float = Field(0.5, ge=0, lt=1)
    max_rechecks: int = Field(5, ge=0)
    hmm_one_in: int = Field(2, ge=1)
    misread: float = Field(0.5, ge=0, le=1)
    slip: float = Field(0.05, ge=0, le=1)
    restate: float = Field(0.25, ge=0, le=1)
    talk: float = Field(0.35, ge=0, le=1)
    wrong: float = Field(0.06, ge=0, le=1)
    contradiction: float = Field(0.04, ge=0, le=1)
    loop: float = Field(0.06, ge=0, le=1)
    broken_form: float = Field(0.05, ge=0, le=1)


class EndpointConfig(FrozenConfig):
    """An OpenAI-compatible endpoint and how patiently it is asked.

    Attributes:
        url: what `/chat/completions` is appended to; it usually ends in `/v1`.
        key_env: the environment variable that holds the key; without one no key is sent. The key itself
            never stands in a config.
        max_in_flight: the most requests under way at a time. Fewer are while the endpoint throttles.
        timeout_seconds: for one attempt, from sending to the last byte; not for a streamed reply.
        stream: have the reply sent as it is written, for replies that take many minutes.
        idle_seconds: how long a streamed reply may stand still.
        connect_seconds: for reaching the endpoint.
        transport_retries: attempts after the first where the endpoint fails: it cannot be reached, answers
            HTTP 5xx, cuts the answer off, or sends something that is no answer.
        patience_seconds: how long the endpoint may throttle without answering any request.
        answer_retries: further samples where an answer came and cannot be used.
        cap_field: what the endpoint calls the cap on the reply; OpenAI's reasoning models take
            `max_completion_tokens` only.
    """

    url: str
    key_env: str = ""
    max_in_flight: int = Field(64, ge=1, le=1024)
    timeout_seconds: float = Field(600.0, gt=0)
    stream: bool = False
    idle_seconds: float = Field(600.0, gt=0)
    connect_seconds: float = Field(20.0, gt=0)
    transport_retries: int = Field(6, ge=0, le=100)
    patience_seconds: float = Field(600.0, gt=0)
    answer_retries: int = Field(2, ge=0, le=100)
    cap_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"

    # What was found is not shown by either check: it may be a key.
    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ConfigError("not an http or https address", fix="for example http://127.0.0.1:8000/v1")
        if parts.username is not None or parts.query or parts.fragment:
            raise ConfigError("the address holds more than a host and a path", fix="name the key by key_env")
        return url.rstrip("/")

    @field_validator("key_env")
    @classmethod
    def _name_of_a_variable(cls, name: str) -> str:
        if not re.fullmatch(r"([A-Z_][A-Z0-9_]*)?", name):
            fix = "put the key into an environment variable such as OPENAI_API_KEY and name that"
            raise ConfigError("not the name of an environment variable (capitals, digits, _)", fix=fix)
        return name


class Price(FrozenConfig):
    """Money for a million tokens, in whatever currency `Budget.max_cost` is in.

    Attributes:
        prompt: of the prompt.
        completion: of the reply, reasoning included.
    """

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)


class Budget(FrozenConfig):
    """What all runs on one request log may use together; None is no limit.

    Attributes:
        max_requests: requests answered, attempts that failed, and those that were under way when a run
            was killed; not those that were throttled or could not reach the endpoint.
        max_tokens: prompt and completion tokens.
        max_cost: money, in the currency of the prices.
    """

    max_requests: int | None = Field(None, ge=0)
    max_tokens: int | None = Field(None, ge=0)
    max_cost: float | None = Field(None, ge=0)


class RoleConfig(FrozenConfig):
    """A served model that plays a part, such as the one that sees the images, or the reasoner.

    Attributes:
        model: what the endpoints call it.
        endpoints: where it is served; several share the load. `answer_retries` is the first one's.
        max_tokens: cap on a reply, in tokens, reasoning included.
        temperature: 0 is greedy; None leaves it to the endpoint.
        top_p: nucleus mass.
        price: None is free.
        max_image_pixels: larger images are scaled down to so many pixels, keeping their shape.
        opens_thought: the chat template itself writes the opening `<think>`, so that replies start
            inside the thought.
        send_seed: send a seed with every sampled request; some hosted models refuse one.
    """

    model: str = Field(min_length=1)
    endpoints: tuple[EndpointConfig, ...] = Field(min_length=1)
    max_tokens: int = Field(4096, ge=1)
    temperature: float | None = Field(0.6, ge=0)
    top_p: float = Field(0.95, gt=0, le=1)
    price: Price | None = None
    max_image_pixels: int | None = Field(None, ge=784)
    opens_thought: bool = False
    send_seed: bool = True
