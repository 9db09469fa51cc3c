import pytest
import yaml
from data_files import png
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_r1.core.errors import InputError
from vision_r1.problems import load_problems
from vision_r1.problems.config import anchored, parse_data_config
from vision_r1.problems.init import describe_user_data, init_project

RECIPE = {"recipe": "vision-r1", "data": {"train": "@train", "validation": "@validation"}, "eval": ["@test"]}


def make_folder(folder, count, header="image,question,answer", images="", name="qa.csv"):
    (folder / images).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        (folder / images / f"p{index}.png").write_bytes(png((index % 256, index // 256, 5)))
    lines = [f"p{i}.png,What is {i}?,{i}" for i in range(count)]
    (folder / name).write_text("\n".join([header, *lines]) + "\n")
    return folder


@pytest.mark.parametrize("count", [3, 12, 60])
@pytest.mark.parametrize("images", ["", "photos"])
def test_a_folder_becomes_a_config_that_loads(tmp_path, count, images):
    make_folder(tmp_path, count, "File,Prompt,Gold", images)
    result = init_project(tmp_path, None, RECIPE)
    path, data = result.config, result.data
    assert result.line().startswith(f"wrote {path}: {count} problems ({data.counts['train']} train, ")
    assert path == tmp_path / "vision-r1.yaml"
    assert ("measure next to nothing" in result.line()) == (data.counts["test"] < 30)
    written = yaml.safe_load(path.read_text())
    assert written["recipe"] == "vision-r1"
    sections = {**written["data"], "test": written["eval"][0]}
    moved = tmp_path.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    parts = {name: load_problems(parse_data_config(anchored(part, moved))) for name, part in sections.items()}
    assert {name: len(part) for name, part in parts.items()} == data.counts
    assert sum(data.counts.values()) == count and min(data.counts.values()) >= 1
    assert data.counts["train"] >= count // 3
    ids = [p.id for part in parts.values() for p in part]
    assert len(set(ids)) == count


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=3, max_size=30).filter(lambda images: len(set(images)) >= 3))
def test_no_image_is_in_two_shares(tmp_path_factory, images):
    folder = make_folder(tmp_path_factory.mktemp("user"), 8)
    lines = [f"p{i}.png,question {n},{n}" for n, i in enumerate(images)]
    (folder / "qa.csv").write_text("\n".join(["image,question,answer", *lines]) + "\n")
    data = describe_user_data(folder)
    parts = [load_problems(parse_data_config(part)) for part in (data.train, data.validation, data.test)]
    keys = [{p.media[0].key for p in part} for part in parts]
    assert all(keys) and sum(map(len, keys)) == len(set(images))
    assert [len(part) for part in parts] == list(data.counts.values())


def test_sections_are_short_and_the_same_each_time(tmp_path):
    make_folder(tmp_path, 40)
    data = describe_user_data(tmp_path)
    assert data == describe_user_data(tmp_path, tmp_path / "qa.csv")
    assert data.train == {
        "kind": "file",
        "path": str(tmp_path.resolve() / "qa.csv"),
        "images": str(tmp_path.resolve()),
        "columns": {"question": "question", "answer": "answer", "image": "image"},
        "take": {"from": 0.0, "to": 0.8, "seed": 0},
    }


def test_nothing_is_overwritten(tmp_path):
    make_folder(tmp_path, 4)
    path = init_project(tmp_path, None, RECIPE).config
    path.write_text("mine")
    with pytest.raises(InputError, match=r"vision-r1\.yaml: exists already"):
        init_project(tmp_path, None, RECIPE)
    assert path.read_text() == "mine"


def test_what_cannot_be_used_is_said_and_nothing_is_written(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        describe_user_data(tmp_path / "none")
    with pytest.raises(InputError, match=r"no \.csv file"):
        describe_user_data(tmp_path)
    make_folder(tmp_path, 2)
    with pytest.raises(InputError, match="2 different images are too few"):
        init_project(tmp_path, None, RECIPE)
    make_folder(tmp_path, 4, name="other.csv")
    with pytest.raises(
        InputError, match=r"several \.csv files: other\.csv, qa\.csv -- say which: --csv .*other\.csv"
    ):
        init_project(tmp_path, None, RECIPE)
    (tmp_path / "p1.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"other\.csv, line 3, field 'image': not an image"):
        init_project(tmp_path, tmp_path / "other.csv", RECIPE)
    (tmp_path / "other.csv").write_text("question,answer\nq,1\n")
    with pytest.raises(InputError, match="no column for the image among question, answer"):
        init_project(tmp_path, tmp_path / "other.csv", RECIPE)
    (tmp_path / "other.csv").write_text("question,answer,image\nq,1,p0.png\nr,2,\n")
    with pytest.raises(InputError, match=r"other\.csv, line 3, field 'image': no image -- name its image"):
        init_project(tmp_path, tmp_path / "other.csv", RECIPE)
    assert not (tmp_path / "vision-r1.yaml").exists()
