"""Rollouts alone: ours against transformers' `generate` in turns, and against vLLM where it is installed.

Both get the same encoded prompts, which are not timed. `generate` gets each prompt once per completion, as
TRL hands it over.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ours
import peer_trl
import torch
from step_times import rate, ratios
from workloads import PROMPTS, WORKLOADS, Workload, rows

GOAL = 4.0
VLLM_GOAL = 1.0
NAMES = ("W2", "W4")
Complete = Callable[[int], list[list[int]]]  # the number of a step -> completions of its prompts, in order


def measure(workload: Workload, rounds: int, folder: Path) -> dict[str, Any]:
    """A warm-up and `rounds` timed steps of each side. Raises RuntimeError if lengths are not the table's."""
    sides: dict[str, Complete] = {
        "ours": ours.completer(workload, 1 + rounds, folder),
        "peer": peer_trl.completer(workload, 1 + rounds, folder),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    tokens: dict[str, list[int]] = {side: [] for side in sides}
    for number in range(1 + rounds):
        for side in list(sides) if number % 2 == 0 else list(sides)[::-1]:
            start = time.perf_counter()
            completions = sides[side](number)
            seconds[side].append(time.perf_counter() - start)
            lengths = [len(ids) for ids in completions]
            if lengths != workload.lengths(number).ravel().tolist():
                raise RuntimeError(f"{workload.name}: {side} made completions of {lengths} tokens")
            tokens[side].append(sum(lengths))
    seconds, tokens = ({side: each[1:] for side, each in found.items()} for found in (seconds, tokens))
    return {
        "workload": f"{workload.name} rollouts",
        "goal": GOAL,
        **ratios(seconds),
        "tokens_per_s": {side: rate(tokens[side], seconds[side]) for side in sides},
    }


def vllm(python: str, workload: Workload, rounds: int, folder: Path, threads: int) -> dict[str, Any]:
    """Tokens a second of vLLM in a process of its environment, on the same model, prompts and lengths."""
    from transformers import AutoTokenizer

    asked = rows(workload, 1 + rounds, AutoTokenizer.from_pretrained(folder))
    with tempfile.TemporaryDirectory() as work:
        place = Path(work)
        for number, row in enumerate(asked):
            (place / f"{number}.png").write_bytes(row.png)
        steps = [
            [
                {"question": row.question, "image": str(place / f"{number}.png"), "lengths": lengths}
                for number, (row, lengths) in enumerate(
                    zip(asked[step * PROMPTS :][:PROMPTS], workload.lengths(step).tolist(), strict=True),
                    start=step * PROMPTS,
                )
            ]
            for step in range(1 + rounds)
        ]
        job = {"model": str(folder), "steps": steps, "context": 2048, "rows": workload.rows}
        (place / "job.json").write_text(json.dumps(job), encoding="utf-8")
        script = str(Path(__file__).parent / "vllm_rollouts.py")
        made = subprocess.run(
            [python, script, str(place / "job.json")],
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            capture_output=True,
            check=False,
            text=True,
        )
    if made.returncode:
        raise RuntimeError(f"vLLM failed: {made.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    return found


def part(rounds: int, folder: Path, threads: int, python: str | None) -> list[dict[str, Any]]:
    """The figures of both workloads."""
    torch.set_num_threads(threads)
    found = []
    for name in NAMES:
        figures = measure(WORKLOADS[name], rounds, folder)
        if python is None:
            figures["vllm"] = "not installed (--vllm PYTHON)"
        else:
            theirs = vllm(python, WORKLOADS[name], rounds, folder, threads)["tokens_per_s"]
            ratio = round(figures["tokens_per_s"]["ours"] / theirs, 3)
            figures["vllm"] = {"tokens_per_s": theirs, "ratio": ratio, "goal": VLLM_GOAL}
        found.append(figures)
    return found
