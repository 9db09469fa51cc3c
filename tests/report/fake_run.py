"""A realistic run directory, made of numbers from a formula; nothing in it was measured."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from vision_r1.core.files import write_json, write_jsonl

FAMILIES = ("sum", "sum_minus_largest", "top_minus_bottom_largest", "bars_taller", "count_even", "order")
ACCURACY = {"base": 0.26, "base_think": 0.19, "cold_start": 0.34, "ptst_1": 0.58, "vision_r1": 0.69}
TOKENS = {"base": 3.1, "base_think": 41.0, "cold_start": 96.0, "ptst_1": 44.0, "vision_r1": 62.0}
CONFIG = """\
recipe: vision-r1
seed: 0
stages:
  construct: {rows: 3000, answer_to_mllm: true, answer_to_reasoner: false}
  sft: {learning_rate: 0.001, max_epochs: 12}
  rl:
    beta: 0.01
    epsilon: 0.2
    reward: hfrrf
    schedule:
    - {name: ptst_1, max_completion_length: 96, group_size: 16, steps: 60, learning_rate: 0.0003}
    - {name: ptst_2, max_completion_length: 192, group_size: 8, steps: 60, learning_rate: 0.0003}
"""
VERSIONS = {
    "vision_r1": "0.1.0",
    "python": "3.11.2",
    "torch": "2.13.0",
    "transformers": "5.23.0",
    "trl": "1.16.0",
}


def make_run(root: Path, problems: int = 240, seed: int = 0, shift: float = 0.0) -> Path:
    """Write a whole finished run to `root`; `shift` moves the final accuracy."""
    rng = random.Random(seed)
    accuracy = {**ACCURACY, "vision_r1": ACCURACY["vision_r1"] + shift}
    root.mkdir(parents=True, exist_ok=True)
    (root / "config.yaml").write_text(CONFIG, encoding="utf-8")
    info = {
        "recipe": "vision-r1",
        "scale": "tiny",
        "seed": seed,
        "versions": VERSIONS,
        "created": "2025-11-20 20:18",
    }
    write_json(root / "run.json", info)
    events = [
        {"time": "20:20:01", "event": "start"},
        {"time": "20:29:13", "event": "dial", "key": "steps", "to": 60},
    ]
    write_jsonl(root / "events.jsonl", events)
    summary = _construct(root / "stages" / "construct", rng)
    _sft(root / "stages" / "sft", rng)
    _grpo(root / "stages" / "ptst_1", rng, 0.30, 0.55, 96, 16)
    _grpo(root / "stages" / "ptst_2", rng, 0.55, 0.70, 192, 8)
    variants = _evaluate(root / "stages" / "evaluate", rng, accuracy, problems)
    write_json(root / "results.json", _results(variants, summary, seed))
    return root


def _done(stage: Path, seconds: float, summary: dict[str, Any]) -> None:
    write_json(stage / "summary.json", summary)
    write_json(stage / "done.json", {"seconds": seconds, "peak_rss_mb": 1830, "summary": summary})


def picture(path: Path, digits: Sequence[int]) -> None:
    """A small grey picture with digits in a row."""
    image = Image.new("L", (28 * len(digits), 28), 255)
    draw = ImageDraw.Draw(image)
    for place, digit in enumerate(digits):
        draw.text((28 * place + 9, 7 + digit % 4), str(digit), fill=20)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def _construct(stage: Path, rng: random.Random) -> dict[str, Any]:
    rows = []
    reasons = ("wrong_answer", "loop", "no_think", "contradiction", "unparseable")
    for index in range(400):
        digits = [rng.randrange(10) for _ in range(4)]
        kept = index % 4 != 3
        fault = "none" if kept else rng.choice(["wrong", "loop", "broken_form", "contradiction"])
        reading = " ".join(map(str, digits))
        thought = f"<think> Let me look. The numbers are {reading}. Wait, check again. Total {sum(digits)}. </think>"
        picture(stage / "images" / f"{index:04d}.png", digits) if index < 12 else None
        rows.append({
            "id": f"c{index}", "question": "What is the sum of all numbers?", "answer": str(sum(digits)),
            "family": "sum", "image": f"images/{index:04d}.png", "caption": "The image shows a row of 4 handwritten numbers.",
            "pseudo_cot": f"# Image\nnumbers {reading}\n# Thought\nadd them", "description": f"From left to right, the numbers are {reading}.",
            "reasoner_text": thought, "kept": kept, "reason": "" if kept else rng.choice(reasons),
            "rule": None, "rewritten": index % 3 == 0, "final_text": f"{thought}<answer> {sum(digits)} </answer>", "fault": fault,
        })  # fmt: skip
    write_jsonl(stage / "traces.jsonl", rows)
    summary = {
        "n": 3000, "kept": 2187, "keep_rate": {"count": 2187, "n": 3000, "share": 0.729, "ci95": [0.713, 0.745]},
        "reasons": {"wrong_answer": 512, "loop": 141, "no_think": 88, "contradiction": 60, "unparseable": 12},
        "rules": {
            "wrong_answer": {"dropped": 512, "fired": 530, "precision": 0.98, "recall": 0.995, "meant_for": ["wrong", "no_facts"]},
            "loop": {"dropped": 141, "precision": 1.0, "recall": 0.94},
            "contradiction": {"dropped": 60, "precision": 0.91, "recall": 0.52},
            "no_think": {"dropped": 88, "precision": 1.0, "recall": 1.0},
        },
        "leak_test": {"n": 200, "arms": {"wrong": {"returns_wrong": {"count": 3, "n": 200, "share": 0.015, "ci95": [0.005, 0.043]}, "unusable": 4}}},
        "caption_control": {"caption": {"count": 8, "n": 200, "share": 0.04, "ci95": [0.02, 0.08]}, "description": {"count": 162, "n": 200, "share": 0.81, "ci95": [0.75, 0.86]}},
        "reflection_words": {"rows": 2187, "counts": {"Wait": 5120, "Hmm": 740, "Mistake": 311, "Alternatively": 1290, "Check": 1876}},
    }  # fmt: skip
    _done(stage, 94.2, summary)
    return summary


def _sft(stage: Path, rng: random.Random) -> None:
    rows = []
    for step in range(1, 241):
        row = {
            "step": step,
            "steps": 400,
            "loss": 2.2 * math.exp(-step / 60) + 0.18 + rng.random() * 0.03,
            "learning_rate": 1e-3,
            "seconds": step * 0.9,
        }
        if step % 20 == 0:
            row["val_loss"] = 2.1 * math.exp(-step / 60) + 0.2
        rows.append(row)
    write_jsonl(stage / "log.jsonl", rows)
    _done(stage, 221.0, {"steps": 240, "stopped": "levelled_off", "rows": 2187})


def _grpo(stage: Path, rng: random.Random, low: float, high: float, cap: int, group: int) -> None:
    rows, samples = [], []
    for step in range(1, 61):
        part = 1 - math.exp(-step / 25)
        reward = low + (high - low) * part + rng.uniform(-0.06, 0.06)
        rows.append({
            "step": step, "steps": 60, "reward": reward, "reward_std": 0.35, "zero_variance_share": 0.1 + 0.25 * part + rng.uniform(0, 0.1),
            "truncation_rate": max(0.0, 0.3 * (1 - part) + rng.uniform(-0.02, 0.02)), "format_rate": min(1.0, 0.7 + 0.3 * part),
            "accuracy": reward + 0.02, "mean_tokens": cap * (0.85 - 0.35 * part) + rng.uniform(-3, 3), "entropy": 0.4 * (1.2 - part),
            "kl": 0.02 * part + rng.random() * 0.002, "loss": 0.01, "grad_norm": 0.4, "learning_rate": 3e-4, "seconds": 3.1 * step,
            "reasons": {"right": int(128 * reward), "wrong": int(100 * (1 - reward)), "length": 5, "format:no_answer": 2},
        })  # fmt: skip
        if step % 10 == 0:
            samples += [
                {
                    "step": step, "problem_id": f"p{i}", "question": "What is the sum of all numbers?", "answer": "17",
                    "completion": "<think> The numbers are 3 5 2 7. 3+5=8. 8+2=10. 10+7=17. </think><answer> 17 </answer>",
                    "reward": float(i % 2), "reason": "right" if i % 2 else "length", "stop_reason": "eos" if i % 2 else "length", "tokens": 30 + i,
                }
                for i in range(4)
            ]  # fmt: skip
    write_jsonl(stage / "log.jsonl", rows)
    write_jsonl(stage / "samples.jsonl", samples)
    _done(
        stage,
        190.4,
        {
            "steps": 60,
            "stopped": "finished",
            "max_completion_length": cap,
            "group_size": group,
            "reference": "stage_start",
        },
    )


def thought(variant: str, digits: Sequence[int], said: int) -> str:
    """What a variant writes."""
    if variant == "base":
        return str(said)
    steps, total = [], 0
    for digit in digits:
        steps.append(f"{total}+{digit}={total + digit}")
        total += digit
    again = " Wait, let me check the second number again. Hmm, it is right." * (
        3 if variant == "cold_start" else 1
    )
    return f"<think> The numbers are {' '.join(map(str, digits))}.{again} {'. '.join(steps)}. </think><answer> {said} </answer>"


def _evaluate(stage: Path, rng: random.Random, accuracy: dict[str, float], problems: int) -> dict[str, Any]:
    variants: dict[str, Any] = {}
    scenes = [[rng.randrange(10) for _ in range(rng.choice([4, 5]))] for _ in range(problems)]
    luck = [rng.random() for _ in range(problems)]
    for index in range(min(60, problems)):
        picture(stage / "images" / f"k{index}.png", scenes[index])
    for variant, goal in accuracy.items():
        rows = []
        for index, digits in enumerate(scenes):
            right = 0.7 * luck[index] + 0.3 * rng.random() < 0.15 + 0.7 * goal
            said = sum(digits) if right else sum(digits) + rng.choice([-2, -1, 1, 3])
            truncated = not right and variant == "cold_start" and rng.random() < 0.5
            text = thought(variant, digits, said)
            rows.append({
                "problem_id": f"test-{index:04d}", "family": FAMILIES[index % 6], "level": len(digits), "question": "What is the sum of all numbers in the picture?",
                "answer": str(sum(digits)), "decoding": "greedy", "sample_index": 0, "text": text[:120] if truncated else text,
                "stop_reason": "length" if truncated else "eos", "tokens": int(TOKENS[variant] + rng.randrange(9)), "correct": right,
                "status": "right" if right else "wrong", "extracted": str(said), "format_ok": variant != "base" and not truncated, "image_key": f"k{index}",
            })  # fmt: skip
        write_jsonl(stage / variant / "traces.jsonl", rows)
        variants[variant] = _scores(variant, rows)
    _done(stage, 140.0, {"variants": list(accuracy)})
    return variants


def _ci(p: float, n: int) -> list[float]:
    half = 1.96 * math.sqrt(p * (1 - p) / n)
    return [max(0.0, p - half), min(1.0, p + half)]


def _scores(variant: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    n = len(rows)
    accuracy = sum(row["correct"] for row in rows) / n
    families = {f: [row["correct"] for row in rows if row["family"] == f] for f in FAMILIES}
    tokens = TOKENS[variant]
    edges = [0, 24, 48, 72, 96, 128, None]
    shares = [math.exp(-(((a + 12) - tokens) ** 2) / 900) + 0.02 for a in edges[:-1]]
    buckets = [
        {"from": a, "to": b, "share": s / sum(shares), "accuracy": max(0.02, accuracy + 0.2 - 0.07 * i)}
        for i, (a, b, s) in enumerate(zip(edges, edges[1:], shares, strict=False))
    ]
    pass_8 = min(0.97, accuracy + 0.2)
    return {
        "accuracy": accuracy, "ci95": _ci(accuracy, n), "pass_at_8": pass_8, "pass_at_8_ci95": _ci(pass_8, n),
        "pass_at_1_sampled": accuracy - 0.02, "pass_at_1_sampled_ci95": _ci(accuracy - 0.02, n), "sampled_n": 8,
        "format_rate": sum(row["format_ok"] for row in rows) / n,
        "truncation_rate": sum(row["stop_reason"] == "length" for row in rows) / n,
        "accuracy_finished": accuracy + 0.01, "mean_tokens": tokens, "n": n,
        "by_family": {f: {"accuracy": sum(c) / len(c), "n": len(c)} for f, c in families.items()},
        "by_length": buckets, "prompt": "direct" if variant == "base" else "think",
    }  # fmt: skip


def _results(variants: dict[str, Any], construct: dict[str, Any], seed: int) -> dict[str, Any]:
    held = {
        name: {"accuracy": v["accuracy"] - 0.06, "ci95": _ci(v["accuracy"] - 0.06, 200), "n": 200}
        for name, v in variants.items()
    }
    large = {
        name: {"accuracy": v["accuracy"] * 0.5, "ci95": _ci(v["accuracy"] * 0.5, 200), "n": 200}
        for name, v in variants.items()
    }
    return {
        "variants": variants, "generalisation": {"held_out_family": held, "larger": large},
        "image_use": {
            "blank": {"accuracy": 0.05, "ci95": _ci(0.05, 200), "n": 200},
            "swapped": {"follows_new": 0.66, "keeps_old": 0.04, "ci95": _ci(0.66, 200), "n": 200},
            "question_only": {"accuracy": 0.11, "ci95": _ci(0.11, 200), "n": 200, "how": "most frequent answer to each question"},
        },
        "construct": construct, "caps": {"ptst_1": 96, "ptst_2": 192, "evaluate": 384},
        "seconds": {"construct": 94.2, "sft": 221.0, "ptst_1": 190.4, "ptst_2": 190.4, "evaluate": 140.0},
        "peak_rss_mb": 1830, "seed": seed, "versions": VERSIONS,
    }  # fmt: skip


def evil_rows(path: Path, key: str, text: str) -> None:
    """Put `text` under `key` of every row of a JSON Lines file."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(json.dumps({**row, key: text}) + "\n" for row in rows), encoding="utf-8")
