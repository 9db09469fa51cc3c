"""Bad input is refused before a run directory is there."""

import json

import pytest

from vision_r1.core.config import apply_overrides, to_plain, validate
from vision_r1.core.errors import InputError
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


def test_rows_given_to_sft_are_read(recipe, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"question": "2+2?", "response": "4"}\n{"question": \n')
    with pytest.raises(InputError, match=r"rows\.jsonl, line 2"):
        preflight(recipe(f"stages.sft.from={tmp_path / 'rows.jsonl'}"))


def test_sections_of_stages_that_do_not_run_are_left_alone(recipe, broken, random_model_dir):
    preflight(recipe(f"data.cold_start={broken}", f"stages.rl.from={random_model_dir}"))
