from pathlib import Path

import pytest

from vision_r1.core.config import parse_yaml, to_plain, to_yaml, validate
from vision_r1.core.errors import ConfigError
from vision_r1.pipeline.config import Recipe
from vision_r1.pipeline.plan import changed_dials
from vision_r1.recipes import RECIPES, build, from_file
from vision_r1.recipes.user import user_recipe

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("scale", ["tiny", "3b", "7b", "32b", "72b"])
def test_every_recipe_resolves_and_survives_its_own_yaml(name, scale):
    recipe = build(name, scale, seed=3)
    assert validate(Recipe, parse_yaml(to_yaml(recipe), "x")) == recipe
    assert recipe.seed == 3


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'vision-r1'"):
        build("vision-r2")
    with pytest.raises(ConfigError, match="unknown scale"):
        build("vision-r1", "8b")


def test_the_papers_settings_at_scale():
    recipe = build("vision-r1", "7b")
    sft, rl = recipe.stages["sft"], recipe.stages["rl"]
    assert (sft.learning_rate, sft.warmup_share, sft.batch_size, sft.max_epochs, sft.max_length) == (
        5e-6, 0.05, 32, 2, 16_384,
    )  # fmt: skip
    assert sft.freeze_vision
    assert [(s.max_completion_length, s.group_size, s.steps) for s in rl.schedule] == [
        (4096, 16, 100), (8192, 8, 100),
    ]  # fmt: skip
    assert (rl.beta, rl.epsilon, rl.loss_type, rl.reward) == (0.01, 0.2, "grpo", "hfrrf")


@pytest.mark.parametrize("scale", ["tiny", "7b"])
def test_group_size_times_cap_is_constant(scale):
    schedule = build("vision-r1", scale).stages["rl"].schedule
    caps = [s.max_completion_length for s in schedule]
    products = [
        s.group_size * (c if isinstance(c, int) else c.times) for s, c in zip(schedule, caps, strict=True)
    ]
    assert len(set(products)) == 1


def test_training_data_of_the_tiny_recipe_is_of_the_train_split():
    data = build("vision-r1").data
    assert data.cold_start.split == data.rl.split == "train"
    assert data.validation.split == "validation"
    assert data.test.split == "test"
    assert data.test.n >= 500
    assert {config.split for config in data.generalisation.values()} == {"test"}


def test_paths_in_a_file_are_relative_to_it(tmp_path):
    plain = to_plain(build("vision-r1"))
    plain["data"]["rl"] = {"kind": "file", "path": "rows.jsonl", "images": "pictures"}
    path = tmp_path / "recipe.yaml"
    import yaml

    path.write_text(yaml.safe_dump(plain))
    rl = from_file(path).data.rl
    assert rl.path == tmp_path / "rows.jsonl"
    assert rl.images == tmp_path / "pictures"


def test_the_users_recipe_is_valid_once_its_data_are_filled_in():
    plain = user_recipe()
    section = {"kind": "tiny_world", "split": "train", "n": 3}
    text = to_plain(validate(Recipe, _filled(plain, section)))
    assert text["data"]["sft"]["problems"]["n"] == 3


def _filled(node, section):
    if isinstance(node, dict):
        return {key: _filled(value, section) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, section) for value in node]
    return section if isinstance(node, str) and node.startswith("@") else node


def test_the_short_example_is_the_recipe_with_fewer_problems_and_steps():
    short, whole = from_file(EXAMPLES / "short.yaml"), build("vision-r1")
    assert list(short.stages) == list(whole.stages)
    assert (short.recipe, short.model, short.final) == (whole.recipe, whole.model, whole.final)
    assert short.data.cold_start.n < whole.data.cold_start.n / 2
    steps = [sum(entry.steps for entry in recipe.stages["rl"].schedule) for recipe in (short, whole)]
    assert steps[0] < steps[1] / 4
    cut = {"n", "leak_test_n", "steps", "max_epochs", "eval_steps", "length_problems", "length_cap"}
    changes = changed_dials(to_plain(whole), to_plain(short))
    assert {key.rpartition(".")[2] for key in changes} == cut | {"sampled_problems"}


def test_the_name_of_a_folder_beside_a_recipe_file_is_taken(tmp_path):
    plain = to_plain(build("vision-r1"))
    (tmp_path / "rows").mkdir()
    for name, expected in (("rows", str(tmp_path / "rows")), ("owner/rows", "owner/rows")):
        plain["data"]["rl"] = {"kind": "dataset", "name": name}
        (tmp_path / "recipe.yaml").write_text(_text(plain))
        assert from_file(tmp_path / "recipe.yaml").data.rl.name == expected


def test_a_path_given_as_an_override_is_relative_to_the_current_directory(tmp_path, monkeypatch):
    for name in ("configs", "mine"):
        (tmp_path / name).mkdir()
    plain = to_plain(build("vision-r1"))
    plain["data"]["rl"] = {"kind": "file", "path": "rows.jsonl"}
    (tmp_path / "configs" / "recipe.yaml").write_text(_text(plain))
    monkeypatch.chdir(tmp_path / "mine")
    found = from_file(Path("../configs/recipe.yaml"), ["data.rl.images=pictures"]).data.rl
    assert found.path == tmp_path / "configs" / "rows.jsonl"
    assert found.images == tmp_path / "mine" / "pictures"


def _text(plain):
    import yaml

    return yaml.safe_dump(plain)


def test_an_error_in_a_recipe_file_names_the_file(tmp_path):
    plain = to_plain(build("vision-r1"))
    plain["stages"]["sft"]["eval_stepss"] = 3
    (tmp_path / "mine.yaml").write_text(_text(plain))
    with pytest.raises(ConfigError, match=r"mine\.yaml: stages\.sft\.eval_stepss: unknown key"):
        from_file(tmp_path / "mine.yaml")


def test_a_file_that_contains_itself_is_refused(tmp_path):
    (tmp_path / "recipe.yaml").write_text("data: &a\n  x: *a\n")
    with pytest.raises(ConfigError, match="not plain data"):
        from_file(tmp_path / "recipe.yaml")
