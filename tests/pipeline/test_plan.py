import pytest

from vision_r1.core.config import apply_overrides, to_plain, validate
from vision_r1.core.errors import ConfigError, InputError, RunStateError
from vision_r1.pipeline.config import Recipe
from vision_r1.pipeline.plan import artefact, changed_dials, check_continuation, check_data, plan
from vision_r1.recipes import build

PLAIN = to_plain(build("vision-r1"))


def recipe(*overrides):
    return validate(Recipe, apply_overrides(PLAIN, list(overrides)))


def running(*overrides):
    return [p.name for p in plan(recipe(*overrides)) if not p.skip]


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return tmp_path / "model"


@pytest.fixture
def rows(tmp_path):
    (tmp_path / "rows.jsonl").write_text("{}")
    return tmp_path / "rows.jsonl"


def test_everything_runs_by_default():
    assert running() == ["construct", "sft", "rl", "evaluate"]


def test_rl_from_a_model_needs_no_cold_start(model):
    assert running(f"stages.rl.from={model}") == ["rl", "evaluate"]


def test_sft_from_rows_needs_no_construction(rows):
    assert running(f"stages.sft.from={rows}") == ["sft", "rl", "evaluate"]


def test_sft_from_a_model_still_needs_rows(model, rows):
    assert running(f"stages.sft.from={model}") == ["construct", "sft", "rl", "evaluate"]
    assert running(f"stages.sft.from=[{model}, {rows}]") == ["sft", "rl", "evaluate"]


def test_a_file_that_holds_no_rows_is_named_with_those_that_do(tmp_path):
    (tmp_path / "qa.csv").write_text("image,question,answer")
    with pytest.raises(
        InputError, match=r"stages\.sft\.from: .*qa\.csv: a \.csv file holds no rows -- rows are"
    ):
        artefact(str(tmp_path / "qa.csv"), "stages.sft.from")


def test_a_stage_folder_of_another_run_stands_for_its_artefact(tmp_path, model):
    assert running(f"stages.rl.from={tmp_path}") == ["rl", "evaluate"]
    (tmp_path / "vision_r1_cold.json").write_text("[]")
    model.joinpath("config.json").unlink()
    assert running(f"stages.sft.from={tmp_path}") == ["sft", "rl", "evaluate"]


@pytest.mark.parametrize("stage", ["sft", "rl"])
def test_a_from_that_is_nothing_is_refused(stage, tmp_path):
    for place in (tmp_path / "no", tmp_path):
        with pytest.raises(InputError, match=rf"stages\.{stage}\.from"):
            plan(recipe(f"stages.{stage}.from={place}"))


def test_rows_for_a_stage_that_takes_none_are_refused(rows):
    with pytest.raises(ConfigError, match="only an sft stage"):
        plan(recipe(f"stages.rl.from={rows}"))


@pytest.mark.parametrize(
    ("section", "stage"), [("cold_start", "construct"), ("rl", "rl"), ("test", "evaluate")]
)
def test_a_missing_data_section_is_named(section, stage):
    with pytest.raises(ConfigError, match=rf"data\.{section} \(for {stage}\)"):
        check_data(recipe(f"data.{section}="))


def test_changes_are_found_in_lists_and_mappings():
    new = apply_overrides(PLAIN, ["stages.rl.schedule.1.steps=7", "model=x"])
    old_steps = PLAIN["stages"]["rl"]["schedule"][1]["steps"]
    assert changed_dials(PLAIN, new) == {
        "model": ("tiny:base", "x"),
        "stages.rl.schedule.1.steps": (old_steps, 7),
    }


def test_a_dial_of_a_whole_finished_rl_stage_may_not_change():
    new = apply_overrides(PLAIN, ["stages.rl.guard.patience=9"])
    assert list(check_continuation(PLAIN, new, {"ptst_1"}, "run")) == ["stages.rl.guard.patience"]
    with pytest.raises(RunStateError, match="belongs to ptst_1, ptst_2, finished already"):
        check_continuation(PLAIN, new, {"ptst_1", "ptst_2"}, "run")


def test_a_cap_of_the_evaluation_may_still_be_raised():
    new = apply_overrides(PLAIN, ["stages.evaluate.max_new_tokens=999"])
    assert list(check_continuation(PLAIN, new, {"sft"}, "run")) == ["stages.evaluate.max_new_tokens"]


def test_a_data_section_with_the_name_of_a_dial_is_no_dial():
    old = apply_overrides(PLAIN, ["data.generalisation.steps={kind: tiny_world, split: test, n: 3}"])
    new = apply_overrides(old, ["data.generalisation.steps.n=4"])
    with pytest.raises(RunStateError, match=r"data\.generalisation\.steps\.n was 3 and is now 4"):
        check_continuation(old, new, set(), "run")


