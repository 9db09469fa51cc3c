"""Problems to traces with the model in this process.

Qwen2.5-VL goes through `rollout.grouped`: each prompt is read once for all its completions, and
finished rows leave the batch. Any other family falls back to transformers' `generate`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from vision_r1.core.errors import InputError
from vision_r1.core.seeds import derive_seed
from vision_r1.models.load import LoadedModel, encode_prompts, forbidden_tokens
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.grouped import Warp, sample_groups, warp_of
from vision_r1.rollout.request import Request
from vision_r1.rollout.trace import Segment, StopReason, Trace


def generate(
    loaded: LoadedModel,
    requests: Sequence[Request],
    sampling: Sampling,
    seed: int,
    on_batch: Callable[[int], None] = lambda done: None,
    *,
    skip_long: bool = False,
) -> list[Trace]:
    """Complete each request `sampling.n` times.

    The noise of a completion is keyed by seed, request id, sample index and position, so a
    completion does not depend on its neighbours in the batch but for rounding (the fallback for
    other model families is keyed by batch).

    Args:
        loaded: the model.
        requests: prompts with unique ids.
        sampling: how to decode.
        seed: of the noise.
        on_batch: called with the number of requests that have just ended.
        skip_long: give a prompt that does not fit the context traces of stop reason `error` instead
            of raising.

    Returns:
        Traces, `n` for each request, in order.

    Raises:
        InputError: a prompt longer than the model's context, or images and marks that differ.
    """
    per_batch = max(1, sampling.batch_size // sampling.n)
    traces: list[Trace] = []
    for start in range(0, len(requests), per_batch):
        chunk = requests[start : start + per_batch]
        traces += (_complete_fitting if skip_long else _complete)(loaded, chunk, sampling, seed)
        on_batch(len(chunk))
    return traces


def _complete_fitting(
    loaded: LoadedModel, chunk: Sequence[Request], sampling: Sampling, seed: int
) -> list[Trace]:
    """As `_complete`; prompts that do not fit are found one by one, once a batch has refused."""
    try:
        return _complete(loaded, chunk, sampling, seed)
    except ContextError as error:
        if len(chunk) == 1:
            settings = {**sampling.model_dump(), "seed": seed}
            return [
                Trace(chunk[0].id, index, (), "error", 0, loaded.name, settings, error=error.what)
                for index in range(sampling.n)
            ]
    half = len(chunk) // 2
    return [
        trace
        for part in (chunk[:half], chunk[half:])
        for trace in _complete_fitting(loaded, part, sampling, seed)
    ]


def _complete(loaded: LoadedModel, chunk: Sequence[Request], sampling: Sampling, seed: int) -> list[Trace]:
    pictures: list[list[Image.Image]] = [[media.load() for media in request.media] for request in chunk]
    inputs = encode_prompts(
        loaded.processor, [r.question for r in chunk], pictures, [f"problem {r.id}" for r in chunk]
    )
    lengths = inputs["attention_mask"].sum(1).tolist()
    check_context(loaded, max(lengths), sampling.max_new_tokens, chunk[lengths.index(max(lengths))].id)
    device = next(loaded.model.parameters()).device
    inputs = {name: value.to(device) for name, value in inputs.items()}
    if loaded.model.config.model_type == "qwen2_5_vl":
        completions = _grouped(loaded, inputs, [r.id for r in chunk], sampling, seed)
    else:
        completions = _generated(loaded, inputs, sampling, derive_seed(seed, chunk[0].id))
    settings = {**sampling.model_dump(), "seed": seed}
    traces = []
    for row, ids in enumerate(completions):
        request = chunk[row // sampling.n]
        segment, stop = _segment(loaded.processor, ids)
        traces.append(
            Trace(
                request.id,
                row % sampling.n,
                (segment,),
                stop,
                lengths[row // sampling.n],
                loaded.name,
                settings,
            )
        )
    return traces


def _greedy_warp(warp: Warp) -> Warp:
    """Leave only the likeliest token."""

    def greedy(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        logits = warp(ids, logits)
        best = logits.argmax(-1, keepdim=True)
        return torch.full_like(logits, float("-inf")).scatter(1, best, 0.0)

    return greedy


def _grouped(
    loaded: LoadedModel, inputs: dict[str, torch.Tensor], ids: Sequence[str], sampling: Sampling, seed: int
) -> list[list[int]]:
    config = SimpleNamespace(
        temperature=sampling.temperature or 1.0,
        top_p=sampling.top_p,
        top_k=0,
        min_p=None,
        repetition_penalty=1.0,
    )
    warp = warp_of(config, forbidden_tokens(loaded.processor))
    noise = [
        np.random.default_rng(derive_seed(seed, name, index)).random(sampling.max_new_tokens)
        for name in ids
        for index in range(sampling.n)
    ]
    return sample_groups(
        loaded.model,
        inputs,
        torch.from_numpy(np.stack(noise)).to(inputs["input_ids"].device),
        warp=warp if sampling.temperature > 0 else _greedy_warp(warp),
        eos=[loaded.processor.tokenizer.eos_token_id],
    )


def _generated(
    loaded: LoadedModel, inputs: dict[str, torch.Tensor], sampling: Sampling, seed: int
) -> list[list[int]]:
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
    torch.manual_seed(seed)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        output = loaded.model.generate(**inputs, **options)
    completions: list[list[int]] = output[:, inputs["input_ids"].shape[1] :].tolist()
    return completions


def _segment(processor: Any, ids: list[int]) -> tuple[Segment, StopReason]:
    """Cut at the end-of-sequence token; without one the completion was truncated."""
    eos = processor.tokenizer.eos_token_id
    stop: StopReason = "eos" if eos in ids else "length"
    if stop == "eos":
        ids = ids[: ids.index(eos) + 1]
    return Segment("model", processor.tokenizer.decode(ids, skip_special_tokens=True), tuple(ids)), stop


class ContextError(InputError):
    """A prompt and its cap exceed the model's context."""


def check_context(loaded: LoadedModel, prompt: int, completion: int, problem: str) -> None:
    """Refuse a prompt and cap that do not fit the model's positions together."""
    text = getattr(loaded.model.config, "text_config", loaded.model.config)
    room = int(text.max_position_embeddings)
    if prompt + completion > room:
        raise ContextError(
            f"prompt of {prompt} tokens and a cap of {completion} exceed the context of {room}",
            where=f"problem {problem}",
            fix="lower the cap, shorten the question or shrink its images",
        )
