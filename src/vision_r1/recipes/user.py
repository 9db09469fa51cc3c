"""The recipe that `vision-r1 init` writes for a user's own images, questions and answers.

Nobody has written thoughts about these images, so the cold start teaches only the form of an
answer; GRPO then rewards what is right. With thoughts of your own, or from `construct` at an
endpoint, put them in `data.sft`.
"""

from __future__ import annotations

from typing import Any


def user_recipe() -> dict[str, Any]:
    """A recipe as plain data, with `@train`, `@validation` and `@test` where the data goes."""
    schedule = [
        {"name": "ptst_1", "max_completion_length": 48, "group_size": 8, "steps": 20, "learning_rate": 1e-4},
        {"name": "ptst_2", "max_completion_length": 96, "group_size": 4, "steps": 20, "learning_rate": 1e-4},
    ]
    return {
        "recipe": "user",
        "scale": "tiny",
        "seed": 0,
        "model": "tiny:base",
        "data": {
            "sft": {"kind": "gold_answers", "problems": "@train"},
            "rl": "@train",
            "validation": "@validation",
            "test": "@test",
        },
        "stages": {
            "sft": {
                "kind": "sft",
                "learning_rate": 5e-4,
                "batch_size": 16,
                "tokens_per_pass": 16_384,
                "max_epochs": 10,
                "eval_steps": 10,
                "max_length": 1024,
                "freeze_vision": False,
            },
            "rl": {"kind": "grpo", "schedule": schedule, "prompts_per_step": 4},
            "evaluate": {"kind": "evaluate"},
        },
    }
