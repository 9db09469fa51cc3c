"""A random model of a few thousand weights, problems and settings for the tests of `train`."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

from vision_r1.models.tiny import Size, build_config, build_model, build_processor, train_tokenizer
from vision_r1.problems.chat import ChatRow
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.problem import Problem
from vision_r1.problems.tiny_world import make_problems
from vision_r1.train.config import GrpoSettings, Guard, PtstStage, SftSettings

SIZE = Size(32, 64, 2, 2, 32, 64, 1)
TEXTS = ["system You are a helpful assistant. user What is the sum of the numbers? assistant"] * 20
NEVER = Guard(patience=10_000)
REWARD = """
def parity(completion, problem, stop_reason):
    return float(sum(completion.encode()) % 3 == 0)

def nothing(completion, problem, stop_reason):
    return 0.0
"""


def save_small_model(folder: Path, seed: int = 0) -> Path:
    tokenizer = train_tokenizer(TEXTS, 320)
    model = build_model(build_config(tokenizer, SIZE), seed)
    model.save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
    return folder


def problems(n: int = 12) -> list[Problem]:
    return make_problems(TinyWorldData(split="train", n=n, seed=3))


def chat_rows(n: int = 20) -> list[ChatRow]:
    return [
        ChatRow(
            id=problem.id,
            user=problem.question,
            media=problem.media,
            assistant=f"<think>{'so ' * (1 + index % 5)}</think><answer>{problem.answer}</answer>",
        )
        for index, problem in enumerate(problems(n))
    ]


def stage(steps: int = 6, **more: Any) -> PtstStage:
    options = {"name": "ptst_1", "max_completion_length": 6, "group_size": 4, "learning_rate": 1e-2} | more
    return PtstStage(steps=steps, **options)


def grpo_settings(reward: str, one: PtstStage, **more: Any) -> GrpoSettings:
    options: dict[str, Any] = {
        "prompts_per_step": 2,
        "tokens_per_pass": 40,
        "save_steps": 2,
        "guard": NEVER,
    } | more
    return GrpoSettings(schedule=(one,), reward=reward, **options)


def sft_settings(**more: Any) -> SftSettings:
    options: dict[str, Any] = {
        "learning_rate": 3e-3,
        "batch_size": 4,
        "tokens_per_pass": 100,
        "max_epochs": 2,
        "eval_steps": 2,
        "patience": 2,
        "min_gain": 0.0,
        "max_length": 512,
    } | more
    return SftSettings(**options)


def grpo_child(model: Path, reward: str, out: Path, steps: int) -> None:
    """Run in a process of its own, which a test kills."""
    import torch

    from vision_r1.train.ptst import run_ptst_stage

    torch.set_num_threads(1)
    one = stage(steps)
    run_ptst_stage(grpo_settings(reward, one), one, 6, str(model), str(model), problems(), out, seed=1)


def sft_child(model: Path, out: Path, min_gain: float) -> None:
    """Run in a process of its own, which a test kills."""
    import torch

    from vision_r1.train.sft import run_sft

    torch.set_num_threads(1)
    settings = sft_settings(min_gain=min_gain, max_epochs=3)
    run_sft(settings, str(model), chat_rows(), chat_rows(26)[20:], out, seed=1)


def context() -> Any:
    """Processes forked from one that has imported torch and TRL but never used them."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["vision_r1.train.ptst", "vision_r1.train.sft"])
    return found
