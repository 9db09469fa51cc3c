"""Our side of `benchmarks/speed.py`: the trainers as `vision-r1 run` builds them.

`force` and `completer` are the only places that reach inside: they put the rule of the completions' lengths
where the rollout engine changes logits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from workloads import (
    BETA,
    LEARNING_RATE,
    PROMPTS,
    SEED,
    Forced,
    Row,
    SftLoad,
    Workload,
    answered,
    perturb,
    reward_of,
    rows,
)

from vision_r1.grading.hfrrf import Reward
from vision_r1.models.load import LoadedModel, encode_prompts, load_model
from vision_r1.problems.chat import ChatRow
from vision_r1.problems.images import BytesImage
from vision_r1.problems.problem import Problem
from vision_r1.rollout.grouped import sample_groups
from vision_r1.train.config import GrpoSettings, PtstStage, SftSettings
from vision_r1.train.grpo import VisionGrpoTrainer
from vision_r1.train.sft import ChatStore, VisionSftTrainer
from vision_r1.train.trl_config import grpo_config, sft_config

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


def sft_trainer(load: SftLoad, folder: Path, steps: int, out: Path) -> VisionSftTrainer:
    """Our SFT trainer, over the peer's rows in the peer's order."""
    loaded = load_model(str(folder), PRECISION)
    asked = [
        ChatRow(f"{n}", row.question, row.answer, (BytesImage(row.png, f"row {n}"),))
        for n, row in enumerate(answered(load, steps, loaded.processor.tokenizer))
    ]
    settings = SftSettings(
        learning_rate=LEARNING_RATE,
        warmup_share=0.0,
        batch_size=load.batch,
        micro_batch_size=load.batch,
        freeze_vision=False,
        precision=PRECISION,
    )
    args = sft_config(settings, steps, out, SEED)
    args.lr_scheduler_type = "constant"  # as the peer
    return VisionSftTrainer(loaded, args, ChatStore(loaded.processor, asked), range(len(asked)))


def force(trainer: VisionGrpoTrainer, rule: Forced) -> None:
    """Apply the rule after the engine's own change of logits."""
    plain = trainer._warp
    trainer._warp = lambda ids, logits: rule(ids, plain(ids, logits))


def completer(workload: Workload, steps: int, folder: Path) -> Any:
    """A function that completes the prompts of a step by our rollout engine, see `rollout_speed`."""
    loaded = load_model(str(folder), PRECISION)
    asked = problems(rows(workload, steps, loaded.processor.tokenizer))
    rule = Forced(workload, steps, loaded.processor.tokenizer)
    inputs = [_encode(loaded, asked[n : n + PROMPTS]) for n in range(0, len(asked), PROMPTS)]
    eos = [loaded.processor.tokenizer.eos_token_id]

    def complete(step: int) -> list[list[int]]:
        noise = np.random.default_rng([SEED, step]).random((workload.rows, workload.tokens))
        uniforms = torch.from_numpy(noise).to(loaded.model.device)
        return sample_groups(loaded.model, inputs[step], uniforms, warp=rule, eos=eos)

    return complete


def _encode(loaded: LoadedModel, asked: list[Problem]) -> dict[str, torch.Tensor]:
    """Each prompt once."""
    pictures = [[media.load() for media in problem.media] for problem in asked]
    inputs = encode_prompts(
        loaded.processor, [problem.prompt for problem in asked], pictures, [problem.id for problem in asked]
    )
    return {name: value.to(loaded.model.device) for name, value in inputs.items()}
