"""Packed groups against TRL's own log-probabilities: values and every gradient."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import train_small as small_world
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from test_train_grpo import first_batch, make_trainer
from trl import GRPOTrainer

from vision_r1.models.load import load_model
from vision_r1.train.data import image_inputs
from vision_r1.train.dynamic import flat_groups, join_rows, reserve, rows_of, take_rows
from vision_r1.train.features import VisionFeatures, is_frozen, same_towers
from vision_r1.train.groups import cut_by_tokens, cut_padded, pack_groups
from vision_r1.train.grpo import VisionGrpoTrainer


def trls(trainer: VisionGrpoTrainer, model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and entropies by TRL's own method, with the inputs that TRL would make."""
    rows = batch["prompt_rows"].tolist()
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    encoded = [trainer.store[row] for row in rows]
    media = image_inputs(encoded)
    if media:
        media["num_images"] = [0 if item.grids is None else len(item.grids) for item in encoded]
        media["mm_token_type_ids"] = (ids == trainer.processing_class.image_token_id).int()
    keep = batch["completion_ids"].shape[1]
    logps, entropies, _ = GRPOTrainer._get_per_token_logps_and_entropies(
        trainer, model, ids, mask, keep, batch_size=8, compute_entropy=True, **media
    )
    return logps, entropies


