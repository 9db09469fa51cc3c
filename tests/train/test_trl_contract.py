"""The hooks of TRL and transformers that `train` relies on. A failure names the hook that changed."""

from __future__ import annotations

import dataclasses
import inspect
from importlib.metadata import version

import pytest
from transformers import DynamicCache, Trainer
from transformers.cache_utils import Cache, DynamicLayer
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

TESTED = "1.16"


def test_trl_is_the_tested_version() -> None:
    assert version("trl").startswith(f"{TESTED}."), (
        f"TRL {version('trl')} is installed, {TESTED} was tested: read its GRPOTrainer and SFTTrainer against "
        "train/grpo.py, train/sft.py and train/trl_config.py, then move the version here"
    )


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (GRPOTrainer, "_generate_and_score_completions", ["self", "inputs"]),
        (GRPOTrainer, "_tokenize_prompts", ["self", "prompts"]),
        (
            GRPOTrainer,
            "_generate_single_turn",
            ["self", "prompt_ids", "images", "multimodal_fields", "num_generations"],
        ),
        (GRPOTrainer, "_prepare_inputs", ["self", "generation_batch"]),
        (GRPOTrainer, "compute_loss", ["self", "model", "inputs", "return_outputs", "num_items_in_batch"]),
        (
            GRPOTrainer,
            "_get_per_token_logps_and_entropies",
            [
                "self",
                "model",
                "input_ids",
                "attention_mask",
                "logits_to_keep",
                "batch_size",
                "compute_entropy",
            ],
        ),
        (SFTTrainer, "compute_loss", ["self", "model", "inputs", "return_outputs", "num_items_in_batch"]),
        (Trainer, "_load_from_checkpoint", ["self", "resume_from_checkpoint", "model"]),
        (DynamicLayer, "update", ["self", "key_states", "value_states"]),
        (Cache, "batch_select_indices", ["self", "indices"]),
    ],
)
def test_hook_has_its_parameters(owner: type, name: str, parameters: list[str]) -> None:
    found = list(inspect.signature(getattr(owner, name)).parameters)
    assert found[: len(parameters)] == parameters, (
        f"hook {owner.__name__}.{name} changed (tested: TRL {TESTED})"
    )


@pytest.mark.parametrize(
    ("owner", "name", "needs", "why"),
    [
        (
            GRPOTrainer,
            "_prepare_inputs",
            ["self._step % generate_every", "self._buffered_inputs", "shuffle_sequence_dict"],
            "our micro-batches replace this buffer",
        ),
        (
            GRPOTrainer,
            "_generate_and_score_completions",
            ["self.ref_model,", "gradient_accumulation_steps % generate_every", "self._generate(prompts)"],
            "the reference is read from `ref_model`, old log-probs are left out, prompts go through `_generate`",
        ),
        (
            GRPOTrainer,
            "_generate",
            ["self._tokenize_prompts(", "self._generate_single_turn("],
            "both are ours",
        ),
        (
            GRPOTrainer,
            "_calculate_rewards",
            ["completion_ids=completion_ids_list", "reward_kwargs"],
            "our reward reads the ids and the index column",
        ),
        (
            GRPOTrainer,
            "_compute_loss",
            ['self._metrics[mode]["kl"]', 'self._metrics[mode]["entropy"]', "per_token_logps.detach()"],
            "the log takes KL and entropy from here; the ratio is 1 without old log-probs",
        ),
        (
            GRPOTrainer,
            "__init__",
            ["add_fused_lm_head(", "self.eos_token_ids", "self.generation_config"],
            "all used",
        ),
        (
            SFTTrainer,
            "compute_loss",
            ["num_items_in_batch", "fused_lm_head=True"],
            "the loss is the token mean",
        ),
        (
            Trainer,
            "_get_num_items_in_batch",
            ["self.model_accepts_loss_kwargs"],
            "with it set, labels of the whole batch are counted",
        ),
        (
            Trainer,
            "training_step",
            ["self.model_accepts_loss_kwargs and num_items_in_batch is not None"],
            "no rescale",
        ),
    ],
)
def test_hook_does_what_we_rely_on(owner: type, name: str, needs: list[str], why: str) -> None:
    source = inspect.getsource(getattr(owner, name))
    for need in needs:
        assert need in source, (
            f"hook {owner.__name__}.{name} no longer has `{need}`: {why} (tested: TRL {TESTED})"
        )


def test_the_checkpoints_mark_is_written_after_everything_it_stands_for() -> None:
    source = inspect.getsource(Trainer._save_checkpoint)
    order = ["self.save_model(", "_save_optimizer_and_scheduler(", "_save_rng_state(", "TRAINER_STATE_NAME"]
    places = [source.find(step) for step in order]
    assert -1 not in places and places == sorted(places), "Trainer._save_checkpoint writes in another order"


def test_defaults_that_our_tables_name() -> None:
    grpo = {field.name: field.default for field in dataclasses.fields(GRPOConfig)}
    sft = {field.name: field.default for field in dataclasses.fields(SFTConfig)}
    named = {
        "loss_type": "dapo", "beta": 0.0, "epsilon": 0.2, "epsilon_high": None, "delta": None, "scale_rewards": "group",
        "num_iterations": 1, "temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": None, "shuffle_dataset": True,
        "importance_sampling_level": "token", "mask_truncated_completions": False, "use_bias_correction_kl": True,
        "gradient_checkpointing": True, "entropy_coef": 0.0, "top_entropy_quantile": 1.0, "sync_ref_model": False,
        "multi_objective_aggregation": "sum_then_normalize", "off_policy_mask_threshold": None,
    }  # fmt: skip
    assert {key: grpo[key] for key in named} == named, (
        f"a default of GRPOConfig changed (tested: TRL {TESTED})"
    )
    named = {"max_length": 1024, "packing": False, "loss_type": "nll", "gradient_checkpointing": True}
    assert {key: sft[key] for key in named} == named, f"a default of SFTConfig changed (tested: TRL {TESTED})"


def test_a_cache_can_be_repeated_and_selected_with_gradient() -> None:
    import torch

    keys = torch.ones(2, 1, 3, 4, requires_grad=True)
    cache = DynamicCache()
    cache.update(keys, keys, 0)
    cache.batch_select_indices(torch.tensor([0, 0, 1]))
    cache.layers[0].keys.sum().backward()
    assert keys.grad is not None and keys.grad[0].max() == 2, (
        "hook Cache.batch_select_indices cuts the gradient"
    )
