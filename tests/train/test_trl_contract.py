"""The hooks of TRL and transformers that `train` relies on. A failure names the hook that changed."""

from __future__ import annotations

import dataclasses
import inspect
from importlib.metadata import version

import pytest
from transformers import Trainer
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLAttention, Qwen2_5_VLModel
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLModel, Qwen3VLTextAttention
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer
from trl.trainer.utils import add_fused_lm_head

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
            "a batch is handed on whole: TRL would shuffle and split it",
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
            [
                'self._metrics[mode]["kl"]',
                'self._metrics[mode]["entropy"]',
                "per_token_logps.detach()",
                "loss = ((per_token_loss * mask).sum(-1) / mask.sum(-1).clamp(min=1.0)).mean()",
                "loss = (per_token_loss * mask).sum() / mask.sum().clamp(min=1.0)",
                "(per_token_loss.size(0) * self.max_completion_length)",
                "loss = (per_token_loss * mask).sum() / normalizer",
            ],
            "the log takes KL and entropy from here; the ratio is 1 without old log-probs; passes are weighed by "
            "what each loss divides by",
        ),
        (
            GRPOTrainer,
            "__init__",
            ["add_fused_lm_head(", "self.eos_token_ids", "self.generation_config"],
            "all used",
        ),
        (
            SFTTrainer,
            "__init__",
            ["add_fused_lm_head("],
            "the model has a fused head",
        ),
        (
            Trainer,
            "training_step",
            ["self.accelerator.backward(loss, **kwargs)", "self.compute_loss("],
            "the last pass is propagated back here, the others in compute_loss",
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


def test_the_fused_head_takes_shifted_labels() -> None:
    source = inspect.getsource(add_fused_lm_head)
    for need in ("shift_labels", "fused_lm_head", "getattr(self, backbone_attr)(*args, **kwargs)"):
        assert need in source, f"add_fused_lm_head no longer has `{need}` (tested: TRL {TESTED})"


@pytest.mark.parametrize("attention", [Qwen2_5_VLAttention, Qwen3VLTextAttention])
def test_keywords_reach_the_attention_interface(attention: type) -> None:
    source = inspect.getsource(attention.forward)
    assert "ALL_ATTENTION_FUNCTIONS.get_interface(" in source and "**kwargs" in source, (
        f"{attention.__name__} no longer hands `layout` on to the attention interface"
    )


@pytest.mark.parametrize("model", [Qwen2_5_VLModel, Qwen3VLModel])
def test_features_of_images_can_be_handed_in(model: type) -> None:
    assert "mm_encoder_outputs" in inspect.signature(model.forward).parameters, (
        f"{model.__name__}.forward no longer takes `mm_encoder_outputs`"
    )
