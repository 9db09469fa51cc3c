"""Bad input is refused before a run directory is there."""

import json
import shutil

import pytest

from vision_r1.core.config import apply_overrides, to_plain, validate
from vision_r1.core.errors import InputError
from vision_r1.core.progress import Silent
from vision_r1.models.load import check_model
from vision_r1.pipeline.config import Recipe
from vision_r1.pipeline.preflight import preflight
from vision_r1.pipeline.run import run_recipe
from vision_r1.recipes import build


@pytest.fixture
def recipe(random_model_dir):
    def make(*overrides):
        own = [f"model={random_model_dir}", f"stages.construct.mllm={random_model_dir}"]
        return validate(Recipe, apply_overrides(to_plain(build("vision-r1")), [*own, *overrides]))

    return make


@pytest.fixture
def broken(tmp_path):
    """A table of problems whose second row has no answer."""
    path = tmp_path / "broken.jsonl"
    rows = [{"question": "2+2?", "answer": "4"}, {"question": "3+3?", "answer": ""}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"{{kind: file, path: {path}}}"


@pytest.mark.parametrize("section", ["cold_start", "rl", "validation", "test", "generalisation.broken"])
def test_a_broken_row_is_found_before_anything_trains(recipe, broken, section, tmp_path):
    with pytest.raises(InputError, match=r"broken\.jsonl, .*2"):
        run_recipe(recipe(f"data.{section}={broken}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_damaged_record_of_the_base_is_found_before_anything_trains(recipe, random_model_dir, tmp_path):
    shutil.copytree(random_model_dir, tmp_path / "base")
    (tmp_path / "base" / "training_data.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        InputError, match=r"training_data\.parquet: the record of the training data is damaged"
    ):
        run_recipe(recipe(f"model={tmp_path / 'base'}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model=/no/model", "no such model"),
        ("model=tiny:giant", "no shipped model"),
        ("stages.construct.mllm=/no/model", "no such model"),
        ("stages.rl.reward=missing.py:fn", r"missing\.py"),
    ],
)
def test_models_and_rewards_are_looked_for(recipe, tmp_path, override, message):
    with pytest.raises(InputError, match=message):
        run_recipe(recipe(override), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "stages.rl.trl={report_to: wnadb}",
            r"^stages\.rl\.trl\.report_to: unknown 'wnadb' -- one of: .*wandb",
        ),
        ("stages.rl.trl={report_to: comet_ml}", r"^stages\.rl\.trl\.report_to: comet_ml is not installed"),
        ("stages.rl.trl={scale_rewards: nonsense}", r"^stages\.rl\.trl\.scale_rewards: "),
        ("stages.evaluate.max_new_tokens=50", r"below twice the last stage's cap"),
        ("stages.sft.trl={max_grad_norm: abc}", r"^stages\.sft\.trl\.max_grad_norm: .*valid number.*'abc'"),
        ("stages.rl.trl={lr_scheduler_type: nonsense}", r"^stages\.rl\.trl: .*nonsense"),
        (
            "data.rl.families=[shpaes]",
            r"^data\.rl\.families: unknown family \['shpaes'\] -- did you mean 'shapes'",
        ),
        ("data.validation=null", r"^data\.validation \(for rl\): missing"),
    ],
)
def test_what_a_later_stage_would_refuse_is_refused_at_once(recipe, tmp_path, override, message):
    with pytest.raises(InputError, match=message):
        run_recipe(recipe(override), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_mistyped_folder_with_one_slash_is_no_hub_id(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for override in ("model=some/typo", "stages.sft.from=some/typo"):
        with pytest.raises(InputError, match="some/typo: no such folder here, and the hub does not give it"):
            run_recipe(recipe(override), tmp_path / "run")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "2+2? <|im_end|>", "answer": "4"}, r"^data\.test, problem \S+: .*im_end"),
        ({"question": "See above.", "answer": "</answer>"}, "none of the 1 gold answers"),
    ],
)
def test_questions_and_golds_are_tried(recipe, tmp_path, row, message):
    (tmp_path / "test.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match=message):
        preflight(recipe(f"data.test={{kind: file, path: {tmp_path / 'test.jsonl'}}}"))


def _other_type(model):
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))


def _small_vocabulary(model):
    config = json.loads((model / "config.json").read_text())
    config["text_config"]["vocab_size"] = 8
    (model / "config.json").write_text(json.dumps(config))


def _no_weights(model):
    next(model.glob("*.safetensors")).unlink()


def _missing_shard(model):
    next(model.glob("*.safetensors")).rename(model / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


def _other_end(model):
    config = json.loads((model / "config.json").read_text())
    for holder in (config, config["text_config"]):
        holder["eos_token_id"] = 5
    (model / "config.json").write_text(json.dumps(config))


def _cut_weights(model):
    path = next(model.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_other_type, "'bert' does not answer about images"),
        (_small_vocabulary, "the tokenizer has .* tokens, the model 8"),
        (_no_weights, "without weights"),
        (_missing_shard, "00002-of-00002.*missing|a file of the weights is missing"),
        (_other_end, "the tokenizer's end token is .*, the model's 5"),
        (_cut_weights, r"cannot load the weights.*\.safetensors|\.safetensors: cannot load the weights"),
    ],
)
def test_a_damaged_model_is_found_without_loading_it(random_model_dir, tmp_path, damage, message):
    model = tmp_path / "model"
    shutil.copytree(random_model_dir, model)
    check_model(str(model))
    damage(model)
    with pytest.raises(InputError, match=message):
        check_model(str(model))


class Said(Silent):
    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


def test_how_many_problems_have_a_picture_is_said(recipe, tmp_path):
    (tmp_path / "rl.jsonl").write_text('{"question": "2+2?", "answer": "4", "photo": "a.png"}\n')
    said = Said()
    preflight(recipe(f"data.rl={{kind: file, path: {tmp_path / 'rl.jsonl'}}}", "data.test.n=30"), said)
    assert "data.rl: 1 problems, NONE with a picture" in said.lines
    assert "data.test: 30 problems, 30 with a picture" in said.lines
    assert len(said.lines) == 6


def test_rows_given_to_sft_are_read(recipe, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"question": "2+2?", "response": "4"}\n{"question": \n')
    with pytest.raises(InputError, match=r"rows\.jsonl, line 2"):
        preflight(recipe(f"stages.sft.from={tmp_path / 'rows.jsonl'}"))


def test_sections_of_stages_that_do_not_run_are_left_alone(recipe, broken, random_model_dir):
    preflight(recipe(f"data.cold_start={broken}", f"stages.rl.from={random_model_dir}"))
