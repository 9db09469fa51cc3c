"""The harness of `benchmarks/speed.py`: both sides do the same work, and figures that miss a goal are named."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import products
import sft_speed
import speed
import step_times
import table
import workloads
from workloads import WORKLOADS, Forced, SftLoad, Tail, Workload

LEAST = Workload("least", 56, 2, 7, 4, 1.0, Tail((3, 4), (5, 6)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workloads.model_folder(tmp_path_factory.mktemp("models") / "least")


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, padding_side="left")


@pytest.fixture(scope="module")
def figures(folder: Path) -> dict[str, Any]:
    return step_times.measure(LEAST, 1, folder, 1)


def test_both_sides_train_on_the_same_tokens_and_score_them_alike(figures: dict[str, Any]) -> None:
    assert set(figures) == {
        *("workload", "goal", "seconds", "ratio", "ratio_spread", "rounds", "completion_tokens"),
        *("tokens_per_s", "cpu_seconds", "memory_mib", "phases", "agreement"),
    }
    tokens = [int(LEAST.lengths(1).sum())]
    assert figures["completion_tokens"] == {"ours": tokens, "peer": tokens}
    apart = figures["agreement"]
    assert apart["tokens"] == LEAST.lengths(0).sum()
    assert max(apart[key] for key in ("logps", "reference_logps", "kl", "loss")) <= 1e-4
    for side in ("ours", "peer"):
        parts = figures["phases"][side]
        assert set(parts) == {"rollout", "reference", "other", "training"}
        assert sum(parts.values()) == pytest.approx(figures["seconds"][side], abs=0.01)
        assert all(value > 0 for value in parts.values())
        assert figures["memory_mib"][side] > 0
    json.dumps(figures)
    assert "least: " in table.step(figures)


def test_sft_sides_see_the_same_rows_and_losses(folder: Path) -> None:
    figures = sft_speed.measure(SftLoad("least", 56, 4, 8, 32), 1, folder, 1)
    assert figures["agreement"]["loss"] <= 1e-4
    assert figures["answer_tokens"] == [sum(SftLoad("least", 56, 4, 8, 32).lengths(2)[4:])]


def test_the_rule_ends_every_row_at_its_length_whatever_the_order_of_rows(tokenizer: Any) -> None:
    rule = Forced(LEAST, 2, tokenizer)
    asked = workloads.rows(LEAST, 2, tokenizer)[4:]
    texts = [
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        f"<|vision_start|>{'<|image_pad|>' * 4}<|vision_end|>{row.question}<|im_end|>\n<|im_start|>assistant\n"
        for row in asked
        for _ in range(LEAST.group)
    ]
    ids = tokenizer(texts, return_tensors="pt", padding=True)["input_ids"]
    assert ids.shape[1] == workloads.prompt_length(LEAST, tokenizer)
    padding = torch.full((len(ids), 3), tokenizer.pad_token_id)
    ids = torch.cat([padding, ids], 1)
    lengths, wanted = torch.zeros(len(ids), dtype=torch.long), LEAST.lengths(1).ravel()
    generator = torch.Generator().manual_seed(0)
    for step in range(LEAST.tokens):
        logits = rule(ids, torch.zeros(len(ids), len(tokenizer)))
        tokens = torch.multinomial(logits.softmax(-1), 1, generator=generator)
        lengths[(tokens[:, 0] == tokenizer.eos_token_id) & (lengths == 0)] = step + 1
        ids = torch.cat([ids, tokens], 1)
        order = torch.randperm(len(ids), generator=generator)
        if step:  # rows ask for their first token in any order within their problem, and then move about
            ids, lengths, wanted = ids[order], lengths[order], wanted[order.numpy()]
    assert lengths.tolist() == wanted.tolist()
    sampled = ids[:, -LEAST.tokens :]
    special = set(tokenizer.added_tokens_decoder) - {tokenizer.eos_token_id}
    assert not special & set(sampled.flatten().tolist())


def test_lengths_that_are_not_the_tables_are_refused() -> None:
    reports = [{"logs": {"num_tokens": 90 * n, "completions/mean_length": 4.0}} for n in (1, 2)]
    with pytest.raises(RuntimeError, match="least: ours made"):
        step_times.check_tokens(LEAST, {"ours": reports, "peer": reports})
    other = [{"logs": {"num_tokens": 91 * n, "completions/mean_length": 4.0}} for n in (1, 2)]
    with pytest.raises(RuntimeError, match="tokens of prompts and completions differ"):
        step_times.check_tokens(LEAST, {"ours": reports, "peer": other})


def test_most_lengths_of_w4_are_short_and_some_are_the_cap() -> None:
    for step in (0, 1, 2):
        lengths = WORKLOADS["W4"].lengths(step)
        assert (lengths < 64).mean() == 0.75 and (lengths == 512).sum() == 4
    assert not np.array_equal(WORKLOADS["W4"].lengths(1), WORKLOADS["W4"].lengths(2))


def test_the_ceiling_counts_the_weights_once_a_token(folder: Path) -> None:
    shape = products.Shape.of(folder)
    tokens = 10
    weights = 4 * shape.hidden**2 + 3 * shape.hidden * shape.intermediate
    assert sum(n * p.flops for p, n in products.layer(shape, tokens).items()) == 2 * tokens * weights
    found = products.bills(LEAST, shape, 50)
    flops = {phase: sum(n * p.flops for p, n in bill.items()) for phase, bill in found.items()}
    assert flops["training"] == 3 * flops["reference"]
    # Tokens of the decoding are those of the completions, one by one.
    decoded = sum(n * p.m for p, n in found["rollout"].items() if p.n == shape.vocabulary)
    assert decoded == LEAST.lengths(1).sum()


def test_a_missed_goal_is_named() -> None:
    good = {"workload": "W1", "ratio": 2.0, "goal": 1.7, "memory_mib": {"ours": 1, "peer": 2}}
    slow = {"workload": "W2", "ratio": 2.0, "goal": 5.0, "memory_mib": {"ours": 3, "peer": 2}}
    rollouts = {"workload": "W2 rollouts", "ratio": 5.0, "goal": 4.0, "vllm": {"ratio": 0.5, "goal": 1.0}}
    words = speed.missed({"steps": [good, slow], "rollouts": [rollouts]})
    assert len(words) == 3 and words[0].startswith("W2: 2.0") and "MiB" in words[1] and "vllm" in words[2]
    assert speed.missed({"steps": [good]}) == []
