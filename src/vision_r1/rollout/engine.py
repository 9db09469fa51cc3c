"""What turns problems into traces: one contract for the model in this process and for served ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # a served model needs no torch here
    from vision_r1.models.load import LoadedModel
    from vision_r1.rollout.config import Sampling
    from vision_r1.rollout.request import Request
    from vision_r1.rollout.trace import Trace

OnDone = Callable[[int], None]


def quiet(done: int) -> None:
    """Tell nobody how far it is."""


class Engine(Protocol):
    """Completes requests."""

    @property
    def name(self) -> str:
        """The model's name for people: the reference it was loaded from, or what the endpoint calls it."""
        ...

    @property
    def identity(self) -> str:
        """What decides the completions beside requests, sampling and seed; equal for equal models."""
        ...

    def complete(
        self, requests: Sequence[Request], sampling: Sampling, seed: int, on_done: OnDone = quiet
    ) -> list[Trace]:
        """Complete each request `sampling.n` times.

        Args:
            requests: prompts with unique ids.
            sampling: how to decode.
            seed: of the noise; the same one gives the same completions as far as the engine can.
            on_done: called in the calling thread with the number of completions that have just ended.

        Returns:
            Traces, `n` for each request, in order; one that the engine gave up on has the stop
            reason `error` and the reason (a prompt that does not fit, an endpoint's refusal).

        Raises:
            VisionR1Error: nothing can be completed (an endpoint that refuses the key or cannot be
                reached, images and marks that differ).
        """
        ...


class InProcessEngine:
    """The model in this process."""

    def __init__(self, loaded: LoadedModel) -> None:
        from vision_r1.models.digest import weights_digest

        self.loaded = loaded
        self.name = loaded.name
        self.identity = weights_digest(loaded.model)

    def complete(
        self, requests: Sequence[Request], sampling: Sampling, seed: int, on_done: OnDone = quiet
    ) -> list[Trace]:
        """See `Engine.complete` and `rollout.in_process.generate`."""
        from vision_r1.rollout.in_process import generate

        def told(done: int) -> None:
            on_done(done * sampling.n)

        return generate(self.loaded, requests, sampling, seed, told, skip_long=True)
