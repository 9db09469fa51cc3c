"""Rollouts on the tiny model: ours against transformers' `generate`, alternating, medians and ratios.

    python benchmarks/rollouts.py [--workload W2 ...] [--rounds 5] [--tail] [--json]

W2         4 prompts with a picture of 336x336, 16 completions each, 64 tokens
W4         4 prompts with a picture of 336x336, 8 completions each, most under 64 tokens, some up to 512
flat       64 prompts with a picture of 112x112, one completion of 128 tokens each
--tail     seconds of one decoding step with 1, 2, 4 and 8 rows alive
--compile  the same step plain and through torch.compile, with the time to compile

Lengths are forced by one seeded rule on both sides: the end of sequence has probability 0 before a
completion's length, and it ends there. Both sides sample at temperature 1 from the same weights in float32,
each from a copy of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import LogitsProcessor, LogitsProcessorList

from vision_r1.core.seeds import derive_seed
from vision_r1.models.encode import encode_prompts, forbidden_tokens
from vision_r1.models.load import LoadedModel, load_model
from vision_r1.rollout.block import Block
from vision_r1.rollout.complete import Usage, complete_groups
from vision_r1.rollout.decoder import Decoder
from vision_r1.rollout.group import Group
from vision_r1.rollout.memory import Budget
from vision_r1.rollout.row import Drawing
from vision_r1.rollout.sampling import warp_of

MODEL = "tiny:base"
QUESTION = "Which of the shapes in the picture is the largest, and how many are there?"


@dataclass(frozen=True)
class Workload:
    """What is rolled out.

    Attributes:
        prompts: how many; each has a picture of its own.
        side: of the picture, in pixels.
        group: completions of each.
        lengths: from a random generator to the tokens of one completion.
        goal: the least ratio of tokens a second, ours to `generate`'s; None where it is no bar.
    """

    prompts: int
    side: int
    group: int
    lengths: Callable[[np.random.Generator], int]
    goal: float | None


def long_tail(generator: np.random.Generator) -> int:
    """Seven of eight under 64 tokens, the others up to 512."""
    return int(generator.integers(8, 64) if generator.random() < 0.875 else generator.integers(256, 513))


WORKLOADS = {
    "W2": Workload(4, 336, 16, lambda _: 64, 4.0),
    "W4": Workload(4, 336, 8, long_tail, 4.0),
    "flat": Workload(64, 112, 1, lambda _: 128, None),
}


@dataclass(frozen=True)
class Prepared:
    """A workload for one model: prompts padded for `generate`, groups for ours, lengths of completions."""

    loaded: LoadedModel
    inputs: dict[str, torch.Tensor]
    groups: list[Group]
    lengths: list[int]


def prepare(workload: Workload, model: str = MODEL) -> Prepared:
    """Load the model, draw pictures and lengths, encode the prompts."""
    loaded = load_model(model)
    loaded.processor.image_processor.size = {"shortest_edge": 28 * 28, "longest_edge": 672 * 672}
    generator = np.random.default_rng(0)
    shape = (workload.prompts, workload.side, workload.side, 3)
    pictures = [[Image.fromarray(pixels)] for pixels in generator.integers(0, 256, shape).astype(np.uint8)]
    where = [f"prompt {index}" for index in range(workload.prompts)]
    inputs = encode_prompts(loaded.processor, [QUESTION] * workload.prompts, pictures, where)
    lengths = [workload.lengths(generator) for _ in range(workload.prompts * workload.group)]
    groups = []
    for index, name in enumerate(where):
        batch = encode_prompts(loaded.processor, [QUESTION], [pictures[index]], [name])
        members = range(index * workload.group, (index + 1) * workload.group)
        groups.append(
            Group(
                where=name,
                ids=batch["input_ids"][0].tolist(),
                pixels=batch["pixel_values"],
                grids=batch["image_grid_thw"],
                seeds=[derive_seed(0, name, member) for member in members],
                caps=[lengths[member] for member in members],
            )
        )
    return Prepared(loaded, inputs, groups, lengths)


class _Ends(LogitsProcessor):  # type: ignore[misc]
    """The rule for `generate`: no end before a row's length, nothing else at it."""

    def __init__(self, lengths: Sequence[int], prompt: int, end: int) -> None:
        self._last, self._end = torch.tensor(lengths) + prompt - 1, end

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        only = torch.full_like(scores, float("-inf"))
        only[:, self._end] = 0.0
        scores = scores.clone()
        scores[:, self._end] = float("-inf")
        return torch.where((input_ids.shape[1] >= self._last)[:, None], only, scores)


