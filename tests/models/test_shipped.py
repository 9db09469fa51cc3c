"""The checkpoints that come with the package are what the documents say."""

import json

import pytest

from vision_r1.evals.statistics import wilson
from vision_r1.models.load import load_model
from vision_r1.models.tiny import shipped
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.tiny_world import make_problems
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.in_process import Request, generate
from vision_r1.teachers.language import facts_of, reading


def test_together_they_are_small():
    sizes = [path.stat().st_size for role in ("base", "teacher") for path in shipped(role).rglob("*")]
    assert sum(sizes) <= 16e6


@pytest.mark.parametrize(("role", "most"), [("base", 2.2e6), ("teacher", 6e6)])
def test_they_are_real_qwen_models_of_the_stated_size(role, most):
    model = load_model(f"tiny:{role}").model
    assert type(model).__name__ == "Qwen2_5_VLForConditionalGeneration"
    assert 1e6 < sum(p.numel() for p in model.parameters()) <= most
    assert json.loads((shipped(role) / "training.json").read_text())["role"] == role


@pytest.mark.parametrize("role", ["base", "teacher"])
def test_they_read_unseen_scans(role):
    problems = make_problems(TinyWorldData(split="test", n=90, seed=4, families=("sum",)))
    requests = [Request(p.id, "Read the image.", p.media) for p in problems]
    traces = generate(load_model(f"tiny:{role}"), requests, Sampling(max_new_tokens=32), 0)
    right = sum(
        trace.text == reading(facts_of(p.meta["scene"])) for trace, p in zip(traces, problems, strict=True)
    )
    # Rows of four and five digits, every one right; chance is 1 in 10,000.
    assert wilson(right, len(problems)).low > 0.6