@pytest.mark.parametrize("name", ["images", "image_use", "cold_start-larger"])
def test_a_model_cannot_have_the_name_of_a_folder_of_the_evaluation(name):
    with pytest.raises(ConfigError, match="is a folder of every evaluation"):
        validate(Recipe, apply_overrides(PLAIN, [f"final={name}"]))
    with pytest.raises(ConfigError, match="is a folder of every evaluation"):
        validate(Recipe, apply_overrides(PLAIN, [f"stages.rl.schedule.0.name={name}"]))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.sft={kind: chat, path: x, limit: 0}", r"^data\.sft\.limit: "),
        ("data.sft={kind: caht, path: x}", r"^data\.sft\.kind: unknown 'caht' .*did you mean 'chat'"),
        ("data.sft=[{kind: chat, path: x, layuot: plain}]", r"^data\.sft\.0\.layuot: .*'layout'"),
        (
            "data.sft={kind: gold_answers, problems: {kind: tiny_world, split: trian, n: 3}}",
            r"problems\.split",
        ),
        ("stages.rl.trl={delta: .inf}", r"^stages\.rl\.trl\.delta: inf is not a finite number"),
        ("stages.rl.trl={detla: 1}", r"^stages\.rl\.trl\.detla: .*to TRL -- did you mean 'delta'"),
        (
            "stages.rl.schedule.0.max_completion_length=0",
            r"^stages\.rl\.schedule\.0\.max_completion_length: ",
        ),
    ],
)
def test_a_setting_that_is_wrong_is_named(override, message):
    with pytest.raises(ConfigError, match=message):
        validate(Recipe, apply_overrides(PLAIN, [override]))


def test_a_dial_of_the_list_may_change_while_its_stage_is_unfinished():
    new = apply_overrides(PLAIN, ["stages.rl.schedule.1.steps=7"])
    assert list(check_continuation(PLAIN, new, {"construct", "sft", "ptst_1"}, "run")) == [
        "stages.rl.schedule.1.steps"
    ]
    with pytest.raises(RunStateError, match="belongs to ptst_2, finished already"):
        check_continuation(PLAIN, new, {"ptst_2"}, "run")


@pytest.mark.parametrize("override", ["seed=5", "model=x", "stages.sft.batch_size=3", "data.rl.n=5"])
def test_other_dials_may_not_change(override):
    with pytest.raises(RunStateError, match=override.split("=")[0]):
        check_continuation(PLAIN, apply_overrides(PLAIN, [override]), set(), "run")


def test_a_run_of_another_recipe_is_refused():
    with pytest.raises(RunStateError, match="is a run of vision-r1 at tiny"):
        check_continuation(PLAIN, {**PLAIN, "recipe": "ton"}, set(), "run")


def test_a_model_given_to_evaluate_is_measured_and_nothing_trained(model):
    assert running(f"stages.evaluate.from={model}") == ["evaluate"]


def test_construct_takes_no_artefact(model):
    with pytest.raises(ConfigError, match=r"stages\.construct\.from: .*stages\.construct\.mllm"):
        plan(recipe(f"stages.construct.from={model}"))


ENTRY = "{name: %s, max_completion_length: 9, group_size: 2, steps: 1, learning_rate: 1.0e-3}"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("final=../x", r"^final: '../x' is no plain name"),
        ("final=base", r"^final: 'base' is a variant"),
        (f"stages.rl.schedule.0={ENTRY % '../../x'}", r"^stages\.rl\.schedule\.0\.name: "),
        (f"stages.rl.schedule.1={ENTRY % 'sft'}", r"^stages\.rl\.schedule\.1\.name: .*stages\.sft too"),
        (f"stages.rl.schedule.1={ENTRY % 'rl_caps'}", r"^stages\.rl\.schedule\.1\.name: .*stages\.rl too"),
        (f"stages.rl.schedule.0={ENTRY % 'cold_start'}", r"^stages\.rl\.schedule\.0\.name: .*variant"),
        ("stages.base_think={kind: sft}", r"^stages\.base_think: "),
        ('stages={"a/b": {kind: sft}}', r"^stages\.a/b: "),
        ('stages={"_a": {kind: sft}}', r"^stages\._a: "),
        ('data.generalisation={"../x": {kind: tiny_world, split: test, n: 1}}', r"^data\.generalisation\.\.\./x: "),
    ],
)  # fmt: skip
def test_names_are_plain_and_used_once(override, message):
    with pytest.raises(ConfigError, match=message):
        recipe(override)


def test_a_misspelt_key_of_a_stage_is_named_as_written():
    with pytest.raises(ConfigError, match=r"^stages\.sft\.lerning_rate: unknown key .*'learning_rate'"):
        recipe("stages.sft.lerning_rate=1")
