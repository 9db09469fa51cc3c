"""The checkpoints that come with the package are what the documents say."""

import json

import pytest

from vision_r1.evals.statistics import wilson
from vision_r1.models.load import load_model
from vision_r1.models.tiny import shipped
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.tiny_world import make_problems
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.in_process import generate
from vision_r1.rollout.request import Request
from vision_r1.teachers.language import facts_of, reading, transcript
from vision_r1.train.curriculum import parts_of
from vision_r1.train.pretrain import _record


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
def test_they_are_what_the_command_trains(role):
    record = json.loads((shipped(role) / "training.json").read_text())
    history = record.pop("history")
    assert record == _record(role, 0, 1.0)
    ends = [(entry["part"], entry["step"]) for entry in history if entry["last"]]
    assert ends == [(index, part.steps[role]) for index, part in parts_of(role).items()]


@pytest.mark.parametrize(("role", "says"), [("base", reading), ("teacher", transcript)])
@pytest.mark.parametrize("family", ["sum", "table", "bars", "shapes"])
def test_they_read_unseen_scans(role, says, family):
    problems = make_problems(TinyWorldData(split="test", n=60, seed=4, families=(family,)))
    requests = [Request(p.id, "Read the image.", p.media) for p in problems]
    traces = generate(load_model(f"tiny:{role}"), requests, Sampling(max_new_tokens=32), 0)
    right = sum(
        trace.text == says(facts_of(p.meta["scene"])) for trace, p in zip(traces, problems, strict=True)
    )
    # Four to six digits, every one right; chance is at most 1 in 10,000.
    assert wilson(right, len(problems)).low > 0.6
