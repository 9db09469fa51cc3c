"""Our side of `benchmarks/speed.py`: the trainers as `vision-r1 run` builds them.

`force` is the only place that reaches inside: it puts the rule of the completions' lengths where the rollout
engine changes logits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from workloads import BETA, LEARNING_RATE, PROMPTS, SEED, Forced, Row, Workload, perturb, reward_of, rows

from vision_r1.grading.hfrrf import Reward
from vision_r1.models.load import load_model
from vision_r1.problems.images import BytesImage
from vision_r1.problems.problem import Problem
from vision_r1.train.config import GrpoSettings, PtstStage
from vision_r1.train.grpo import VisionGrpoTrainer
from vision_r1.train.trl_config import grpo_config

PRECISION = "bfloat16" if torch.cuda.is_available() else "float32"


def grpo_trainer(workload: Workload, folder: Path, steps: int, out: Path) -> tuple[VisionGrpoTrainer, Any]:
    """The trainer and its tokenizer."""
    loaded, reference = load_model(str(folder), PRECISION), load_model(str(folder), PRECISION)
    perturb(loaded.model)
    stage = PtstStage(
        name="bench",
        max_completion_length=workload.tokens,
        group_size=workload.group,
        steps=steps,
        learning_rate=LEARNING_RATE,
    )
    settings = GrpoSettings(
        schedule=(stage,),
        prompts_per_step=PROMPTS,
        beta=BETA,
        train_batch_size=workload.micro,
        save_steps=1000,
        precision=PRECISION,
    )
    args = grpo_config(settings, stage, workload.tokens, out, SEED)
    args.save_strategy = "no"  # as the peer: the last step is not saved
    asked = problems(rows(workload, steps, loaded.processor.tokenizer))
    trainer = VisionGrpoTrainer(loaded, reference.model, args, asked, reward, "bench", SEED)
    return trainer, loaded.processor.tokenizer


def problems(asked: list[Row]) -> list[Problem]:
    """The rows as problems; an image is decoded when it is asked for."""
    return [
        Problem(f"{n:02d}", row.question, "0", (BytesImage(row.png, f"row {n}"),))
        for n, row in enumerate(asked)
    ]


def reward(text: str, problem: Problem, stop: str) -> Reward:
    """As our trainer calls it."""
    return Reward(reward_of(text), True, None, "bench")


def force(trainer: VisionGrpoTrainer, rule: Forced) -> None:
    """Apply the rule after the engine's own change of logits."""
    plain = trainer._warp
    trainer._warp = lambda ids, logits: rule(ids, plain(ids, logits))
