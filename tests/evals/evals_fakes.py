"""A model that is only a name, problems without pixels, and scripted generation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from vision_r1.evals.config import EvaluateSettings
from vision_r1.models.load import LoadedModel
from vision_r1.models.tiny import SIZES, build_config, build_model, build_processor, train_tokenizer
from vision_r1.problems.problem import Problem
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.engine import OnDone, quiet
from vision_r1.rollout.request import Request
from vision_r1.rollout.trace import Segment, StopReason, Trace

# (problem id, sample index, greedy) -> (text, stop reason, tokens)
Script = Callable[[str, int, bool], tuple[str, StopReason, int]]


def settings(**changes: object) -> EvaluateSettings:
    return EvaluateSettings.model_validate(
        {"sampled_problems": 4, "bootstrap": 200, "batch_size": 16, "image_use": False, **changes}
    )


def text_problems(n: int, families: Sequence[str] = ("a", "b")) -> list[Problem]:
    return [
        Problem(
            id=f"p{i}",
            question=f"What is {i} plus one?",
            answer=str(i + 1),
            answer_type="number",
            meta={"family": families[i % len(families)], "level": i % 3},
        )
        for i in range(n)
    ]


class FakeEngine:
    """Writes what a script says and remembers what it was asked."""

    def __init__(self, script: Script, identity: str = "fake") -> None:
        self.script = script
        self.name, self.identity = "fake", identity
        self.calls: list[tuple[list[Request], Sampling, int]] = []

    def complete(
        self, requests: Sequence[Request], sampling: Sampling, seed: int, on_done: OnDone = quiet
    ) -> list[Trace]:
        self.calls.append((list(requests), sampling, seed))
        traces = []
        for request in requests:
            for index in range(sampling.n):
                text, stop, tokens = self.script(request.id, index, sampling.temperature == 0)
                segment = Segment("model", text, tuple(range(tokens)))
                traces.append(Trace(request.id, index, (segment,), stop, 5, self.name))
        return traces


def thought(answer: object) -> str:
    return f"<think>so it is</think>\n<answer>{answer}</answer>"


@functools.cache
def tiny_random() -> LoadedModel:
    """A random model of the base's size that knows the words of the tiny world."""
    texts = ["system You are a helpful assistant. user assistant What is the sum of the numbers?"] * 5
    tokenizer = train_tokenizer(texts, 400)
    model = build_model(build_config(tokenizer, SIZES["base"]), 0).eval()
    return LoadedModel(model, build_processor(tokenizer), "random")
