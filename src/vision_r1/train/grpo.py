"""GRPO (equation 1 of the paper) on a thin subclass of TRL's GRPOTrainer.

    J = E[ 1/G sum_i 1/|o_i| sum_t min(rho A_i, clip(rho, 1-eps, 1+eps) A_i) - beta KL_k3 ],
    A_i = (r_i - mean) / std within the group

Losses, advantages, clipping and the KL term stay TRL's. Overridden are: how prompts become tokens
(once per problem, `data.PromptStore`), how completions are sampled (`rollout.complete`), how a batch
is cut into micro-batches (by length), and how log-probabilities are computed (`logprobs`: the prompt
and its images go through the model once per problem instead of once per completion).
`tests/train/test_trl_contract.py` holds the hooks still.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from vision_r1.core.errors import CollapseError, ConfigError
from vision_r1.core.seeds import derive_seed
from vision_r1.grading.hfrrf import Reward
from vision_r1.grading.user import RewardFunction
from vision_r1.models.load import LoadedModel, forbidden_tokens
from vision_r1.models.parts import rope_positions
from vision_r1.problems.problem import Problem
from vision_r1.rollout.complete import complete_groups
from vision_r1.rollout.group import Group
from vision_r1.rollout.row import Drawing
from vision_r1.rollout.sampling import warp_of
from vision_r1.train.data import Ask, PromptStore, image_inputs, pad_rows
from vision_r1.train.logprobs import shared_prefix_logps
from vision_r1.train.saving import Resumable

# Losses that weigh every completion or token by a constant of the whole batch, so that the way the
# batch is cut into micro-batches does not matter. "bnpo" averages per micro-batch and stays TRL's.
_ORDER_FREE = ("grpo", "dr_grpo", "dapo")


@dataclass(frozen=True, slots=True)
class Rollout:
    """One completion of the latest step, as the reward saw it."""

    problem: Problem
    text: str
    tokens: int
    stop_reason: str
    reward: Reward


class VisionGrpoTrainer(Resumable, GRPOTrainer):  # type: ignore[misc]
    """TRL's GRPOTrainer with prompts read once, grouped sampling and micro-batches by length.

    Args:
        loaded: the policy with its processor.
        reference: the reference policy's model; None when beta is 0.
        args: see `trl_config.grpo_config`.
        problems: exactly steps x prompts a step of them, in order.
        reward: see `grading.load_reward`.
        name: of the stage; part of the key of the noise.
        seed: of the stage's noise.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        reference: Any | None,
        args: GRPOConfig,
        problems: Sequence[Problem],
        reward: RewardFunction,
        name: str,
        seed: int,
    ) -> None:
        self.problems, self.reward, self.name_of_stage, self.noise_seed = problems, reward, name, seed
        unique = {problem.id: problem for problem in problems}
        self._slot = {problem_id: index for index, problem_id in enumerate(unique)}
        asks = [Ask(f"problem {p.id}", p.prompt, p.media) for p in unique.values()]
        self.store = PromptStore(loaded.processor, asks)
        self.rollouts: list[Rollout] = []
        self._rows: list[int] = []
        self._forward_rows: list[int] | None = None
        self._buffered_inputs: list[dict[str, Any]] | None = None
        self._sums: dict[str, float] = defaultdict(float)
        rows = Dataset.from_dict({"prompt": [p.id for p in problems], "index": list(range(len(problems)))})
        super().__init__(
            model=loaded.model,
            reward_funcs=self._score,
            args=args,
            train_dataset=rows,
            processing_class=loaded.processor,
        )
        self._forbidden = forbidden_tokens(loaded.processor)
        self._warp = warp_of(self.generation_config, self._forbidden)
        # Checkpointing drops caches, and a wrapped model must be called through its wrapper.
        self._shares_prompts = self.accelerator.num_processes == 1 and not self.args.gradient_checkpointing
        if self.beta != 0.0:
            # TRL has just loaded `config._name_or_path`, which on resume may be anything: ours is explicit.
            self._set_reference(reference)

    def _set_reference(self, reference: Any | None) -> None:
        from trl.trainer.utils import add_fused_lm_head

        if reference is None:
            raise ConfigError("a KL term needs a reference policy", where="reference", fix="or set beta: 0")
        reference.requires_grad_(False)
        add_fused_lm_head(reference, temperature=self.temperature)
        self.ref_model = self.accelerator.prepare_model(reference, evaluation_mode=True)

    # --- one batch: prompts, completions, rewards ---

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._rows = [self._slot[row["prompt"]] for row in inputs]
        self._forward_rows = self._rows
        batch: dict[str, Any] = super()._generate_and_score_completions(inputs)
        self._forward_rows = None
        batch["prompt_rows"] = torch.tensor(self._rows)
        self._sums.clear()
        return batch

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [list(self.store.ids(row)) for row in self._rows], None, {}

    def _generate_single_turn(
        self,
        prompt_ids: Any,
        images: Any,
        multimodal_fields: Any,
        num_generations: int,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[list[list[int]], None]:
        groups = [
            self._group(self._rows[start], range(start, start + num_generations))
            for start in range(0, len(self._rows), num_generations)
        ]
        model = self.accelerator.unwrap_model(self.model_wrapped)
        model.eval()
        try:
            completions = complete_groups(model, groups, Drawing(self._warp, frozenset(self.eos_token_ids)))
        finally:
            model.train()
        return [completion.ids for group in completions for completion in group], None

    def _group(self, row: int, places: Sequence[int]) -> Group:
        """One prompt and its completions at these places of the batch; their noise is keyed by stage, step,
        problem and place.
        """
        item, where = self.store[row], self.store.where(row)
        return Group(
            where=where,
            ids=item.ids,
            pixels=item.pixels,
            grids=item.grids,
            seeds=[
                derive_seed(self.noise_seed, self.name_of_stage, self.state.global_step, where, place)
                for place in places
            ],
            caps=[self.max_completion_length] * len(places),
        )

    def _score(
        self, prompts: list[str], completion_ids: list[list[int]], index: list[int], **_: Any
    ) -> list[float]:
        """The reward function that TRL calls: our reward on our text, with the true stop reason."""
        self.rollouts = []
        for number, ids in zip(index, completion_ids, strict=True):
            problem = self.problems[number]
            stop = "eos" if ids and ids[-1] in self.eos_token_ids else "length"
            text = completion_text(self._tokenizer, ids)
            self.rollouts.append(Rollout(problem, text, len(ids), stop, self.reward(text, problem, stop)))
        return [rollout.reward.reward for rollout in self.rollouts]

    # --- micro-batches and forwards ---

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        if not self.model.training or self.loss_type not in _ORDER_FREE:
            return super()._prepare_inputs(generation_batch)
        parts = self.args.steps_per_generation
        if self._step % parts == 0 or self._buffered_inputs is None:
            batch = self._generate_and_score_completions(generation_batch)
            self._buffered_inputs = micro_batches(batch, parts)
        return self._buffered_inputs[self._step % parts]

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """TRL's loss; the rows of this micro-batch are remembered for their images. CollapseError on NaN."""
        self._forward_rows = inputs["prompt_rows"].tolist()
        loss: torch.Tensor = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        self._forward_rows = None
        if not bool(torch.isfinite(loss)):
            raise CollapseError(f"the loss is {float(loss)} at step {self.state.global_step + 1}")
        tokens = float(inputs["completion_mask"].sum())
        self._sums["tokens"] += tokens
        for measure in ("kl", "entropy"):
            values = self._metrics["train"].get(measure)
            if values:
                self._sums[measure] += values[-1] * tokens
        return loss

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **_: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        rows = self._forward_rows
        if rows is None or len(rows) != len(input_ids):
            raise RuntimeError("TRL asked for log-probs outside of a batch: a hook has changed")
        size = batch_size or len(rows)
        lengths = attention_mask[:, -logits_to_keep:].sum(1)
        order = torch.argsort(lengths, stable=True) if len(rows) > size else torch.arange(len(rows))
        parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        for start in range(0, len(rows), size):
            part = order[start : start + size]
            spare = logits_to_keep - max(1, int(lengths[part].max()))
            ids, mask = (x[part, : x.shape[1] - spare] for x in (input_ids, attention_mask))
            chosen = [rows[k] for k in part.tolist()]
            forward = self._shared if self._shares_prompts else self._plain
            parts.append((part, *forward(model, chosen, ids, mask, logits_to_keep - spare)))
        back = torch.argsort(torch.cat([part for part, _, _ in parts]))
        logps = _joined([values for _, values, _ in parts], logits_to_keep)[back]
        entropies = _joined([entropy for _, _, entropy in parts], logits_to_keep)[back]
        return logps, entropies if compute_entropy else None, None

    def _shared(
        self,
        model: Any,
        rows: list[int],
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        completion: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Each problem's prompt and images go through the model once."""
        unique = sorted(set(rows))
        encoded = [self.store[row] for row in unique]
        ids, mask = pad_rows([item.ids for item in encoded], self._tokenizer.pad_token_id, "left")
        prompts = {"input_ids": ids, "attention_mask": mask, **image_inputs(encoded)}
        place = torch.tensor([unique.index(row) for row in rows], device=input_ids.device)
        with self.accelerator.autocast():
            return shared_prefix_logps(
                self.accelerator.unwrap_model(model),
                {key: value.to(input_ids.device) for key, value in prompts.items()},
                place,
                input_ids[:, -completion:],
                attention_mask[:, -completion:],
                self.temperature,
            )

    def _plain(
        self,
        model: Any,
        rows: list[int],
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        completion: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Each completion carries its prompt and images, through TRL's fused head."""
        media = {
            key: value.to(input_ids.device)
            for key, value in image_inputs([self.store[r] for r in rows]).items()
        }
        labels = input_ids.masked_fill(attention_mask == 0, -100)
        labels[:, :-completion] = -100
        kinds = (input_ids == self._image_pad_token_id).int()
        kinds[:, -completion:] = 0
        core = self.accelerator.unwrap_model(model)
        grids = {key: value for key, value in media.items() if key == "image_grid_thw"}
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        positions = rope_positions(core, {**inputs, **grids, "mm_token_type_ids": kinds})
        with self.accelerator.autocast():
            output = model(**inputs, **media, position_ids=positions, labels=labels, fused_lm_head=True)
        # Only the policy's fused head computes entropies; nothing reads the reference's.
        entropy = torch.zeros_like(output.log_probs) if output.entropy is None else output.entropy
        return output.log_probs[:, -completion:], entropy[:, -completion:]

    # --- what a step did ---

    def step_row(self, logs: dict[str, float]) -> dict[str, Any]:
        """The measures of the step just made, from TRL's log and from the rollouts."""
        rollouts, tokens = self.rollouts, max(self._sums["tokens"], 1.0)
        n = max(len(rollouts), 1)
        verdicts = [rollout.reward.verdict for rollout in rollouts]
        graded = any(verdict is not None for verdict in verdicts)
        right = sum(verdict is not None and verdict.correct for verdict in verdicts)
        return {
            "reward": logs["reward"],
            "reward_std": logs["reward_std"],
            "zero_variance_share": logs["frac_reward_zero_std"],
            "truncation_rate": sum(r.stop_reason == "length" for r in rollouts) / n,
            "format_rate": sum(r.reward.format_ok for r in rollouts) / n,
            "accuracy": right / n if graded else None,
            "mean_tokens": sum(r.tokens for r in rollouts) / n,
            "entropy": self._sums["entropy"] / tokens,
            "kl": self._sums["kl"] / tokens if self.beta != 0.0 else None,
            "loss": logs.get("loss"),
            "grad_norm": logs.get("grad_norm"),
            "learning_rate": logs.get("learning_rate"),
            "reasons": dict(Counter(rollout.reward.reason for rollout in rollouts).most_common()),
        }


def _joined(parts: Sequence[torch.Tensor], width: int) -> torch.Tensor:
    """Rows of several widths below each other, filled up with zeros on the right to `width`."""
    return torch.cat([torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in parts])


def completion_text(tokenizer: Any, ids: Sequence[int]) -> str:
    """The completion as the reward reads it: no control tokens, but tags even where they are special."""
    tags = ("think>", "answer>")
    drop = {
        number
        for number, token in zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
        if not token.endswith(tags)
    }
    text: str = tokenizer.decode([number for number in ids if number not in drop], skip_special_tokens=False)
    return text


def micro_batches(batch: dict[str, Any], parts: int) -> list[dict[str, Any]]:
    """Cut a batch into equal parts of completions of like length, and cut off the padding they share.

    Args:
        batch: TRL's generation batch; tensors whose first size is the number of rows are cut.
        parts: number of micro-batches; divides the rows.
    """
    mask = batch["completion_mask"]
    rows = len(mask)
    order = torch.argsort(mask.sum(1), stable=True)
    size = math.ceil(rows / parts)
    result = []
    for start in range(0, rows, size):
        chosen = order[start : start + size]
        part = {
            key: value[chosen.to(value.device)]
            if isinstance(value, torch.Tensor) and value.dim() > 0 and len(value) == rows
            else value
            for key, value in batch.items()
        }
        longest = max(1, int(part["completion_mask"].sum(1).max()))
        for key in ("completion_ids", "completion_mask", "ref_per_token_logps", "old_per_token_logps"):
            if key in part:
                part[key] = part[key][:, :longest]
        first = int(part["prompt_mask"].sum(1).max())
        for key in ("prompt_ids", "prompt_mask"):
            part[key] = part[key][:, part[key].shape[1] - first :]
        result.append(part)
    return result
