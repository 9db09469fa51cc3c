"""Problems to traces with a model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vision_r1.core.errors import InputError
from vision_r1.core.seeds import derive_seed
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.engine import OnDone, quiet
from vision_r1.rollout.trace import Segment, StopReason, Trace
from vision_r1.teachers.chat import ChatReply, ChatRequest, Failure
from vision_r1.teachers.endpoint import EndpointClient

if TYPE_CHECKING:
    from vision_r1.rollout.request import Request


class EndpointEngine:
    """A served model; `Sampling.batch_size` means nothing to it, the client's settings pace it.

    Attributes:
        client: asks the endpoint.
        name: what the endpoint calls the model.
        identity: that name; where the endpoint stands decides nothing.
    """

    def __init__(self, client: EndpointClient, model: str) -> None:
        self.client = client
        self.name = model
        self.identity = f"endpoint:{model}"

    def complete(
        self, requests: Sequence[Request], sampling: Sampling, seed: int, on_done: OnDone = quiet
    ) -> list[Trace]:
        """See `Engine.complete`; each completion is a request with a seed of its own."""
        asked = [
            chat_request(self.name, request, sampling, seed, index)
            for request in requests
            for index in range(sampling.n)
        ]
        outcomes = self.client.complete(asked, on_done)
        settings = {**sampling.model_dump(), "seed": seed}
        ids = [request.id for request in requests for _ in range(sampling.n)]
        return [
            trace_of(name, chat.sample_index, outcome, self.name, settings)
            for name, chat, outcome in zip(ids, asked, outcomes, strict=True)
        ]


def chat_request(model: str, request: Request, sampling: Sampling, seed: int, index: int) -> ChatRequest:
    """One completion as a request. Greedy decoding sends no seed, which would change its key.

    Raises:
        InputError: a request of several turns.
    """
    if request.history:
        raise InputError("a served model is asked single turns", where=f"problem {request.id}")
    greedy = sampling.temperature == 0
    return ChatRequest(
        model=model,
        user=request.question,
        media=request.media,
        max_tokens=request.max_new_tokens or sampling.max_new_tokens,
        temperature=sampling.temperature,
        top_p=1.0 if greedy else sampling.top_p,
        stop=sampling.stop,
        seed=None if greedy else derive_seed(seed, request.id, index),
        sample_index=index,
    )


def trace_of(
    problem_id: str, index: int, outcome: ChatReply | Failure, model: str, settings: dict[str, object]
) -> Trace:
    """An outcome as a trace; reasoning that came apart stands before the text in `<think>` tags.

    Token counts are the endpoint's, and 0 where it gives none.
    """
    error = outcome.reason if isinstance(outcome, Failure) else ""
    if isinstance(outcome, ChatReply) and outcome.held_back:
        error = f"the endpoint ended the reply by {outcome.finish_reason}"
    if isinstance(outcome, Failure) or error:
        return Trace(problem_id, index, (), "error", 0, model, settings, error=error)
    text = f"<think>{outcome.reasoning}</think>{outcome.text}" if outcome.reasoning else outcome.text
    stop: StopReason = "length" if outcome.cut else "eos"
    segment = Segment("model", text, count=outcome.completion_tokens or 0)
    return Trace(problem_id, index, (segment,), stop, outcome.prompt_tokens or 0, model, settings)
