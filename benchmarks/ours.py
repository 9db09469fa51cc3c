"""Our side of `benchmarks/speed.py`: the trainers as `vision-r1 run` builds them.

`force` and `completer` are the only places that reach inside: they put the rule of the completions' lengths
where the rollout engine changes logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from vision_r1.models.encode import encode_prompts
from vision_r1.models.load import LoadedModel, load_model
from vision_r1.problems.chat import ChatRow
from vision_r1.problems.images import BytesImage
from vision_r1.problems.problem import Problem
from vision_r1.rollout.complete import complete_groups
from vision_r1.rollout.group import Group
from vision_r1.rollout.row import Drawing
from vision_r1.rollout.sampling import Warp
from vision_r1.train.chat_store import ChatStore
from vision_r1.train.config import GrpoSettings, PtstStage, SftSettings
from vision_r1.train.grpo import VisionGrpoTrainer
from vision_r1.train.sft import VisionSftTrainer
from vision_r1.train.trl_config import grpo_config, sft_config

TOKENS_PER_PASS = 2048
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
        tokens_per_pass=TOKENS_PER_PASS,
        precision=PRECISION,
    )
    args = grpo_config(settings, stage, workload.tokens, out, SEED)
    args.save_strategy = "no"  # as the peer: the last step is not saved
    asked = problems(rows(workload, steps, loaded.processor.tokenizer))
    trainer = VisionGrpoTrainer(
        loaded, reference.model, args, asked, reward, "bench", SEED, tokens_per_pass=TOKENS_PER_PASS
    )
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
        tokens_per_pass=TOKENS_PER_PASS,
        freeze_vision=False,
        precision=PRECISION,
    )
    args = sft_config(settings, steps, out, SEED)
    args.lr_scheduler_type = "constant"  # as the peer
    store = ChatStore(loaded.processor, asked)
    return VisionSftTrainer(loaded, args, store, range(len(asked)), TOKENS_PER_PASS)


class _OurRule:
    """The rule as our engine takes it: the first step's completions token by token, then caps.

    A completion of ours is ended by its own cap, which needs no look at what was written; its last token is
    an ordinary one instead of the end of sequence.
    """

    def __init__(self, rule: Forced, plain: Warp, scripted: Callable[[], bool]) -> None:
        self.rule, self.plain, self.scripted = rule, plain, scripted

    @property
    def reads_ids(self) -> bool:
        return self.scripted()

    def __call__(self, ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        logits = self.plain(ids, logits)
        return self.rule(ids, logits) if self.reads_ids else logits + self.rule.barred


def force(trainer: VisionGrpoTrainer, rule: Forced) -> None:
    """Apply the rule after the engine's own change of logits."""
    group = trainer._group

    def capped(row: int, places: Sequence[int]) -> Group:
        lengths = rule.workload.lengths(trainer.state.global_step).ravel()
        return replace(group(row, places), caps=[int(lengths[place]) for place in places])

    trainer._group = capped  # type: ignore[method-assign]
    trainer._warp = _OurRule(rule, trainer._warp, lambda: trainer.state.global_step == 0)


def completer(workload: Workload, steps: int, folder: Path) -> Any:
    """A function that completes the prompts of a step by our rollout engine, see `rollout_speed`."""
    loaded = load_model(str(folder), PRECISION)
    asked = problems(rows(workload, steps, loaded.processor.tokenizer))
    rule = Forced(workload, steps, loaded.processor.tokenizer)
    drawing = Drawing(
        _OurRule(rule, lambda _, logits: logits, lambda: False),
        frozenset([loaded.processor.tokenizer.eos_token_id]),
    )
    encoded = [_encode(loaded, problem) for problem in asked]

    def complete(step: int) -> list[list[int]]:
        lengths = workload.lengths(step)
        groups = [
            Group(f"prompt {number}", ids, pixels, grids, seeds=range(workload.group), caps=caps.tolist())
            for number, ((ids, pixels, grids), caps) in enumerate(
                zip(encoded[step * PROMPTS :][:PROMPTS], lengths, strict=True), start=step * PROMPTS
            )
        ]
        found = complete_groups(loaded.model, groups, drawing)
        return [completion.ids for group in found for completion in group]

    return complete


def _encode(loaded: LoadedModel, problem: Problem) -> tuple[list[int], torch.Tensor, torch.Tensor]:
    pictures = [[media.load() for media in problem.media]]
    inputs = encode_prompts(loaded.processor, [problem.prompt], pictures, [problem.id])
    return inputs["input_ids"][0].tolist(), inputs["pixel_values"], inputs["image_grid_thw"]
