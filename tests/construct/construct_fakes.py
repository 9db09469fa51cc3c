"""A made-up MLLM: a function from requests to replies, by step."""

from __future__ import annotations

import random
from collections.abc import Callable

from vision_r1.construct.mllm import Mllm
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.tiny_world import make_problems
from vision_r1.rollout.trace import Segment, Trace
from vision_r1.teachers.language import Facts, caption, description, facts_of, transcript
from vision_r1.teachers.prompts import shipped_prompts


def trace(text: str, stop: str = "eos", problem_id: str = "p") -> Trace:
    return Trace(problem_id, 0, (Segment("model", text, (1, 2)),), stop, 5, "made-up")


def step_of(prompt: str) -> str:
    if prompt == shipped_prompts("tiny").caption():
        return "caption"
    return "pseudo_cot" if "under the heading Caption" in prompt else "describe"


def misread_facts(facts: Facts, rng: random.Random) -> Facts:
    rows = [list(row) for row in facts.rows]
    rows[0][rng.randrange(len(rows[0]))] = rng.randrange(10)
    return Facts(facts.layout, tuple(map(tuple, rows)), facts.heights, facts.shapes)


class FakeMllm:
    """Reads scenes exactly, but for a share of misreadings; every request is remembered."""

    def __init__(self, misread: float = 0.0, change: Callable[[str, str, str], str | None] | None = None):
        self.misread, self.change, self.asked = misread, change, []

    def __call__(self, requests):
        replies = []
        for request in requests:
            self.asked.append(request)
            step, facts = step_of(request.question), facts_of(request.media[0].scene)
            rng = random.Random(request.id + step)
            if step == "describe" and rng.random() < self.misread:
                facts = misread_facts(facts, rng)
            reading = f"Caption: {caption(facts)}\nReasoning: The image reads {transcript(facts)}."
            text = {"caption": caption(facts), "pseudo_cot": reading, "describe": description(facts)}[step]
            changed = self.change(step, request.id, request.question) if self.change else None
            replies.append(trace(text if changed is None else changed, problem_id=request.id))
        return replies

    def mllm(self) -> Mllm:
        return Mllm(self, lambda text: len(text.split()))


def tiny_problems(n: int = 90, seed: int = 5):
    return make_problems(TinyWorldData(split="train", n=n, seed=seed))
