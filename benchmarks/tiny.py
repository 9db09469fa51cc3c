"""Speed on the tiny model: ours against the peer's own code, alternating, medians and ratios.

    python benchmarks/tiny.py [--rounds 5] [--json]

rollouts   `rollout.in_process.generate` against transformers' `generate`: 8 problems x 16 completions,
           cap 96, temperature 1, the same model and prompts
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch

from vision_r1.models.load import encode_prompts, load_model
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.tiny_world import make_problems
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.in_process import Request, _generated, generate


def rollout_pair(model: str) -> tuple[Callable[[], int], Callable[[], int]]:
    """Two functions that complete the same prompts and return the number of tokens they made."""
    loaded = load_model(model)
    problems = make_problems(TinyWorldData(split="train", n=8))
    sampling = Sampling(max_new_tokens=96, temperature=1.0, n=16, batch_size=128)
    requests = [Request(p.id, p.question, p.media) for p in problems]

    def ours() -> int:
        return sum(trace.tokens for trace in generate(loaded, requests, sampling, 0))

    def theirs() -> int:
        pictures = [[media.load() for media in p.media] for p in problems]
        inputs = encode_prompts(loaded.processor, [p.question for p in problems], pictures, [""] * 8)
        eos = loaded.processor.tokenizer.eos_token_id
        rows = _generated(loaded, inputs, sampling, 0)
        return sum(row.index(eos) + 1 if eos in row else len(row) for row in rows)

    return ours, theirs


def rate(function: Callable[[], int]) -> float:
    """Tokens a second of one call."""
    start = time.perf_counter()
    tokens = function()
    return tokens / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="tiny:base")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ours, theirs = rollout_pair(options.model)
    ours(), theirs()
    pairs = [(rate(ours), rate(theirs)) for _ in range(options.rounds)]
    ratios = sorted(a / b for a, b in pairs)
    result = {
        "rollouts": {
            "ours_tokens_per_s": statistics.median(a for a, _ in pairs),
            "generate_tokens_per_s": statistics.median(b for _, b in pairs),
            "ratio": statistics.median(ratios),
            "ratio_spread": [ratios[0], ratios[-1]],
            "rounds": options.rounds,
            "threads": torch.get_num_threads(),
        }
    }
    print(json.dumps(result, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
