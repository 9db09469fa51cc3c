"""What was asked and what it cost: by step and model, from the log and of this run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from vision_r1.teachers.chat import ChatReply, Failure
from vision_r1.teachers.config import Price

# A byte-level tokenizer makes at most one token of a byte; the chat template adds some of its own.
_TEMPLATE_TOKENS = 256
# Of a small image: twelve tiles and a thumbnail of 256 each, as vision towers that cut images up make of it.
# A large one makes at most one token of 28 by 28 pixels.
_IMAGE_TOKENS, _SIDE = 13 * 256, 28


@dataclass(frozen=True, slots=True)
class Spent:
    """What answers came to.

    Attributes:
        replies: answered requests.
        prompt_tokens: as the endpoint counted them; a reply without a count adds nothing.
        completion_tokens: likewise, reasoning included.
        reasoning_tokens: likewise.
        charged: tokens that count for budgets: the endpoint's, or the most there can have been.
        cost: money, at the prices of the time.
    """

    replies: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    charged: int = 0
    cost: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        """Both together."""
        return Spent(
            self.replies + other.replies,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.charged + other.charged,
            self.cost + other.cost,
        )


class Charge(NamedTuple):
    """What counts for budgets without being an answer, or a change of it.

    Attributes:
        requests: attempts.
        tokens: the most that they can have come to.
        cost: money, likewise.
    """

    requests: int = 0
    tokens: int = 0
    cost: float = 0.0

    def plus(self, other: Charge, sign: int = 1) -> Charge:
        """Both together, or the difference."""
        return Charge(
            self.requests + sign * other.requests,
            self.tokens + sign * other.tokens,
            self.cost + sign * other.cost,
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """The most that a request can come to.

    Attributes:
        prompt_tokens: at most.
        completion_tokens: the cap on the reply.
        price: of them; None is free.
    """

    prompt_tokens: int
    completion_tokens: int
    price: Price | None = None

    @property
    def tokens(self) -> int:
        """Both together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def cost(self) -> float:
        """In money."""
        return money(self.price, self.prompt_tokens, self.completion_tokens)

    def of(self, reply: ChatReply) -> Spent:
        """What a reply came to; where the endpoint does not count, budgets are charged the most."""
        prompt, completion = reply.prompt_tokens, reply.completion_tokens
        counted = self.prompt_tokens if prompt is None else prompt
        written = self.completion_tokens if completion is None else completion
        cost = money(self.price, counted, written)
        return Spent(1, prompt or 0, completion or 0, reply.reasoning_tokens or 0, counted + written, cost)


def prompt_bound(text_bytes: int, sizes: Iterable[tuple[int, int]]) -> int:
    """The most tokens that a prompt can come to.

    Args:
        text_bytes: of its text, in UTF-8.
        sizes: (width, height) of its images.
    """
    images = sum(max(_IMAGE_TOKENS, -(-w // _SIDE) * -(-h // _SIDE)) for w, h in sizes)
    return _TEMPLATE_TOKENS + text_bytes + images


def money(price: Price | None, prompt_tokens: int, completion_tokens: int) -> float:
    """What so many tokens cost."""
    if price is None:
        return 0.0
    return (price.prompt * prompt_tokens + price.completion * completion_tokens) / 1e6


@dataclass
class Line:
    """One step and one model in the ledger of a run.

    Attributes:
        logged: answers that were in the log.
        fresh: answers that were sent for now.
        sent: attempts, a short question to an endpoint that refuses (`Desk`) among them.
        transport_retries: further attempts after the endpoint failed.
        throttled: attempts that were asked to come later.
        answer_retries: further samples after an answer that could not be used.
        failures: requests without a usable answer, by `Failure.kind`.
    """

    logged: Spent = Spent()
    fresh: Spent = Spent()
    sent: int = 0
    transport_retries: int = 0
    throttled: int = 0
    answer_retries: int = 0
    failures: dict[str, int] = field(default_factory=dict)

    def failed(self, failure: Failure) -> None:
        """Count a failure."""
        self.failures[failure.kind] = self.failures.get(failure.kind, 0) + 1


Ledger = dict[tuple[str, str], Line]  # by (step, model)
