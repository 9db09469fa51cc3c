"""Problems to traces with the model in this process, through transformers' `generate`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from vision_r1.core.errors import InputError
from vision_r1.core.seeds import derive_seed
from vision_r1.models.load import LoadedModel, encode_prompts, forbidden_tokens
from vision_r1.problems.problem import Media
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.trace import Segment, StopReason, Trace


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt to complete."""

    id: str
    question: str
    media: tuple[Media, ...] = ()


def generate(
    loaded: LoadedModel,
    requests: Sequence[Request],
    sampling: Sampling,
    seed: int,
    on_batch: Callable[[int], None] = lambda done: None,
) -> list[Trace]:
    """Complete each request `sampling.n` times.

    Requests are batched by their place in the sequence, and a batch's random numbers depend on
    the seed and on its first request, so that a resumed call over the rest gives the same
    completions as long as it starts at a multiple of the batch.

    Returns:
        Traces, `n` for each request, in order.

    Raises:
        InputError: a prompt longer than the model's context, or images and marks that differ.
    """
    per_batch = max(1, sampling.batch_size // sampling.n)
    traces: list[Trace] = []
    for start in range(0, len(requests), per_batch):
        chunk = requests[start : start + per_batch]
        traces += _complete(loaded, chunk, sampling, derive_seed(seed, chunk[0].id))
        on_batch(len(chunk))
    return traces


def _complete(loaded: LoadedModel, chunk: Sequence[Request], sampling: Sampling, seed: int) -> list[Trace]:
    pictures: list[list[Image.Image]] = [[media.load() for media in request.media] for request in chunk]
    inputs = encode_prompts(
        loaded.processor, [r.question for r in chunk], pictures, [f"problem {r.id}" for r in chunk]
    )
    lengths = inputs["attention_mask"].sum(1).tolist()
    check_context(loaded, max(lengths), sampling.max_new_tokens, chunk[lengths.index(max(lengths))].id)
    output = _generate(loaded, inputs, sampling, seed)
    settings = {**sampling.model_dump(), "seed": seed}
    traces = []
    for row, ids in enumerate(output[:, inputs["input_ids"].shape[1] :].tolist()):
        request = chunk[row // sampling.n]
        segment, stop = _segment(loaded.processor, ids)
        traces.append(
            Trace(
                request.id, row % sampling.n, (segment,), stop, lengths[row // sampling.n], loaded.name, settings
            )
        )
    return traces


def _generate(loaded: LoadedModel, inputs: dict[str, torch.Tensor], sampling: Sampling, seed: int) -> Any:
    tokenizer = loaded.processor.tokenizer
    options: dict[str, Any] = {
        "max_new_tokens": sampling.max_new_tokens,
        "do_sample": sampling.temperature > 0,
        "num_return_sequences": sampling.n,
        "suppress_tokens": forbidden_tokens(loaded.processor),
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if sampling.temperature > 0:
        options |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    device = next(loaded.model.parameters()).device
    torch.manual_seed(seed)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return loaded.model.generate(**{k: v.to(device) for k, v in inputs.items()}, **options)


def _segment(processor: Any, ids: list[int]) -> tuple[Segment, StopReason]:
    """Cut at the end-of-sequence token; without one the completion was truncated."""
    eos = processor.tokenizer.eos_token_id
    stop: StopReason = "eos" if eos in ids else "length"
    if stop == "eos":
        ids = ids[: ids.index(eos) + 1]
    return Segment("model", processor.tokenizer.decode(ids, skip_special_tokens=True), tuple(ids)), stop


def check_context(loaded: LoadedModel, prompt: int, completion: int, problem: str) -> None:
    """Refuse a prompt and cap that do not fit the model's positions together."""
    text = getattr(loaded.model.config, "text_config", loaded.model.config)
    room = int(text.max_position_embeddings)
    if prompt + completion > room:
        raise InputError(
            f"prompt of {prompt} tokens and a cap of {completion} exceed the context of {room}",
            where=f"problem {problem}",
            fix="lower the cap, shorten the question or shrink its images",
        )
