"""The GRPO step against the formula, and what the reward sees."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import train_small as small_world
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.core.errors import InputError
from vision_r1.grading.user import load_reward
from vision_r1.models.encode import encode_prompts
from vision_r1.models.load import load_model
from vision_r1.models.packing import Sharing
from vision_r1.problems.problem import Problem
from vision_r1.train.config import Quantile
from vision_r1.train.grpo import VisionGrpoTrainer
from vision_r1.train.ptst import choose_cap, measure_lengths, run_ptst_stage
from vision_r1.train.quiet import quiet
from vision_r1.train.resume import read_rows
from vision_r1.train.scored import completion_text
from vision_r1.train.trl_config import grpo_config

CAP = 6


def make_trainer(model: Path, reference: Path, reward: str, out: Path, **more: Any) -> VisionGrpoTrainer:
    stage_options = more.pop("stage", {})
    one = small_world.stage(3, **stage_options)
    settings = small_world.grpo_settings(reward, one, **more)
    asked = small_world.problems()[:6]
    with quiet():
        trainer = VisionGrpoTrainer(
            load_model(str(model)),
            load_model(str(reference)).model if settings.beta else None,
            grpo_config(settings, one, CAP, out, 1),
            asked,
            load_reward(reward),
            "ptst_1",
            1,
            tokens_per_pass=settings.tokens_per_pass,
            flat_groups=settings.flat_groups,
            resamples=settings.resamples,
        )
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    return trainer


def first_batch(trainer: VisionGrpoTrainer) -> dict[str, Any]:
    return trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))


def plain_logits(loaded: Any, problem: Any, ids: list[int]) -> torch.Tensor:
    """Logits at each completion token, (tokens, vocabulary), with nothing shared and nothing padded."""
    inputs = encode_prompts(loaded.processor, [problem.question], [[problem.media[0].load()]], ["x"])
    prompt = inputs["input_ids"].shape[1]
    inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([ids])], 1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    inputs["mm_token_type_ids"] = (inputs["input_ids"] == loaded.processor.image_token_id).int()
    return loaded.model(**inputs).logits[0, prompt - 1 : -1]


def test_the_loss_is_the_papers(small: Path, other: Path, rewards: Path, tmp_path: Path) -> None:
    """Equation 1 with the k3 term, from plain forwards: value and gradient of the whole step."""
    trainer = make_trainer(small, other, f"{rewards}:parity", tmp_path)
    batch = first_batch(trainer)
    rolled = list(trainer.rollouts)
    ids = [
        row[mask.bool()].tolist()
        for row, mask in zip(batch["completion_ids"], batch["completion_mask"], strict=True)
    ]
    assert len(trainer._passes(batch)) > 1, "cut into several passes"
    piece = trainer.compute_loss(trainer.model, batch)
    piece.backward()
    loss = float(piece.detach())
    policy, reference = load_model(str(small)), load_model(str(other))
    terms = []
    scores = np.array([r.reward.reward for r in rolled]).reshape(-1, 4)
    assert scores.std(1).max() > 0, "a group must differ for the test to mean something"
    std = scores.std(1, ddof=1, keepdims=True)
    advantages = ((scores - scores.mean(1, keepdims=True)) / (std + 1e-4)).ravel()
    for k, row in enumerate(ids):
        chosen = torch.tensor(row)[:, None]
        logp = torch.log_softmax(plain_logits(policy, rolled[k].problem, row), -1).gather(1, chosen)[:, 0]
        with torch.no_grad():
            ref = torch.log_softmax(plain_logits(reference, rolled[k].problem, row), -1).gather(1, chosen)[
                :, 0
            ]
        kl = torch.exp(ref - logp) - (ref - logp) - 1
        ratio = torch.exp(logp - logp.detach())
        terms.append((-(ratio * advantages[k]) + 0.01 * kl).mean())
    expected = torch.stack(terms).mean()
    assert loss == pytest.approx(float(expected.detach()), abs=2e-5)
    expected.backward()
    for (name, mine), theirs in zip(trainer.model.named_parameters(), policy.model.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, atol=2e-5), name


def test_the_reward_sees_the_text_and_the_true_stop_reason(
    small: Path, rewards: Path, tmp_path: Path
) -> None:
    trainer = make_trainer(small, small, "hfrrf", tmp_path)
    tokenizer, problem = trainer._tokenizer, trainer.problems[0]
    right = f"<think>so</think><answer>{problem.answer}</answer>"
    ids = tokenizer(right, add_special_tokens=False)["input_ids"]
    values = trainer._score(
        [],
        completion_ids=[[*ids, tokenizer.eos_token_id], ids, [*ids[:-1], tokenizer.eos_token_id]],
        index=[0, 0, 0],
    )
    assert values == [1.0, 0.0, 0.0]
    assert [r.stop_reason for r in trainer.rollouts] == ["eos", "length", "eos"]
    assert trainer.rollouts[1].reward.reason == "length"
    assert trainer.rollouts[0].text == right


def test_with_sharing_off_the_step_is_the_same(
    small: Path, other: Path, rewards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(on: bool) -> tuple[list[str], float, list[torch.Tensor]]:
        monkeypatch.setattr(Sharing, "on", on)
        trainer = make_trainer(small, other, f"{rewards}:parity", tmp_path / str(on))
        assert trainer._packs == on
        loss = trainer.compute_loss(trainer.model, first_batch(trainer))
        loss.backward()
        grads = [weight.grad for weight in trainer.model.parameters() if weight.grad is not None]
        return [rollout.text for rollout in trainer.rollouts], float(loss.detach()), grads

    texts, loss, grads = step(on=True)
    plain_texts, plain_loss, plain_grads = step(on=False)
    assert texts == plain_texts and loss == pytest.approx(plain_loss, abs=1e-5)
    for mine, theirs in zip(grads, plain_grads, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)


def test_tags_that_are_special_tokens_are_not_lost(small: Path) -> None:
    tokenizer = load_model(str(small)).processor.tokenizer
    tags = ["<think>", "</think>", "<answer>", "</answer>"]
    tokenizer.add_special_tokens({"additional_special_tokens": tags})
    text = "<think>a</think><answer>1</answer>"
    ids = tokenizer(text + "<|im_end|>", add_special_tokens=False)["input_ids"]
    assert set(tokenizer.convert_tokens_to_ids(tags)) <= set(ids)
    assert completion_text(tokenizer, ids) == text
    assert text not in tokenizer.decode(ids, skip_special_tokens=True), "what TRL would hand to the reward"


@pytest.mark.parametrize("reference", ["stage_start", "none"])
def test_the_reference_is_the_one_that_was_asked_for(
    small: Path, other: Path, rewards: Path, tmp_path: Path, reference: str
) -> None:
    one = small_world.stage(2, reference=reference)
    settings = small_world.grpo_settings(f"{rewards}:parity", one)
    kl = []
    for name, path in (("same", small), ("other", other)):
        out = tmp_path / name
        named = None if reference == "none" else str(path)
        run_ptst_stage(settings, one, CAP, str(small), named, small_world.problems(), out, seed=1)
        kl.append(read_rows(out / "log.jsonl")[0]["kl"])
    if reference == "none":
        assert kl == [None, None]
    else:
        assert kl[0] == pytest.approx(0.0, abs=1e-6) and kl[1] > 1e-3


def run_stage(small: Path, one: Any, asked: list[Problem], rewards: Path, out: Path) -> dict[str, Any]:
    settings = small_world.grpo_settings(f"{rewards}:parity", one)
    return run_ptst_stage(settings, one, CAP, str(small), str(small), asked, out, seed=1)


def test_a_stage_asks_the_problems_in_its_order_and_logs_every_step(
    small: Path, rewards: Path, tmp_path: Path
) -> None:
    one = small_world.stage(4)
    asked = small_world.problems(5)
    summary = run_stage(small, one, asked, rewards, tmp_path)
    rows = read_rows(tmp_path / "log.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    keys = {
        "step", "steps", "reward", "reward_std", "zero_variance_share", "truncation_rate", "format_rate", "accuracy",
        "trained_share", "resampled_groups", "mean_tokens", "entropy", "kl", "loss", "grad_norm", "learning_rate", "seconds", "reasons",
    }  # fmt: skip
    assert all(set(row) == keys for row in rows)
    assert all(sum(row["reasons"].values()) == 8 and row["learning_rate"] == 1e-2 for row in rows)
    assert summary["stopped"] == "finished" and summary["group_size"] == 4
    samples = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert {sample["step"] for sample in samples} == {1, 2, 4}
    assert {sample["problem_id"] for sample in samples} <= {problem.id for problem in asked}
    assert load_model(str(tmp_path / "model")).model.dtype == torch.float32
    assert not (tmp_path / "work").exists()


def test_a_prompt_without_room_is_named(small: Path, rewards: Path, tmp_path: Path) -> None:
    one = small_world.stage(2)
    asked = small_world.problems(2)
    asked[1] = replace(asked[1], id="too-long", question="number " * 2100)
    with pytest.raises(InputError, match="context") as caught:
        run_stage(small, one, asked, rewards, tmp_path)
    assert "too-long" in caught.value.where


@given(st.lists(st.integers(1, 500), min_size=1, max_size=50), st.floats(0.01, 0.99), st.integers(1, 32))
def test_the_cap_is_a_rounded_quantile_within_its_bounds(
    lengths: list[int], quantile: float, step: int
) -> None:
    cap = choose_cap(lengths, Quantile(quantile=quantile, round_to=step, at_least=16, at_most=400))
    assert 16 <= cap <= 400
    wanted = float(np.quantile(lengths, quantile))
    if 16 <= wanted <= 400 - step:
        assert wanted <= cap < max(wanted + step, 17) and (cap % step == 0 or cap == 16)
    assert choose_cap(list(range(101)), Quantile(quantile=0.75, round_to=1)) == 75
    with pytest.raises(InputError):
        choose_cap([], Quantile(quantile=0.5))


def test_lengths_do_not_depend_on_the_batch(small: Path) -> None:
    loaded, asked = load_model(str(small)), small_world.problems(5)
    lengths = measure_lengths(loaded, asked, 12, 3)
    assert lengths == measure_lengths(loaded, asked, 12, 3, batch_size=2)
    assert len(lengths) == 5 and max(lengths) <= 12
