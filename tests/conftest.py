"""Shared fixtures: a random tiny model, small enough to be made in every test session."""

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest


@pytest.fixture(scope="session")
def random_model_dir(tmp_path_factory) -> Path:
    """A model directory with random weights, width 32, and its processor."""
    from vision_r1.models.tiny import Size, build_config, build_model, build_processor, train_tokenizer
    from vision_r1.teachers.reasoner import sample_corpus

    folder = tmp_path_factory.mktemp("models") / "random"
    processor = build_processor(
        train_tokenizer([*sample_corpus(0, 200), "You are a helpful assistant."] * 2, 420)
    )
    model = build_model(build_config(processor.tokenizer, Size(32, 64, 2, 2, 32, 64, 1)), seed=0)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