def ours(trainer: VisionGrpoTrainer, model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    trainer._forward_rows = batch["prompt_rows"].tolist()
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    logps, entropies, _ = trainer._get_per_token_logps_and_entropies(
        model, ids, mask, batch["completion_ids"].shape[1], compute_entropy=True
    )
    return logps, entropies


def scored(function: Any, trainer: VisionGrpoTrainer, model: Any, batch: dict[str, Any]) -> Any:
    """Log-probabilities, entropies and gradients of an uneven sum of them."""
    model.zero_grad()
    logps, entropies = function(trainer, model, batch)
    kept = batch["completion_mask"].bool()
    weights = torch.linspace(-1, 1, kept.numel()).view(kept.shape)
    (logps * weights)[kept].sum().backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return logps.detach()[kept], entropies.detach()[kept], grads


@pytest.mark.parametrize(
    "case", ["images", "text", "mixed", "split", "checkpointing", "frozen", "lora", "padded"]
)
def test_log_probs_and_gradients_are_trls(
    case: str, small: Path, other: Path, rewards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if case in ("text", "mixed"):
        asked = small_world.problems()
        some = [replace(p, media=()) if case == "text" or k % 2 else p for k, p in enumerate(asked)]
        monkeypatch.setattr(small_world, "problems", lambda: some)
    trainer = make_trainer(small, other, f"{rewards}:parity", tmp_path, tokens_per_pass=16_384)
    batch = first_batch(trainer)
    model = trainer.model
    if case == "split":
        trainer.tokens_per_pass = 40
    if case == "padded":
        trainer._packs = False
    if case == "checkpointing":
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if case == "frozen":
        model.model.visual.requires_grad_(False)
        trainer._policy_features = VisionFeatures(model)
    if case == "lora":
        found = get_peft_model(model, LoraConfig(target_modules=["q_proj", "v_proj", "down_proj"]))
        for name, weight in found.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.1, generator=torch.Generator().manual_seed(1))
        monkeypatch.setattr(trainer.accelerator, "unwrap_model", lambda model, **_: model.get_base_model())
        model = found
    mine, theirs = scored(ours, trainer, model, batch), scored(trls, trainer, model, batch)
    torch.testing.assert_close(mine[0], theirs[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(mine[1], theirs[1], atol=1e-4, rtol=0)
    assert mine[2].keys() == theirs[2].keys() and len(mine[2]) > 4
    for name, grad in theirs[2].items():
        torch.testing.assert_close(
            mine[2][name], grad, atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )
    towers = [name for name in mine[2] if "visual" in name]
    assert bool(towers) == (case not in ("frozen", "text"))


def test_bfloat16_agrees_within_its_own_noise(
    small: Path, other: Path, rewards: Path, tmp_path: Path
) -> None:
    trainer = make_trainer(small, other, f"{rewards}:parity", tmp_path, tokens_per_pass=16_384)
    batch = first_batch(trainer)
    with torch.no_grad():
        exact = trls(trainer, trainer.model, batch)[0]
        trainer.model.to(torch.bfloat16)
        mine, theirs = ours(trainer, trainer.model, batch)[0], trls(trainer, trainer.model, batch)[0]
    kept = batch["completion_mask"].bool()
    noise = float((theirs - exact)[kept].abs().mean())
    assert float((mine - exact)[kept].abs().mean()) < 2 * noise
    assert float((mine - theirs)[kept].abs().mean()) < 2 * noise


def test_an_image_that_is_swapped_changes_the_log_probs(
    small: Path, other: Path, rewards: Path, tmp_path: Path
) -> None:
    """The features of a frozen tower are those of the prompt's own image."""
    trainer = make_trainer(small, other, f"{rewards}:parity", tmp_path)
    trainer.model.model.visual.requires_grad_(False)
    trainer._policy_features = VisionFeatures(trainer.model)
    batch = first_batch(trainer)
    with torch.no_grad():
        before = ours(trainer, trainer.model, batch)[0]
        again = ours(trainer, trainer.model, batch)[0]
        for key, output in trainer._policy_features._kept.items():
            turned = [part.flip(0) for part in output.pooler_output]
            trainer._policy_features._kept[key] = replace(output, pooler_output=turned)
        swapped = ours(trainer, trainer.model, batch)[0]
    assert torch.equal(before, again) and float((before - swapped).abs().max()) > 2e-5


def test_features_are_computed_once_and_kept_within_their_room(small: Path, monkeypatch: Any) -> None:
    model = load_model(str(small)).model
    trainer_store = _store(small)
    calls = []
    tower = model.model.get_image_features
    monkeypatch.setattr(model.model, "get_image_features", lambda *a, **k: calls.append(1) or tower(*a, **k))
    features = VisionFeatures(model)
    first = features.inputs([0, 1], trainer_store.__getitem__)["mm_encoder_outputs"]["image"]
    again = features.inputs([1, 0], trainer_store.__getitem__)["mm_encoder_outputs"]["image"]
    assert len(calls) == 2
    assert torch.equal(first.pooler_output[0], again.pooler_output[1])
    tight = VisionFeatures(model, max_bytes=1)
    tight.inputs([0, 1], trainer_store.__getitem__)
    tight.inputs([0, 1], trainer_store.__getitem__)
    assert len(calls) == 6 and len(tight._kept) == 1
    assert not is_frozen(model)
    model.model.visual.requires_grad_(False)
    assert is_frozen(model) and same_towers(model, load_model(str(small)).model)


def _store(small: Path) -> Any:
    from vision_r1.train.data import Ask, PromptStore

    asks = [Ask(p.id, p.prompt, p.media) for p in small_world.problems(2)]
    return PromptStore(load_model(str(small)).processor, asks)


def test_towers_that_differ_are_told_apart(small: Path, other: Path) -> None:
    assert not same_towers(load_model(str(small)).model, load_model(str(other)).model)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 60)), min_size=1, max_size=30),
    st.integers(1, 200),
)
def test_passes_hold_every_completion_once_within_the_budget(
    rows: list[tuple[int, int]], budget: int
) -> None:
    prompts = {0: 5, 1: 30, 2: 1, 3: 17, 4: 50}
    owners, lengths = [row for row, _ in rows], [length for _, length in rows]
    parts = cut_by_tokens(prompts, owners, lengths, budget)
    assert sorted(k for part in parts for k in part) == list(range(len(rows)))
    for part in parts:
        cost = sum(lengths[k] for k in part) + sum(prompts[row] for row in {owners[k] for k in part})
        assert cost <= budget or len(part) == 1
        assert [owners[k] for k in part] == sorted(owners[k] for k in part)
    for part in (padded := cut_padded(lengths, budget)):
        assert len(part) == 1 or len(part) * max(lengths[k] for k in part) <= budget
    assert sorted(k for part in padded for k in part) == list(range(len(rows)))


def test_a_packed_row_predicts_every_completion_token_once() -> None:
    prompts, places = [[1, 2, 3], [4], [5, 6]], [0, 0, 1, 2]
    completions = [torch.tensor(x) for x in ([7, 8], [9], [10, 11], [12])]
    positions = [torch.arange(len(p))[None].expand(3, -1) for p in prompts]
    packed = pack_groups(prompts, positions, places, completions)
    assert packed.input_ids.tolist() == [[1, 2, 3, 7, 3, 4, 10, 5, 6]]
    assert packed.shift_labels.tolist() == [[-100, -100, 7, 8, 9, 10, 11, -100, 12]]
    assert packed.position_ids[0].tolist() == [[0, 1, 2, 3, 2, 0, 1, 0, 1]]
    assert packed.starts.tolist() == [2, 4, 5, 8]
    with pytest.raises(ValueError, match="order"):
        pack_groups(prompts, positions, [0, 1, 0, 2], completions)
    with pytest.raises(ValueError, match="empty"):
        pack_groups(prompts, positions, places, [torch.tensor([]).long(), *completions[1:]])


