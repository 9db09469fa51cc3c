"""Problems to traces with the model in this process; `rollout.complete` does the work."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from vision_r1.core.seeds import derive_seed
from vision_r1.models.encode import encode_prompts, forbidden_tokens
from vision_r1.models.load import LoadedModel
from vision_r1.rollout.complete import complete_groups
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.group import Completion, ContextError, Group, check_context
from vision_r1.rollout.memory import Budget
from vision_r1.rollout.request import Request
from vision_r1.rollout.row import Drawing
from vision_r1.rollout.sampling import warp_of
from vision_r1.rollout.stops import cut_text
from vision_r1.rollout.trace import Segment, Trace

# Of requests whose patches are in memory together.
ENCODED_AT_A_TIME, PATCH_BYTES = 1024, 2**30


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
    completion does not depend on its neighbours in the batch but for rounding.

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
        InputError: a prompt longer than the model's context or the token budget, or images and marks that
            differ.
        CollapseError: logits that are not finite, naming the problem and the position.
    """
    traces: list[Trace] = []
    for part, groups in _encoded(loaded, requests, sampling, seed):
        traces += _complete(loaded, part, groups, sampling, seed, on_batch, skip_long)
    return traces


def _encoded(
    loaded: LoadedModel, requests: Sequence[Request], sampling: Sampling, seed: int
) -> Iterator[tuple[list[Request], list[Group]]]:
    """Requests with their groups, as many at a time as their patches have room."""
    part: list[Request] = []
    groups: list[Group] = []
    held = 0
    for request in requests:
        group = group_of(loaded, request, sampling, seed)
        part.append(request)
        groups.append(group)
        held += 0 if group.pixels is None else group.pixels.nbytes
        if held > PATCH_BYTES or len(part) == ENCODED_AT_A_TIME:
            yield part, groups
            part, groups, held = [], [], 0
    if part:
        yield part, groups


def _complete(
    loaded: LoadedModel,
    requests: Sequence[Request],
    groups: Sequence[Group],
    sampling: Sampling,
    seed: int,
    on_batch: Callable[[int], None],
    skip_long: bool,
) -> list[Trace]:
    errors: dict[int, str] = {}
    if skip_long:
        for index, group in enumerate(groups):
            try:
                check_context(loaded.model, len(group.ids), max(group.caps), group.where)
            except ContextError as error:
                errors[index] = error.what
                on_batch(1)
    fitting = [index for index in range(len(groups)) if index not in errors]
    found = complete_groups(
        loaded.model,
        [groups[index] for index in fitting],
        drawing_of(loaded, sampling),
        Budget(sampling.batch_size, sampling.token_budget),
        lambda _: on_batch(1),
    )
    completions = dict(zip(fitting, found, strict=True))
    settings = {**sampling.model_dump(), "seed": seed}
    traces = []
    for index, (request, group) in enumerate(zip(requests, groups, strict=True)):
        for sample in range(sampling.n):
            if index in errors:
                trace = Trace(request.id, sample, (), "error", 0, loaded.name, settings, error=errors[index])
            else:
                written = completions[index][sample]
                segment = _segment(loaded.processor, written, sampling.stop)
                trace = Trace(
                    request.id, sample, (segment,), written.stop, len(group.ids), loaded.name, settings
                )
            traces.append(trace)
    return traces


def group_of(loaded: LoadedModel, request: Request, sampling: Sampling, seed: int) -> Group:
    """A request with its prompt encoded and its noise keyed. Raises InputError, naming the problem."""
    where = f"problem {request.id}"
    pictures = [media.load() for media in request.media]
    batch = encode_prompts(loaded.processor, [request.question], [pictures], [where], [request.history])
    cap = request.max_new_tokens or sampling.max_new_tokens
    return Group(
        where=where,
        ids=batch["input_ids"][0].tolist(),
        pixels=batch.get("pixel_values"),
        grids=batch.get("image_grid_thw"),
        seeds=[derive_seed(seed, request.id, index) for index in range(sampling.n)],
        caps=[cap] * sampling.n,
        stops=sampling.stop,
        images=tuple(media.key for media in request.media),
    )


def drawing_of(loaded: LoadedModel, sampling: Sampling) -> Drawing:
    """How the sampling settings draw from a model's logits."""
    config = SimpleNamespace(
        temperature=sampling.temperature or 1.0,
        top_p=sampling.top_p,
        top_k=0,
        min_p=None,
        repetition_penalty=1.0,
    )
    tokenizer = loaded.processor.tokenizer
    return Drawing(
        warp=warp_of(config, forbidden_tokens(loaded.processor)),
        eos=frozenset([tokenizer.eos_token_id]),
        greedy=sampling.temperature == 0,
        decode=functools.partial(tokenizer.decode, skip_special_tokens=True),
    )


def _segment(processor: Any, written: Completion, stops: Sequence[str]) -> Segment:
    text = processor.tokenizer.decode(written.ids, skip_special_tokens=True)
    if written.stop == "stop_string":
        text = cut_text(text, stops)
    return Segment("model", text, tuple(written.ids), logprobs=tuple(written.logprobs))
