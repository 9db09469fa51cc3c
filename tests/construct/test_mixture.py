"""The mixture of problems for RL; the sets are made here in their published layouts."""

import io
import json
import random
from pathlib import Path

import pytest
import yaml
from PIL import Image, ImageDraw

from vision_r1.construct.mixture import build_rl_mixture
from vision_r1.core.config import validate
from vision_r1.core.errors import ConfigError, InputError
from vision_r1.problems import load_problems
from vision_r1.problems.config import FileData, RlMixture

REPO = Path(__file__).parents[2]


def picture(seed, form="PNG", size=(256, 192)):
    """An image with shapes in it, so that copies of it can be told."""
    draw, image = random.Random(seed), Image.new("RGB", size, "white")
    for _ in range(8):
        x, y = draw.randrange(size[0] * 3 // 4), draw.randrange(size[1] * 3 // 4)
        color = tuple(draw.randrange(256) for _ in range(3))
        ImageDraw.Draw(image).rectangle(
            [x, y, x + draw.randrange(20, 90), y + draw.randrange(20, 70)], fill=color
        )
    buffer = io.BytesIO()
    image.save(buffer, format=form)
    return buffer.getvalue()


def we_math(folder, count=6):
    folder.mkdir()
    rows = []
    for i in range(count):
        (folder / f"{i}.png").write_bytes(picture(i))
        rows.append({
            "ID": "2steps_1", "key": f"2steps_{i}", "question": f"What is the length of the side number {i} in meters here?",
            "option": "A. 3; B. 4; C. No correct answer", "answer": "B", "image_path": f"{i}.png", "knowledge concept": "Length",
        })  # fmt: skip
    rows.append(rows[0] | {"answer": "E"})
    rows.append(rows[1])
    (folder / "testmini.json").write_text(json.dumps(rows))
    return {"kind": "file", "path": str(folder / "testmini.json"), "layout": "we_math", "gold": "letter"}


def geometry3k(folder, count=5):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    rows = [
        {
            "images": [{"bytes": picture(100 + i), "path": None}],
            "problem": f"<image>Find x{i}.",
            "answer": f"\\frac{{{i}}}{{7}}",
        }
        for i in range(1, count + 1)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    return {"kind": "dataset", "name": str(folder), "layout": "geometry3k"}


def scemqa(folder):
    folder.mkdir()
    (folder / "Math").mkdir()
    (folder / "Math" / "1.jpg").write_bytes(picture(200, "JPEG"))
    row = {
        "Question": "At which x?\n\nA. a\nB. b",
        "Answer (final answer highlighted)": "B",
        "ImagePath": "Math/1",
    }
    (folder / "multiple_choice.json").write_text(json.dumps({"Math": [row]}))
    return {
        "kind": "file",
        "path": str(folder / "multiple_choice.json"),
        "layout": "scemqa",
        "gold": "letter",
    }


@pytest.fixture
def sources(tmp_path):
    return {
        "we_math": {"data": we_math(tmp_path / "we_math")},
        "geometry3k": {"data": geometry3k(tmp_path / "geometry3k")},
        "scemqa": {"data": scemqa(tmp_path / "scemqa")},
    }


def build(out, sources, **settings):
    return build_rl_mixture(validate(RlMixture, {"sources": sources, **settings}), out)


def read(out):
    section = {"path": str(out / "train.parquet"), "layout": "vision_r1_rl", "gold": "letter"}
    return load_problems(validate(FileData, section))


def test_a_mixture_counts_every_row_and_reads_back(tmp_path, sources):
    report = build(tmp_path / "out", sources)
    assert report == json.loads((tmp_path / "out" / "mixture.json").read_text())
    blocks = report["sources"]
    assert (report["rows"], blocks["we_math"]["problems"], blocks["we_math"]["repeated"]) == (12, 7, 1)
    assert blocks["we_math"]["bad"] == {"gold_outside_options": 1}
    assert [block["drawn"] for block in blocks.values()] == [6, 5, 1]
    assert blocks["we_math"]["answer_types"] == {"choice": 6} and blocks["geometry3k"]["answer_types"] == {
        "auto": 5
    }
    assert blocks["we_math"]["examples"][0]["row"] == "row 7"
    problems = read(tmp_path / "out")
    assert len(problems) == len({p.id for p in problems}) == 12
    choices = [p for p in problems if p.answer_type == "choice"]
    assert {(p.answer, p.options) for p in choices} == {
        ("B", ("3", "4", "No correct answer")),
        ("B", ("a", "b")),
    }
    assert all(p.question.startswith("<image>") and p.prompt == p.question for p in problems)
    originals = {
        p.answer: p
        for p in load_problems(validate(RlMixture, {"sources": sources}).sources["geometry3k"].data)
    }
    for problem in problems:
        if problem.answer_type == "auto":
            assert problem.media == originals[problem.answer].media


def test_the_table_opens_in_datasets_with_its_images(tmp_path, sources):
    import datasets

    build(tmp_path / "out", sources)
    data = datasets.load_dataset(
        "parquet",
        data_files=str(tmp_path / "out" / "train.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert data[0]["images"][0].size == (256, 192) and {"images", "problem", "answer"} <= set(
        data.column_names
    )


def test_draws_are_seeded_and_do_not_depend_on_the_order_of_rows(tmp_path, sources):
    sources["we_math"]["count"] = 3
    build(tmp_path / "a", sources, seed=5)
    path = tmp_path / "we_math" / "testmini.json"
    path.write_text(json.dumps(json.loads(path.read_text())[::-1]))
    build(tmp_path / "b", sources, seed=5)
    build(tmp_path / "c", sources, seed=6)
    ids = [[p.id for p in read(tmp_path / name)] for name in "abc"]
    assert ids[0] == ids[1] and len(ids[0]) == 9 and ids[0] != ids[2]
    sources["we_math"]["count"] = 99
    with pytest.raises(
        InputError, match=r"sources\.we_math: 99 problems are to be drawn, but only 6 can be used"
    ):
        build(tmp_path / "d", sources)


def test_what_says_the_same_in_other_words_goes_across_sources(tmp_path):
    """The same question about a copy of the image; another question with the same answer stays."""
    names = {"a": ("How many blocks are red?", "PNG"), "b": ("How many red blocks are there?", "JPEG"),
             "c": ("How many blocks are blue?", "PNG")}  # fmt: skip
    sources = {}
    for name, (question, form) in names.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "image").write_bytes(picture(5, form))
        (folder / "rows.json").write_text(
            json.dumps([{"question": question, "answer": "2", "image": "image"}])
        )
        sources[name] = {"data": {"kind": "file", "path": str(folder / "rows.json")}}
    report = build(tmp_path / "out", sources)
    near = {name: block["near"] for name, block in report["sources"].items()}
    assert report["rows"] == 2 and near["c"] == {}
    assert sorted(map(str, (near["a"], near["b"]))) == ["{'near': 1}", "{}"]
    assert {p.question for p in read(tmp_path / "out")} > {"<image>How many blocks are blue?"}
    assert build(tmp_path / "all", sources, near_duplicates=False)["rows"] == 3


def test_the_decontaminated_variant_says_what_fell_where(tmp_path, sources):
    """One problem whole, one question beside another image, one copied image beside another question."""
    rows = json.loads((tmp_path / "we_math" / "testmini.json").read_text())
    folder = tmp_path / "evaluation"
    folder.mkdir()
    (folder / "same.png").write_bytes(picture(0))
    (folder / "other.png").write_bytes(picture(900))
    Image.open(io.BytesIO(picture(2))).resize((200, 150)).save(folder / "copy.jpg", quality=90)
    test = [
        {"question": rows[0]["question"], "answer": "4", "image": "same.png"},
        {"question": rows[1]["question"].upper(), "answer": "4", "image": "other.png"},
        {
            "question": "Which of the coloured blocks of this picture is the brightest?",
            "answer": "red",
            "image": "copy.jpg",
        },
    ]
    (folder / "test.json").write_text(json.dumps(test))
    against = {
        "bench": {"kind": "file", "path": str(folder / "test.json")},
        "itself": sources["scemqa"]["data"],
    }
    report = build(tmp_path / "out", sources, against=against)
    assert report["against"] == {"bench": 3, "itself": 1}
    blocks = report["sources"]
    assert blocks["we_math"]["fell"] == {
        "bench": {"both": 1, "near_image": 1, "same_question": 1},
        "itself": {},
    }
    assert blocks["scemqa"]["fell"] == {"bench": {}, "itself": {"both": 1}}
    assert [(block["left_out"], block["drawn"]) for block in blocks.values()] == [(3, 3), (0, 5), (1, 0)]
    assert report["rows"] == 8 and not any("number 0" in p.question for p in read(tmp_path / "out"))


def test_nothing_is_left_in_the_folder_but_the_two_files(tmp_path, sources):
    build(tmp_path / "out", sources)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["mixture.json", "train.parquet"]


def test_no_problem_left_is_an_error(tmp_path, sources):
    only = {"scemqa": sources["scemqa"]}
    with pytest.raises(InputError, match="no problem is left"):
        build(tmp_path / "out", only, against={"itself": sources["scemqa"]["data"]})
    assert not list((tmp_path / "out").iterdir())


def test_the_example_is_a_mixture_of_the_papers_sets():
    config = validate(RlMixture, yaml.safe_load((REPO / "examples" / "rl_mixture.yaml").read_text()))
    assert {name.split("_")[0] for name in config.sources} == {
        "we",
        "mathvision",
        "polymath",
        "scemqa",
        "geometry3k",
    }
    with pytest.raises(ConfigError, match="sources"):
        validate(RlMixture, {"sources": {}})