def ours(prepared: Prepared, budget: Budget | None = None, usage: Usage | None = None) -> int:
    """Tokens of all completions; the cap ends each where the rule says."""
    tokenizer = prepared.loaded.processor.tokenizer
    plain = SimpleNamespace(temperature=1.0, top_p=1.0, top_k=0, min_p=None, repetition_penalty=1.0)
    warp = warp_of(plain, [*forbidden_tokens(prepared.loaded.processor), tokenizer.eos_token_id])
    found = complete_groups(
        prepared.loaded.model, prepared.groups, Drawing(warp, frozenset()), budget, usage=usage
    )
    return sum(len(one.ids) for group in found for one in group)


def theirs(prepared: Prepared) -> int:
    """Tokens of all completions by transformers' `generate`."""
    tokenizer = prepared.loaded.processor.tokenizer
    width = prepared.inputs["input_ids"].shape[1]
    torch.manual_seed(0)
    with torch.inference_mode():
        prepared.loaded.model.generate(
            **prepared.inputs,
            max_new_tokens=max(prepared.lengths),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            num_return_sequences=len(prepared.lengths) // len(prepared.groups),
            suppress_tokens=forbidden_tokens(prepared.loaded.processor),
            logits_processor=LogitsProcessorList([_Ends(prepared.lengths, width, tokenizer.eos_token_id)]),
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    return sum(prepared.lengths)


def measure(workload: str, rounds: int = 5) -> dict[str, Any]:
    """Time both sides alternately.

    Args:
        workload: a name of `WORKLOADS`.
        rounds: of each side, after one that is not counted.

    Returns:
        Tokens a second of both sides (medians), their ratio round by round (median and spread), whether it
        reaches the workload's goal, the cache's size, rounds and threads.
    """
    # A model for each: ours sets the attention of its own to that of packed rows.
    mine, other = prepare(WORKLOADS[workload]), prepare(WORKLOADS[workload])
    usage = Usage()
    ours(mine, usage=usage), theirs(other)
    pairs = [(_rate(lambda: ours(mine)), _rate(lambda: theirs(other))) for _ in range(rounds)]
    ratios = sorted(a / b for a, b in pairs)
    goal, ratio = WORKLOADS[workload].goal, statistics.median(ratios)
    return {
        "ours_tokens_per_s": statistics.median(a for a, _ in pairs),
        "generate_tokens_per_s": statistics.median(b for _, b in pairs),
        "ratio": ratio,
        "ratio_spread": [ratios[0], ratios[-1]],
        "goal": goal,
        "reached": goal is None or ratio >= goal,
        "cache_peak_bytes": usage.cache_peak,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
    }


def _rate(function: Callable[[], int]) -> float:
    start = time.perf_counter()
    tokens = function()
    return tokens / (time.perf_counter() - start)


def _step_of(rows: int, prompt: int = 180, written: int = 256) -> Callable[[], torch.Tensor]:
    """One decoding step of so many rows, each of a prompt of its own, as in the tail of a rollout."""
    decoder = Decoder(load_model(MODEL).model, prompt + 4 * written)
    block = Block(
        decoder.shape,
        decoder.like,
        [prompt] * rows,
        [prompt] * rows,
        range(rows),
        [4 * written] * rows,
        False,
    )
    while block.written[0] < written:
        block.begin()
        block.end()
    block.begin()
    tokens = torch.zeros(rows, dtype=torch.long)
    return lambda: decoder.step(tokens, [block])


@torch.inference_mode()
def tail(rounds: int = 200) -> dict[str, float]:
    """Seconds of one decoding step, the median of many, by rows alive; drawing is not in it."""
    found = {}
    for rows in (1, 2, 4, 8):
        step = _step_of(rows)
        found[str(rows)] = statistics.median(_seconds(step) for _ in range(rounds))
    return found


@torch.inference_mode()
def compiled(rows: int = 64, rounds: int = 50) -> dict[str, float]:
    """Seconds to compile the step once, and of the step plain and compiled, the median of many."""
    step = _step_of(rows)
    fast = torch.compile(step)
    once = _seconds(fast)
    return {
        "compile_seconds": once,
        "plain_step": statistics.median(_seconds(step) for _ in range(rounds)),
        "compiled_step": statistics.median(_seconds(fast) for _ in range(rounds)),
    }


def _seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print; exit code 1 where a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workload", nargs="*", default=["W2", "W4"], choices=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tail", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result: dict[str, Any] = {name: measure(name, options.rounds) for name in options.workload}
    missed = any(not found["reached"] for found in result.values())
    if options.tail:
        result["tail_step_seconds"] = tail()
    if options.compile:
        result["compile"] = compiled()
    print(json.dumps(result, indent=None if options.json else 2))
    raise SystemExit(int(missed))


if __name__ == "__main__":
    main()
