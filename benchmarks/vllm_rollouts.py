"""Tokens a second of vLLM in this process; runs in vLLM's own environment, called by `rollout_speed.vllm`.

    PYTHON benchmarks/vllm_rollouts.py JOB.json

A completion's length is fixed by `min_tokens`, `max_tokens` and `ignore_eos`, so it samples from all tokens
but has as many as on the other sides. Images are preprocessed inside its timing; its prefix and image caches
are on.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
TURN = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"


def requests(step: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[Any]]:
    """Each prompt once per completion, with its own length."""
    from PIL import Image
    from vllm import SamplingParams

    prompts, settings = [], []
    for row in step:
        image = Image.open(row["image"]).convert("RGB")
        prompt = {
            "prompt": TURN.format(IMAGE + row["question"]),
            "multi_modal_data": {"image": image},
        }
        prompts += [prompt] * len(row["lengths"])
        settings += [
            SamplingParams(temperature=1.0, ignore_eos=True, min_tokens=n, max_tokens=n)
            for n in row["lengths"]
        ]
    return prompts, settings


def main() -> None:
    """Measure and print one line of JSON."""
    from vllm import LLM

    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    model = LLM(
        job["model"],
        dtype="auto",
        max_model_len=job["context"],
        max_num_seqs=job["rows"],
        limit_mm_per_prompt={"image": 1, "video": 0},
    )
    rates = []
    for step in job["steps"]:
        prompts, settings = requests(step)
        start = time.perf_counter()
        outputs = model.generate(prompts, settings, use_tqdm=False)
        seconds = time.perf_counter() - start
        tokens = [len(output.outputs[0].token_ids) for output in outputs]
        assert tokens == [n for row in step for n in row["lengths"]], tokens
        rates.append(sum(tokens) / seconds)
    print(json.dumps({"tokens_per_s": round(statistics.median(rates[1:]), 1)}))


if __name__ == "__main__":
    main()
