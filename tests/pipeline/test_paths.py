from pathlib import Path

import pytest

from vision_r1.core.config import apply_overrides, to_plain, validate
from vision_r1.core.errors import InputError
from vision_r1.models.processor_load import load_processor
from vision_r1.pipeline.config import Recipe
from vision_r1.pipeline.paths import here
from vision_r1.pipeline.plan import artefact
from vision_r1.problems.config import FileData, anchored
from vision_r1.problems.load import load_problems
from vision_r1.recipes import build


def test_every_local_path_of_a_recipe_is_made_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("my_model", "teacher", "rows"):
        Path(name).mkdir()
    Path("my.py").touch()
    changed = [
        "model=my_model",
        "stages.construct.mllm=teacher",
        "stages.sft.from=[rows, owner/model]",
        "stages.rl.reward='my.py:fn'",
        "data.rl={kind: file, path: rows.jsonl}",
    ]
    recipe = validate(Recipe, apply_overrides(to_plain(build("vision-r1")), changed))
    plain = to_plain(here(recipe))
    assert plain["model"] == str(tmp_path / "my_model")
    assert plain["stages"]["construct"]["mllm"] == str(tmp_path / "teacher")
    assert plain["stages"]["sft"]["from"] == [str(tmp_path / "rows"), "owner/model"]
    assert plain["stages"]["rl"]["reward"] == f"{tmp_path / 'my.py'}:fn"
    assert plain["data"]["rl"]["path"] == str(tmp_path / "rows.jsonl")
    monkeypatch.chdir("/")
    assert to_plain(here(validate(Recipe, plain))) == plain


def test_names_stay_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = build("vision-r1")
    assert here(recipe) == recipe
    published = to_plain(here(build("vision-r1", "7b")))
    assert published["model"] == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert published["data"]["rl"]["name"] == "Osilly/Vision-R1-rl"
    assert Path(published["data"]["sft"][0]["path"]).is_relative_to(tmp_path)


@pytest.mark.parametrize("name", ["~nobody-of-that-name/model", "m" * 300, "a\0b", ""])
def test_a_name_that_can_be_no_path_stays_as_it_is(name):
    plain = to_plain(build("vision-r1"))
    plain["model"] = plain["stages"]["sft"]["from"] = name
    kept = to_plain(here(validate(Recipe, plain)))
    assert kept["model"] == kept["stages"]["sft"]["from"] == name


@pytest.mark.parametrize("name", ["~nobody-of-that-name/model/x", "m" * 300, "a\0b"])
def test_a_model_that_can_be_no_path_is_one_error(name):
    with pytest.raises(InputError, match="no such model directory"):
        load_processor(name)


@pytest.mark.parametrize("name", ["~nobody-of-that-name/model", "m" * 300, "a\0b"])
def test_an_artefact_that_can_be_no_path_is_one_error(name):
    with pytest.raises(InputError, match="no such artefact"):
        artefact(name, "stages.sft.from")


@pytest.mark.parametrize("name", ["~nobody-of-that-name/rows.jsonl", "m" * 300])
def test_data_at_a_path_that_cannot_be_is_one_error(name, tmp_path):
    section = FileData(path=Path(anchored({"kind": "file", "path": name}, tmp_path)["path"]))
    with pytest.raises(InputError):
        load_problems(section)


def test_a_data_set_name_that_can_be_no_path_stays_a_name():
    section = {"kind": "dataset", "name": "m" * 300}
    assert anchored(section, Path("/data")) == section
