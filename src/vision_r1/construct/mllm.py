"""The model that sees the images, loaded once and only if it is needed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vision_r1.construct.bridge import Generate
from vision_r1.construct.config import ConstructSettings
from vision_r1.core.seeds import derive_seed
from vision_r1.models.load import LoadedModel, load_model
from vision_r1.models.processor_load import load_processor
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.in_process import generate
from vision_r1.rollout.request import Request
from vision_r1.rollout.trace import Trace


@dataclass(frozen=True, slots=True)
class Mllm:
    """What construction needs of a model.

    Attributes:
        generate: completes requests, in order.
        count_tokens: length of a text in its tokens.
    """

    generate: Generate
    count_tokens: Callable[[str], int]


def in_process(settings: ConstructSettings, seed: int) -> Mllm:
    """The model that the settings name, in this process, decoding greedily.

    The weights are loaded at the first request, so that a run whose replies are all there loads
    the tokenizer only.

    Raises:
        InputError: the reference names no usable model.
    """
    processor = load_processor(settings.mllm)
    sampling = Sampling(max_new_tokens=settings.max_new_tokens, batch_size=settings.batch_size)

    @functools.cache
    def loaded() -> LoadedModel:
        return load_model(settings.mllm)

    def complete(requests: Sequence[Request]) -> list[Trace]:
        return generate(loaded(), requests, sampling, derive_seed(seed, "mllm"))

    def count(text: str) -> int:
        return len(processor.tokenizer(text, add_special_tokens=False)["input_ids"])

    return Mllm(complete, count)