def test_flat_groups_and_rows() -> None:
    assert flat_groups([1, 1, 0, 1, 0, 0], 2) == [0, 2]
    assert rows_of([0, 2], 2) == [0, 1, 4, 5]
    batch = {
        "completion_ids": torch.tensor([[5, 6, 0], [7, 8, 9]]), "completion_mask": torch.tensor([[1, 1, 0], [1, 1, 1]]),
        "prompt_ids": torch.tensor([[0, 3], [1, 2]]), "prompt_mask": torch.tensor([[0, 1], [1, 1]]),
        "advantages": torch.tensor([1.0, -1.0]), "num_items_in_batch": torch.tensor(5),
    }  # fmt: skip
    first, second = take_rows(batch, [0]), take_rows(batch, [1])
    assert first["completion_ids"].tolist() == [[5, 6]] and first["prompt_ids"].tolist() == [[3]]
    joined = join_rows([second, first], pad=0)
    assert joined["completion_ids"].tolist() == [[7, 8, 9], [5, 6, 0]]
    assert joined["prompt_ids"].tolist() == [[1, 2], [0, 3]] and joined["num_items_in_batch"] == 5
    spare = list(islice(reserve(5, 1, "s", 3, {0, 1}), 3))
    assert sorted(spare) == [2, 3, 4] and spare == list(islice(reserve(5, 1, "s", 3, {0, 1}), 3))
    assert list(reserve(2, 1, "s", 3, {0, 1})) == []


def _step(trainer: VisionGrpoTrainer, batch: dict[str, Any]) -> tuple[float, dict[str, torch.Tensor]]:
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    return float(loss.detach()), {n: p.grad.clone() for n, p in trainer.model.named_parameters()}


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo", "bnpo"])
def test_without_a_kl_term_leaving_flat_groups_out_changes_nothing(
    loss_type: str, small: Path, rewards: Path, tmp_path: Path
) -> None:
    """Also: the way a batch is cut into passes does not matter, whatever the loss divides by."""
    trainer = make_trainer(
        small, small, f"{rewards}:parity", tmp_path, beta=0.0, loss_type=loss_type, prompts_per_step=3,
        tokens_per_pass=16_384,
    )  # fmt: skip
    batch = first_batch(trainer)
    batch["advantages"][:4] = 0.0
    batch["flat"] = torch.zeros(12, dtype=torch.bool)
    whole = _step(trainer, batch)
    batch["flat"][:4] = True
    trainer.tokens_per_pass = 45
    left_out = _step(trainer, batch)
    assert left_out[0] == pytest.approx(whole[0], abs=1e-6)
    for name, grad in whole[1].items():
        torch.testing.assert_close(left_out[1][name], grad, atol=2e-6, rtol=1e-4)
    batch["flat"][:] = True
    loss, grads = _step(trainer, batch)
    assert loss == 0.0 and all(not grad.any() for grad in grads.values()), "a gradient of 0, not none"


def test_flat_groups_are_asked_again_about_other_problems(small: Path, rewards: Path, tmp_path: Path) -> None:
    trainer = make_trainer(small, small, f"{rewards}:parity", tmp_path, flat_groups="resample", resamples=2)
    real, first, calls = trainer.reward, trainer.problems[0].id, []

    def flat_for_the_first(text: str, problem: Any, stop: str) -> Any:
        calls.append(problem.id)
        value = 1.0 if problem.id == first else float(len(calls) % 2)
        return replace(real(text, problem, stop), reward=value)

    trainer.reward = flat_for_the_first
    batch = first_batch(trainer)
    assert calls.count(first) == 4 and len(set(calls)) == 3
    assert trainer._sums["resampled"] == 1 and trainer._sums["trained_share"] == 1.0
    assert not batch["flat"].any()
    asked = [rollout.problem.id for rollout in trainer.rollouts[::4]]
    assert asked == [trainer._unique[row].id for row in batch["prompt_rows"][::4].tolist()]
    assert first not in asked and len(set(asked)) == 2
    assert batch["completion_mask"].sum(1).tolist() == [rollout.tokens for rollout in trainer.rollouts]
    assert batch["num_items_in_batch"] == sum(rollout.tokens for rollout in trainer.rollouts)
    logps = ours(trainer, trainer.model, batch)[0]
    torch.testing.assert_close(logps.detach(), batch["ref_per_token_logps"], atol=1e-5, rtol=0)
