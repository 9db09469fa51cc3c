"""SFT steps of both sides on rows of mixed lengths, and LLaMA-Factory's neat packing where installed."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from side import Job, Steps, alternate
from step_times import cpu_seconds, most, rate, ratios
from workloads import LEARNING_RATE, SftLoad, answered

CLOSE = 1e-4  # between the losses of a step, which has the same rows on both sides
PACKING_GOAL = 1.2
PACK = 4096  # tokens of a row of LLaMA-Factory's


def measure(load: SftLoad, rounds: int, folder: Path, threads: int) -> dict[str, Any]:
    """A warm-up step and `rounds` timed ones of each side, in turns.

    Raises:
        RuntimeError: the sides saw different numbers of tokens, or their first losses differ.
    """
    ours, peer = (Job(side, "sft", (load,), 1 + rounds, folder, threads) for side in ("ours", "peer"))
    (steps,) = alternate(ours, peer)
    apart = check(steps)
    timed = {side: reports[1:] for side, reports in steps.items()}
    seconds = {side: [report["seconds"] for report in reports] for side, reports in timed.items()}
    lengths = load.lengths(1 + rounds)
    tokens = [sum(lengths[n : n + load.batch]) for n in range(load.batch, len(lengths), load.batch)]
    return {
        "workload": load.name,
        "goal": load.goal,
        **ratios(seconds),
        "cpu_seconds": cpu_seconds(timed),
        "answer_tokens": tokens,
        "tokens_per_s": {side: rate(tokens, seconds[side]) for side in seconds},
        "memory_mib": {side: round(most(reports) / 2**20) for side, reports in steps.items()},
        "agreement": {"loss": apart},
    }


def check(steps: Steps) -> float:
    """The largest difference of the losses of a step."""
    seen = {side: [report["logs"]["num_tokens"] for report in reports] for side, reports in steps.items()}
    if seen["ours"] != seen["peer"]:
        raise RuntimeError(f"sft: the sides saw different numbers of tokens: {seen}")
    pairs = zip(steps["ours"], steps["peer"], strict=True)
    apart = max(abs(a["logs"]["loss"] - b["logs"]["loss"]) for a, b in pairs)
    if not apart <= CLOSE:
        raise RuntimeError(f"sft: the losses differ by {apart}")
    return apart


def llama_factory(
    python: str, load: SftLoad, rounds: int, folder: Path, threads: int, seconds: float
) -> dict[str, Any]:
    """Seconds that LLaMA-Factory takes for the same rows with `neat_packing`, for a step of ours.

    Args:
        python: of its environment; `llamafactory-cli` lies beside it.
        load: as of `measure`.
        rounds: as many steps' rows are trained on, in one epoch.
        folder: of the model.
        threads: of torch.
        seconds: of a step of ours.
    """
    from transformers import AutoTokenizer

    rows = answered(load, rounds, AutoTokenizer.from_pretrained(folder))
    with tempfile.TemporaryDirectory() as work:
        place = Path(work)
        data = []
        for number, row in enumerate(rows):
            path = place / f"{number}.png"
            path.write_bytes(row.png)
            turns = [("human", "<image>" + row.question), ("gpt", row.answer)]
            data.append(
                {
                    "conversations": [{"from": who, "value": text} for who, text in turns],
                    "images": [str(path)],
                }
            )
        (place / "rows.json").write_text(json.dumps(data), encoding="utf-8")
        columns = {"messages": "conversations", "images": "images"}
        info = {"rows": {"file_name": "rows.json", "formatting": "sharegpt", "columns": columns}}
        (place / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
        (place / "run.yaml").write_text(json.dumps(_settings(folder, place)), encoding="utf-8")
        made = subprocess.run(
            [str(Path(python).parent / "llamafactory-cli"), "train", str(place / "run.yaml")],
            env=os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            check=False,
            text=True,
        )
        if made.returncode:
            raise RuntimeError(f"LLaMA-Factory failed: {made.stderr[-2000:]}")
        results = json.loads((place / "out" / "all_results.json").read_text(encoding="utf-8"))
    theirs = results["train_runtime"] / rounds
    return {"seconds": round(theirs, 3), "ratio": round(theirs / seconds, 3), "goal": PACKING_GOAL}


def _settings(folder: Path, place: Path) -> dict[str, Any]:
    return {
        "stage": "sft",
        "do_train": True,
        "model_name_or_path": str(folder),
        "template": "qwen2_vl",
        "finetuning_type": "full",
        "freeze_vision_tower": False,
        "freeze_multi_modal_projector": False,
        "dataset_dir": str(place),
        "dataset": "rows",
        "output_dir": str(place / "out"),
        "cutoff_len": PACK,
        "packing": True,
        "neat_packing": True,
        "flash_attn": "sdpa",
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 1,
        "num_train_epochs": 1,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "constant",
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_gradient_checkpointing": True,
        "preprocessing_num_workers": 1,
        "overwrite_output_dir": True,
    }


def part(rounds: int, folder: Path, threads: int, python: str | None) -> list[dict[str, Any]]:
    """The figures of SFT."""
    load = SftLoad()
    figures = measure(load, rounds, folder, threads)
    if python is None:
        figures["llama_factory"] = "not installed (--llamafactory PYTHON)"
    else:
        figures["llama_factory"] = llama_factory(
            python, load, rounds, folder, threads, figures["seconds"]["ours"]
        )
    return [figures]
