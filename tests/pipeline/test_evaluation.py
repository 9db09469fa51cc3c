import random

import numpy as np
import pytest
import torch

from vision_r1.core.config import to_plain, validate
from vision_r1.core.errors import ConfigError, ImageUseError
from vision_r1.evals.config import DEFAULT_CAP, EvaluateSettings
from vision_r1.models.load import load_model
from vision_r1.pipeline.config import Recipe
from vision_r1.pipeline.evaluation import check_image_use, common_cap
from vision_r1.pipeline.run import run_recipe
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.tiny_world import make_problems
from vision_r1.recipes import build


def test_the_cap_is_twice_the_last_stages():
    assert common_cap(EvaluateSettings(), {"ptst_1": 64, "ptst_2": 128}) == 256
    assert common_cap(EvaluateSettings(), {}) == DEFAULT_CAP
    assert common_cap(EvaluateSettings(max_new_tokens=300), {"ptst_1": 64, "ptst_2": 128}) == 300


def test_a_smaller_cap_is_refused():
    with pytest.raises(ConfigError, match="below twice the last stage's cap of 128"):
        common_cap(EvaluateSettings(max_new_tokens=200), {"ptst_2": 128})


# --- images must reach the model before it is trained ---


@pytest.fixture(scope="module")
def blind(random_model_dir, tmp_path_factory):
    """The random model with a vision tower that gives the same for every picture."""
    loaded = load_model(str(random_model_dir))
    with torch.no_grad():
        for parameter in loaded.model.model.visual.merger.parameters():
            parameter.zero_()
    folder = tmp_path_factory.mktemp("blind") / "model"
    loaded.model.save_pretrained(folder)
    loaded.processor.save_pretrained(folder)
    return folder


def test_the_check_before_training_leaves_random_states_alone(random_model_dir, blind):
    problems = make_problems(TinyWorldData(split="train", n=12))
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    check_image_use(str(random_model_dir), problems)
    with pytest.raises(ImageUseError):
        check_image_use(str(blind), problems)
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert torch.equal(states[0], after[0])
    assert states[1:] == after[1:]


@pytest.mark.parametrize("stage", ["sft", "rl"])
def test_training_a_model_that_no_image_reaches_stops_before_its_first_step(blind, tmp_path, stage):
    plain = to_plain(build("vision-r1"))
    problems = {"kind": "tiny_world", "split": "train", "n": 60}
    plain["model"] = str(blind)
    plain["data"] |= {"sft": {"kind": "gold_answers", "problems": problems}, "rl": problems}
    plain["stages"] = {stage: plain["stages"][stage]}
    if stage == "rl":
        for entry in plain["stages"]["rl"]["schedule"]:
            entry["max_completion_length"] = 16
    with pytest.raises(ImageUseError):
        run_recipe(validate(Recipe, plain), tmp_path / "run")
    assert not list((tmp_path / "run").rglob("log.jsonl"))
    assert not list((tmp_path / "run").rglob("*.safetensors"))
