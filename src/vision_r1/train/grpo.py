"""GRPO (equation 1 of the paper) on a thin subclass of TRL's GRPOTrainer.

    J = E[ 1/G sum_i 1/|o_i| sum_t min(rho A_i, clip(rho, 1-eps, 1+eps) A_i) - beta KL_k3 ],
    A_i = (r_i - mean) / std within the group

Losses, advantages, clipping and the KL term stay TRL's. Overridden are: how prompts become tokens
(once per problem, `data.PromptStore`), how completions are sampled (`rollout.complete`), how
log-probabilities are computed (`logprobs`: the prompt and its images go through the model once per group
instead of once per completion), how a batch is cut into passes (`groups.cut_by_tokens`, instead of a fixed
number of rows), and which groups are trained (`dynamic`). `tests/train/test_trl_contract.py` holds the
hooks still.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from vision_r1.core.errors import CollapseError, ConfigError
from vision_r1.core.seeds import derive_seed
from vision_r1.grading.user import RewardFunction
from vision_r1.models.encode import forbidden_tokens
from vision_r1.models.load import LoadedModel
from vision_r1.models.packing import can_pack, enable_packing, why_plain
from vision_r1.models.parts import base_model, prompt_positions
from vision_r1.problems.problem import Problem
from vision_r1.rollout.complete import complete_groups
from vision_r1.rollout.group import Group
from vision_r1.rollout.row import Drawing
from vision_r1.rollout.sampling import warp_of
from vision_r1.train.config import FlatGroups
from vision_r1.train.data import Ask, PromptStore, image_inputs
from vision_r1.train.dynamic import flat_groups, join_rows, reserve, rows_of, take_rows
from vision_r1.train.features import VisionFeatures, is_frozen, same_towers
from vision_r1.train.groups import cut_by_tokens, cut_padded
from vision_r1.train.head import lean_head
from vision_r1.train.logprobs import packed_logps, plain_logps
from vision_r1.train.passes import Pass, equalised, summed
from vision_r1.train.saving import Resumable
from vision_r1.train.scored import Rollout, completion_text, measures, rewards_of

logger = logging.getLogger(__name__)


class VisionGrpoTrainer(Resumable, GRPOTrainer):  # type: ignore[misc]
    """TRL's GRPOTrainer with each prompt computed once, for its rollouts and for its training.

    Args:
        loaded: the policy with its processor.
        reference: the reference policy's model; None when beta is 0.
        args: see `trl_config.grpo_config`.
        problems: exactly steps x prompts a step of them, in order.
        reward: see `grading.load_reward`.
        name: of the stage; part of the key of the noise.
        seed: of the stage's noise.
        tokens_per_pass: of a forward and backward pass, prompts once.
        flat_groups: what is done with groups whose rewards are all equal, see `GrpoSettings`.
        resamples: how often flat groups are replaced at most, where they are.
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
        *,
        tokens_per_pass: int = 16_384,
        flat_groups: FlatGroups = "train",
        resamples: int = 0,
    ) -> None:
        self.problems, self.reward, self.name_of_stage, self.noise_seed = problems, reward, name, seed
        self.tokens_per_pass, self.flat_groups, self.resamples = tokens_per_pass, flat_groups, resamples
        unique = {problem.id: problem for problem in problems}
        self._slot = {problem_id: index for index, problem_id in enumerate(unique)}
        self._unique = list(unique.values())
        places = {problem.id: index for index, problem in reversed(list(enumerate(problems)))}
        self._first = [places[problem.id] for problem in self._unique]
        asks = [Ask(f"problem {p.id}", p.prompt, p.media) for p in unique.values()]
        self.store = PromptStore(loaded.processor, asks)
        self.rollouts: list[Rollout] = []
        self._rows: list[int] = []
        self._forward_rows: list[int] | None = None
        self._positions: dict[int, torch.Tensor] = {}
        self._sums: dict[str, float] = defaultdict(float)
        rows = Dataset.from_dict({"prompt": [p.id for p in problems], "index": list(range(len(problems)))})
        super().__init__(
            model=loaded.model,
            reward_funcs=self._score,
            args=args,
            train_dataset=rows,
            processing_class=loaded.processor,
        )
        lean_head(base_model(self.accelerator.unwrap_model(self.model)), self.temperature, entropy=True)
        self._forbidden = forbidden_tokens(loaded.processor)
        self._warp = warp_of(self.generation_config, self._forbidden)
        self._packs = can_pack(loaded.model)
        if self._packs:
            enable_packing(loaded.model)
        else:
            logger.warning("%s: every completion carries its prompt", why_plain(loaded.model))
        if self.beta != 0.0:
            # TRL has just loaded `config._name_or_path`, which on resume may be anything: ours is explicit.
            self._set_reference(reference)
        self._policy_features, self._reference_features = self._frozen_features()

    def _set_reference(self, reference: Any | None) -> None:
        from trl.trainer.utils import add_fused_lm_head

        if reference is None:
            raise ConfigError("a KL term needs a reference policy", where="reference", fix="or set beta: 0")
        reference.requires_grad_(False)
        if self._packs:
            enable_packing(reference)
        add_fused_lm_head(reference, temperature=self.temperature)
        lean_head(reference, self.temperature, entropy=False)
        self.ref_model = self.accelerator.prepare_model(reference, evaluation_mode=True)

    def _frozen_features(self) -> tuple[VisionFeatures | None, VisionFeatures | None]:
        """Stores for policy and reference, whose towers are one where they are frozen and equal.

        A tower whose weights are spread over processes can be called through the whole model alone.
        """
        if not self._packs or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return None, None
        policy = self.accelerator.unwrap_model(self.model)
        own = VisionFeatures(policy) if is_frozen(policy) else None
        if self.ref_model is None:
            return own, None
        reference = self.accelerator.unwrap_model(self.ref_model)
        if not is_frozen(reference):
            return own, None
        shared = own is not None and same_towers(policy, reference)
        return own, own if shared else VisionFeatures(reference)

    # --- one batch: prompts, completions, rewards ---

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._sums.clear()
        self._sums["trained_share"] = 1.0
        batch, group = self._rolled(inputs), self.num_generations
        if len(inputs) % group:  # groups lie across processes: which ones are flat cannot be told here
            return batch
        if self.flat_groups == "resample":
            batch = self._resampled(batch, inputs)
        if self.flat_groups != "train" or self.beta == 0.0:
            flat = flat_groups(rewards_of(self.rollouts), group)
            batch["flat"][rows_of(flat, group)] = True
        self._sums["trained_share"] = 1.0 - float(batch["flat"].float().mean())
        return batch

    def _resampled(self, batch: dict[str, Any], inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """The batch with flat groups replaced by groups of other problems, for `resamples` rounds at most."""
        group, rollouts = self.num_generations, self.rollouts
        taken = {self._slot[row["prompt"]] for row in inputs}
        step = self.state.global_step
        spare = reserve(len(self._slot), self.noise_seed, self.name_of_stage, step, taken)
        for _ in range(self.resamples):
            flat = flat_groups(rewards_of(rollouts), group)
            count = torch.tensor([len(flat)], device=self.accelerator.device)
            asked = list(islice(spare, int(self.accelerator.gather(count).max())))
            if not asked:
                break
            more = self._rolled([self._input_of(number) for number in asked for _ in range(group)])
            self._sums["resampled"] += len(asked)
            vain = flat_groups(rewards_of(self.rollouts), group)
            new = [k for k in range(len(asked)) if k not in vain][: len(flat)]
            if new:
                stay = [k for k in range(len(rollouts) // group) if k not in flat[: len(new)]]
                old_rows, new_rows = rows_of(stay, group), rows_of(new, group)
                parts = [take_rows(batch, old_rows)] if stay else []
                batch = join_rows([*parts, take_rows(more, new_rows)], self._tokenizer.pad_token_id)
                rollouts = [rollouts[k] for k in old_rows] + [self.rollouts[k] for k in new_rows]
        self.rollouts = rollouts
        return batch

    def _rolled(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """TRL's batch for some rows of the data."""
        self._rows = [self._slot[row["prompt"]] for row in inputs]
        self._forward_rows = self._rows
        batch: dict[str, Any] = super()._generate_and_score_completions(inputs)
        self._forward_rows = None
        batch["prompt_rows"] = torch.tensor(self._rows)
        batch["flat"] = torch.zeros(len(inputs), dtype=torch.bool)
        return batch

    def _input_of(self, number: int) -> dict[str, Any]:
        return {"prompt": self._unique[number].id, "index": self._first[number]}

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

    # --- passes ---

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """A batch makes one optimizer step: TRL's shuffling and splitting would tear groups apart."""
        if not self.model.training:
            return super()._prepare_inputs(generation_batch)
        return self._generate_and_score_completions(generation_batch)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """TRL's loss over the batch, pass by pass; all but the last pass are propagated back at once.

        Raises:
            CollapseError: a loss or log-probability is not finite.
        """

        def loss_of(rows: list[int]) -> torch.Tensor:
            return self._loss_of(model, take_rows(inputs, rows), num_items_in_batch)

        return summed(self.accelerator, model, self._passes(inputs), loss_of)

    def _passes(self, inputs: dict[str, Any]) -> list[Pass]:
        """Rows of each pass, and the factor that makes the sum of TRL's losses the loss of the batch.

        TRL divides by the rows (grpo, dr_grpo) or tokens (bnpo) of a pass, or by the tokens of the batch
        (dapo). Groups that are left out stay in these counts: leaving them out changes no other's weight.
        """
        lengths = inputs["completion_mask"].sum(1).tolist()
        everything = list(range(len(lengths)))
        kept = [row for row, flat in zip(everything, inputs["flat"].tolist(), strict=True) if not flat]
        stored = inputs["prompt_rows"].tolist()
        cuts = self._cut([stored[k] for k in kept], [lengths[k] for k in kept])
        totals = {"bnpo": float(sum(lengths)), "dapo": 1.0}
        whole = totals.get(self.loss_type, float(len(lengths)))
        passes: list[Pass] = []
        for cut in cuts:
            rows = [kept[k] for k in cut]
            parts = {"bnpo": float(sum(lengths[k] for k in rows)), "dapo": 1.0}
            passes.append((rows, parts.get(self.loss_type, float(len(rows))) / whole))
        return equalised(self.accelerator, passes, min(everything, key=lambda row: lengths[row]))

    def _cut(self, rows: list[int], lengths: list[int]) -> list[list[int]]:
        """Completions of so many tokens, of the prompts `rows`, in passes of `tokens_per_pass`."""
        prompts = {row: len(self.store.ids(row)) for row in set(rows)}
        if self._packs:
            return cut_by_tokens(prompts, rows, lengths, self.tokens_per_pass)
        whole = [prompts[row] + length for row, length in zip(rows, lengths, strict=True)]
        return cut_padded(whole, self.tokens_per_pass)

    def _loss_of(self, model: Any, part: dict[str, Any], num_items_in_batch: Any) -> torch.Tensor:
        """TRL's loss of one pass; the rows are remembered for their images."""
        self._forward_rows = part["prompt_rows"].tolist()
        loss: torch.Tensor = super().compute_loss(model, part, False, num_items_in_batch)
        self._forward_rows = None
        if not bool(torch.isfinite(loss)):
            raise CollapseError(f"the loss is {float(loss)} at step {self.state.global_step + 1}")
        tokens = float(part["completion_mask"].sum())
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
        ids, mask = input_ids[:, -logits_to_keep:], attention_mask[:, -logits_to_keep:]
        lengths = mask.sum(1).tolist()
        logps = torch.zeros(ids.shape, device=ids.device)
        entropies = torch.zeros_like(logps)
        forward = self._packed if self._packs else self._plain
        for part in self._cut(rows, lengths):
            width, chosen = max(1, *(lengths[k] for k in part)), [rows[k] for k in part]
            with self.accelerator.autocast():
                found, entropy = forward(model, chosen, ids[part, :width], mask[part, :width])
            place = (torch.tensor(part, device=ids.device)[:, None], torch.arange(width, device=ids.device))
            logps = logps.index_put(place, found.float())
            if entropy is not None:
                entropies = entropies.index_put(place, entropy.float())
        self._check_finite(logps, rows)
        return logps, entropies if compute_entropy else None, None

    def _check_finite(self, logps: torch.Tensor, rows: list[int]) -> None:
        """Name the problem whose log-probabilities are not finite."""
        bad = (~torch.isfinite(logps)).any(1).nonzero()
        if len(bad):
            raise CollapseError(
                f"log-probabilities are not finite at step {self.state.global_step + 1}",
                where=self.store.where(rows[int(bad[0])]),
            )

    def _packed(
        self, model: Any, rows: list[int], ids: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Each problem's prompt and images go through the model once."""
        core = self.accelerator.unwrap_model(model)
        unique = sorted(set(rows))
        return packed_logps(
            model,
            core,
            [self.store.ids(row) for row in unique],
            [self._positions_of(core, row) for row in unique],
            self._media_of(model, core, unique),
            [unique.index(row) for row in rows],
            ids,
            mask,
        )

    def _plain(
        self, model: Any, rows: list[int], ids: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Each completion carries its prompt and images."""
        core = self.accelerator.unwrap_model(model)
        known = hasattr(getattr(core, "model", None), "get_rope_index")
        return plain_logps(
            model,
            [self.store.ids(row) for row in rows],
            [self._positions_of(core, row) for row in rows] if known else None,
            self._pixels_of(rows),
            self._image_pad_token_id,
            self._tokenizer.pad_token_id,
            ids,
            mask,
        )

    def _positions_of(self, core: Any, row: int) -> torch.Tensor:
        if row not in self._positions:
            encoded = self.store[row]
            self._positions[row] = prompt_positions(core, encoded.ids, encoded.grids)
        return self._positions[row]

    def _pixels_of(self, rows: list[int]) -> dict[str, torch.Tensor]:
        media = image_inputs([self.store[row] for row in rows])
        return {key: value.to(self.accelerator.device) for key, value in media.items()}

    def _media_of(self, model: Any, core: Any, rows: list[int]) -> dict[str, Any]:
        """The images of prompts: as features where the tower is frozen, else as pixels for its gradient."""
        features = self._reference_features if model is self.ref_model else self._policy_features
        if features is None:
            return self._pixels_of(rows)
        return features.inputs(rows, self.store.__getitem__)

    # --- what a step did ---

    def step_row(self, logs: dict[str, float]) -> dict[str, Any]:
        """The measures of the step just made, from TRL's log and from the rollouts."""
        tokens = max(self._sums["tokens"], 1.0)
        return {
            "reward": logs["reward"],
            "reward_std": logs["reward_std"],
            "zero_variance_share": logs["frac_reward_zero_std"],
            "trained_share": self._sums["trained_share"],
            "resampled_groups": int(self._sums["resampled"]),
            **measures(self.rollouts),
            "entropy": self._sums["entropy"] / tokens,
            "kl": self._sums["kl"] / tokens if self.beta != 0.0 else None,
            "loss": logs.get("loss"),
            "grad_norm": logs.get("grad_norm"),
            "learning_rate": logs.get("learning_rate"),
            "reasons": dict(Counter(rollout.reward.reason for rollout in self.rollouts).most_common()),
        }
