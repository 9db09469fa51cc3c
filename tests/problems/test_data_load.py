import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from data_files import png, write_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_r1.core.config import validate
from vision_r1.core.errors import ConfigError, InputError
from vision_r1.pipeline.commands import data_config
from vision_r1.problems import Problem, load_problems
from vision_r1.problems.columns import cell_options, gold_letter, place_images, question_text
from vision_r1.problems.config import DatasetData, FileData, anchored, parse_data_config
from vision_r1.problems.tables import Row

REPO = Path(__file__).parents[2]
SHARED = Path(os.environ.get("VISION_R1_SHARED_DATA", REPO.parent / "shared" / "data"))


def load(path: Path, **settings: object) -> list[Problem]:
    return load_problems(validate(FileData, {"path": str(path), **settings}))


def row(**values: object) -> Row:
    return Row("f, row 1", values)


# --- the six folders of real benchmark rows ---

EXPECTED = {
    "mathvision_testmini": (304, {"choice", "auto"}),
    "tabmwp_dev": (200, {"choice", "number"}),
    "chartqa_test": (188, {"auto"}),
    "puzzlevqa": (200, {"choice"}),
    "geometry3k": (57, {"choice"}),
    "dynamath": (100, {"number", "choice", "text"}),
}


def test_every_folder_has_an_example_config():
    assert {path.stem for path in (REPO / "examples" / "data").glob("*.yaml")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_real_rows(name):
    example = REPO / "examples" / "data" / f"{name}.yaml"
    config = data_config(example)
    assert config.path.resolve() == REPO.parent / "shared" / "data" / name / "problems.jsonl"
    if not SHARED.is_dir():
        pytest.skip(f"no real benchmark rows: {SHARED} does not exist (set VISION_R1_SHARED_DATA)")
    problems = load_problems(config.model_copy(update={"path": SHARED / name / "problems.jsonl"}))
    count, types = EXPECTED[name]
    assert len(problems) == len({p.id for p in problems}) == count
    assert {p.answer_type for p in problems} == types
    for problem in problems:
        assert problem.question.count("<image>") in (0, 1) and len(problem.media) == 1
        assert (problem.answer and problem.meta.get("family")) or name == "geometry3k"
        if problem.options:
            assert "<image" not in "".join(problem.options)
            assert "ABCDEFG".index(problem.answer) < len(problem.options)
    raw = [json.loads(line) for line in (SHARED / name / "problems.jsonl").read_text().splitlines()]
    for problem, source in zip(problems, raw, strict=True):
        gold = problem.meta.get("gold", problem.answer)
        assert gold == str(source.get("answer", source.get("label"))).strip()
        if name in ("puzzlevqa", "tabmwp_dev") and problem.options:
            assert problem.options["ABCDEFG".index(problem.answer)] == gold


# --- kinds of files ---

ROWS = [{"id": f"q{i}", "question": f"What is {i}?", "answer": i, "image": f"{i}.png"} for i in range(4)]


def test_all_kinds_of_files_give_the_same_problems(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    expected = load(write_rows(tmp_path, ROWS))
    assert [(p.id, p.question, p.answer) for p in expected] == [
        (f"q{i}", f"What is {i}?", str(i)) for i in range(4)
    ]
    (tmp_path / "list.json").write_text(json.dumps(ROWS))
    (tmp_path / "keyed.json").write_text(
        json.dumps({r["id"]: {k: v for k, v in r.items() if k != "id"} for r in ROWS})
    )
    lines = [f"q{i};What is {i}?;{i};{i}.png" for i in range(4)]
    (tmp_path / "semicolon.csv").write_text("\ufeffID;Question;Answer;Image\n" + "\n".join(lines) + "\n\n")
    (tmp_path / "comma.csv").write_text("id,question,answer,image\r\n" + "\r\n".join(lines).replace(";", ","))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    (tmp_path / "lines.json").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for name in ("list.json", "keyed.json", "lines.json", "semicolon.csv", "comma.csv", "rows.parquet"):
        assert load(tmp_path / name) == expected, name


def geometry3k_rows() -> list[dict]:
    return [
        {"images": [{"bytes": png((i, 0, 0)), "path": None}], "problem": "<image>Find x.", "answer": f"{i}"}
        for i in range(3)
    ]


def test_geometry3k_parquet_of_vision_r1_rl(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "train-00000-of-00001.parquet"
    pq.write_table(pa.Table.from_pylist(geometry3k_rows()), path)
    problems = load(path, layout="vision_r1_rl")
    assert [p.answer for p in problems] == ["0", "1", "2"]
    assert problems[1].media[0].load().getpixel((0, 0)) == (1, 0, 0)
    folder = validate(DatasetData, {"name": str(tmp_path), "layout": "vision_r1_rl"})
    assert load_problems(folder) == problems == load(path, layout="geometry3k") == load(path)
    with pytest.raises(InputError, match=r"no split 'test' .*train"):
        load_problems(validate(DatasetData, {"name": str(tmp_path), "split": "test"}))


def test_saved_datasets_directory(tmp_path):
    import datasets

    data = datasets.Dataset.from_list(geometry3k_rows())
    data = data.cast_column("images", datasets.Sequence(datasets.Image()))
    datasets.DatasetDict({"train": data, "test": data.select([2])}).save_to_disk(str(tmp_path / "d"))
    config = {"name": str(tmp_path / "d"), "layout": "vision_r1_rl"}
    assert [p.answer for p in load_problems(validate(DatasetData, config))] == ["0", "1", "2"]
    assert [p.answer for p in load_problems(validate(DatasetData, config | {"split": "test"}))] == ["2"]
    with pytest.raises(InputError, match=r"no split 'dev' .*train, test"):
        load_problems(validate(DatasetData, config | {"split": "dev"}))


@pytest.mark.parametrize("name", ["./nowhere", "a/b/c", "/nowhere/at/all"])
def test_a_missing_folder_is_not_asked_of_the_hub(name):
    with pytest.raises(InputError, match="no such folder"):
        load_problems(validate(DatasetData, {"name": name}))


def test_several_images_and_marks(tmp_path):
    rows = [
        {"question": "<image2> or <image1>?", "answer": "1", "images": ["0.png", "1.png"]},
        {"question": "Both?", "answer": "1", "images": ["0.png", "1.png"]},
        {"question": "No picture?", "answer": "1", "images": []},
    ]
    one, two, three = load(write_rows(tmp_path, rows))
    assert one.question == "<image> or <image>?"
    assert one.media == two.media[::-1] and three.media == ()


# --- shares ---


def test_shares_of_a_file_partition_it(tmp_path):
    path = write_rows(tmp_path, [{"question": f"q{i}", "answer": "1"} for i in range(60)])
    parts = [load(path, take={"from": a, "to": b}) for a, b in ((0, 0.5), (0.5, 0.8), (0.8, 1.0))]
    assert {p.id for part in parts for p in part} == {p.id for p in load(path)}
    assert sum(map(len, parts)) == 60 and all(parts)
    assert load(path, take={"from": 0.0, "to": 0.5}, limit=3) == parts[0][:3]
    with pytest.raises(InputError, match=r"take: none of 60 rows"):
        load(path, take={"from": 0.5, "to": 0.500001})


def test_equal_rows_get_ids_of_their_own(tmp_path):
    path = write_rows(tmp_path, [{"question": "q", "answer": "1", "image": "1.png"}] * 3)
    ids = [p.id for p in load(path)]
    assert ids == [ids[0], f"{ids[0]}-2", f"{ids[0]}-3"]
    assert ids == [p.id for p in load(path)]


# --- choices and golds ---


@pytest.mark.parametrize(
    "cell",
    [
        ["3", "4"],
        [3, 4],
        {"A": "3", "B": "4", "C": None},
        {"b": 4, "a": 3},
        '["3", "4"]',
        '{"A": "3", "B": "4"}',
        "A. 3; B. 4",
        "(A) 3 (B) 4",
        "3 | 4",
        ["A. 3", "B. 4"],
    ],
)
def test_choices_in_any_form(cell):
    assert cell_options(row(options=cell), "options") == ("3", "4")


@pytest.mark.parametrize("cell", [None, [], "", "  ", {}, float("nan")])
def test_no_choices(cell):
    assert cell_options(row(options=cell), "options") == ()


@pytest.mark.parametrize(
    "cell", ["just text", ["one"], {"X": "1", "Y": "2"}, 7, "[1,", [str(i) for i in range(27)]]
)
def test_unreadable_choices(cell):
    with pytest.raises(InputError, match=r"^f, row 1, field 'options'"):
        cell_options(row(options=cell), "options")


def test_letters_that_are_the_whole_choice_stay():
    assert cell_options(row(o=["(A)", "(B)"]), "o") == ("(A)", "(B)")
    assert cell_options(row(o=["A", "B", "C or D"]), "o") == ("A", "B", "C or D")


@pytest.mark.parametrize(
    ("gold", "options", "kind", "letter"),
    [
        ("B", ("x", "y"), "auto", "B"),
        ("(b)", ("x", "y"), "auto", "B"),
        ("Y", ("x", "y"), "auto", "B"),
        ("4", ("6", "3", "4", "2"), "auto", "C"),
        ("1", ("6", "3", "4", "2"), "index", "B"),
        ("A", ("B", "A"), "letter", "A"),
        ("A", ("B", "A"), "text", "B"),
        ("A", ("A", "B"), "auto", "A"),
    ],
)
def test_gold_becomes_the_letter(gold, options, kind, letter):
    assert gold_letter(row(a=gold), "a", gold, options, kind) == letter


@pytest.mark.parametrize(
    ("gold", "options", "kind"),
    [
        ("E", ("x", "y"), "auto"),
        ("9", ("x", "y"), "index"),
        ("00009999", ("x", "y"), "index"),
        ("A", ("B", "A"), "auto"),
        ("x", ("x", "y"), "letter"),
    ],
)
def test_impossible_gold(gold, options, kind):
    with pytest.raises(InputError, match=r"^f, row 1, field 'a': answer .* -- .*gold"):
        gold_letter(row(a=gold), "a", gold, options, kind)


def test_templates_are_column_names_and_nothing_else():
    cells = row(question="How many?", unit="cm", **{"question.__class__": "safe"})
    assert question_text(cells, "{question} In {unit}.") == "How many? In cm."
    assert question_text(cells, "{question.__class__}") == "safe"
    assert question_text(row(question="{unit}", unit="cm"), "{question}!") == "{unit}!"


def test_one_image_for_all_pictures():
    text = "From <image1> to <image2> by <image1>"
    assert place_images(text, 1, "one_image", "w") == ("From <image> to (picture 2) by (picture 1)", (0,))
    assert place_images("No mark", 1, "one_image", "w") == ("No mark", (0,))


@given(st.permutations(range(1, 5)))
def test_numbered_marks_give_the_order(numbers):
    text = " ".join(f"<image{n}>" for n in numbers)
    assert place_images(text, 4, "strict", "w") == (" ".join(["<image>"] * 4), tuple(n - 1 for n in numbers))


# --- bad input: one line with file, row, field and the way to mend it ---

GOOD = {"id": "a", "question": "q", "answer": "1", "image": "0.png"}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"answer": ""}, r"line 2, field 'answer': the problem has no answer"),
        ({"answer": None}, r"line 2, field 'answer': the problem has no answer"),
        ({"question": " "}, r"line 2, field 'question': the question is empty"),
        ({"id": "a"}, r"line 2, field 'id': id 'a' is already that of .*rows\.jsonl, line 1"),
        ({"id": ""}, r"line 2, field 'id': the id is empty"),
        ({"image": "9.png"}, r"line 2, field 'image': no image '9\.png'"),
        ({"image": "../9.png"}, r"line 2, field 'image': path .* outside its folder"),
        ({"image": 7}, r"line 2, field 'image': expected an image path"),
        ({"image": "[broken"}, r"line 2, field 'image': not a JSON list"),
        ({"question": "<image> <image>?"}, r"line 2, field 'question': 2 <image> marks, but 1 images"),
        ({"question": "<image2>"}, r"line 2, field 'question': 1 <image> marks, but 1 images"),
        (
            {"options": ["x", "y"], "answer": "z"},
            r"line 2, field 'answer': answer 'z' is none of the 2 choices",
        ),
        ({"answer_type": "vibes"}, r"line 2, field 'answer_type': unknown answer type"),
        ({"precision": "many"}, r"line 2, field 'precision': 'many' is not a number"),
    ],
)
def test_a_bad_row_is_named(tmp_path, bad, message):
    path = write_rows(tmp_path, [GOOD, GOOD | {"id": "b"} | bad, GOOD | {"id": "c"}])
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert str(path) in caught.value.line() and caught.value.exit_code == 2
    assert "\n" not in caught.value.line()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", "", "data set is empty"),
        ("a.jsonl", '{"question": "q", "answer": "1"}\n{"question"\n', "a.jsonl, line 2: not valid JSON"),
        ("a.jsonl", "[1]\n", "a.jsonl, line 1: expected an object"),
        ("a.json", "[{},", "a.json, line 1: not valid JSON"),
        ("a.json", "7", "expected a list"),
        ("a.json", "[7]", "a.json, row 1: expected an object"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.csv", "question,answer\n", "data set is empty"),
        ("a.csv", "question,answer\nq,1\nq,1,2\n", "a.csv, line 3: 3 cells, but the header has 2"),
        ("a.csv", 'question,answer\n"q,1\n', "a.csv, line 2: not valid CSV"),
        ("a.csv", "question,question\nq,1\n", "same name"),
        ("a.parquet", "no parquet", "not a readable parquet file"),
        ("a.txt", "q", "unknown kind of file '.txt'"),
    ],
)
def test_a_bad_file_is_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path / name)
    assert name in caught.value.line()


def test_missing_file_and_folders(tmp_path):
    path = write_rows(tmp_path, [GOOD], "problems.jsonl")
    with pytest.raises(InputError, match=r"problem\.jsonl: no such file -- did you mean 'problems\.jsonl'"):
        load(tmp_path / "problem.jsonl")
    with pytest.raises(InputError, match="no such image folder"):
        load(path, images=str(tmp_path / "none"))
    with pytest.raises(InputError, match="is not a file"):
        load(tmp_path)


@pytest.mark.parametrize("cell", ["[" * 200 + "]" * 200, "9" * 5000])
def test_json_that_python_chokes_on(tmp_path, cell):
    path = write_rows(tmp_path, [])
    path.write_text(f'{{"question": "q", "answer": "1", "x": {cell}}}\n')
    with pytest.raises(InputError, match=r"rows\.jsonl.*(nested too deep|cannot be read|not valid JSON)"):
        load(path)


def test_lone_surrogates_become_question_marks(tmp_path):
    path = write_rows(tmp_path, [{"question": "a\ud800b", "answer": "1", "note": ["\udfff"]}])
    (problem,) = load(path, columns={"meta": ["note"]}, take={"from": 0.0, "to": 1.0})
    assert (problem.question, problem.meta["note"]) == ("a?b", ["?"])


def test_csv_that_is_not_utf8(tmp_path):
    (tmp_path / "a.csv").write_bytes("question,answer\nWie groß?,1\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8 text -- save it as CSV UTF-8"):
        load(tmp_path / "a.csv")


def test_missing_columns_name_the_nearest(tmp_path):
    path = write_rows(tmp_path, [GOOD])
    with pytest.raises(InputError, match=r"columns\.answer: no column 'anser' -- did you mean 'answer'"):
        load(path, columns={"answer": "anser"})
    with pytest.raises(InputError, match=r"columns\.question: no column 'unitt'"):
        load(path, columns={"question": "{question} {unitt}"})
    with pytest.raises(InputError, match=r"columns\.meta: no column 'captoin'"):
        load(path, columns={"meta": ["captoin"]})
    with pytest.raises(InputError, match=r"no column for the question \(problem\) among"):
        load(path, layout="vision_r1_rl")
    other = write_rows(tmp_path, [{"text": "q", "answer": "1"}], "other.jsonl")
    with pytest.raises(
        InputError, match=r"no column for the question .* among text, answer -- set columns\.question"
    ):
        load(other)
    assert load(other, columns={"question": "text", "id": ""})[0].question == "q"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "fil", "path": "a"}, r"d\.kind: unknown kind of data 'fil' -- did you mean 'file'"),
        ({}, "unknown kind"),
        ({"kind": "file", "path": "a", "colums": {}}, r"d\.colums: unknown key -- did you mean 'columns'"),
        ({"kind": "file", "path": "a", "columns": {"anwser": "a"}}, r"d\.columns\.anwser: .*'answer'"),
        ({"kind": "file", "path": "a", "take": {"from": 0.5, "to": 0.5}}, "`from` must be below `to`"),
        ({"kind": "file", "path": "a", "limit": "3"}, r"d\.limit"),
        ({"kind": "file", "path": "a", "max_pixels": 10**9}, r"d\.max_pixels"),
        ({"kind": "tiny_world", "split": "dev", "n": 3}, r"d\.split"),
    ],
)
def test_bad_configs(data, message):
    with pytest.raises(ConfigError, match=message):
        parse_data_config(data, "d")


CELLS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda cells: st.lists(cells, max_size=4) | st.dictionaries(st.text(max_size=3), cells, max_size=4),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(CELLS)
def test_any_cell_loads_or_is_one_of_our_errors(tmp_path_factory, cell):
    folder = tmp_path_factory.getbasetemp() / "cells"
    folder.mkdir(exist_ok=True)
    for column in ("id", "question", "answer", "image", "options", "answer_type", "precision", "family"):
        path = write_rows(folder, [GOOD | {column: cell}])
        try:
            assert len(load(path)) == 1
        except InputError as error:
            assert str(path) in error.line()


def test_loading_imports_nothing_heavy(tmp_path):
    path = write_rows(tmp_path, [GOOD])
    code = (
        "import sys; import vision_r1.problems.config; assert 'PIL.PngImagePlugin' not in sys.modules;"
        "from vision_r1.problems import load_problems; from vision_r1.problems.config import FileData;"
        f"from pathlib import Path; assert len(load_problems(FileData(path=Path({str(path)!r})))) == 1;"
        "heavy = {'torch', 'transformers', 'trl', 'datasets', 'pyarrow'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- cells that are not what they should be ---


@pytest.mark.parametrize("answer", [{"a": 1}, [{"a": 1}], [[1], [2]]])
def test_an_answer_that_is_an_object_is_refused(tmp_path, answer):
    rows = [{"question": "What?", "answer": answer}]
    with pytest.raises(InputError, match=r"line 1, field 'answer': answer must be text or a number"):
        load(write_rows(tmp_path, rows))


def test_a_list_of_images_with_a_number_too_long_to_convert_is_one_line(tmp_path):
    rows = [{"question": "What?", "answer": "1", "image": "[" + "9" * 6000 + "]"}]
    with pytest.raises(InputError, match=r"field 'image': not a JSON list of image paths"):
        load(write_rows(tmp_path, rows))


def test_choices_with_a_number_too_long_to_convert_are_one_line(tmp_path):
    rows = [{"question": "What?", "answer": "A", "options": "[" + "9" * 6000 + "]"}]
    with pytest.raises(InputError, match=r"field 'options'"):
        load(write_rows(tmp_path, rows))


# --- paths in YAML files ---


def test_paths_of_a_data_config_are_relative_to_its_file(tmp_path, monkeypatch):
    (tmp_path / "rows").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    section = {"kind": "file", "path": "rows/a.jsonl", "images": "rows"}
    (tmp_path / "data.yaml").write_text(json.dumps(section))
    config = data_config(tmp_path / "data.yaml")
    assert (config.path, config.images) == (tmp_path / "rows" / "a.jsonl", tmp_path / "rows")
    for name, expected in {
        "rows": str(tmp_path / "rows"),
        "hiyouga/geometry3k": "hiyouga/geometry3k",
        str(tmp_path / "rows"): str(tmp_path / "rows"),
    }.items():
        (tmp_path / "data.yaml").write_text(json.dumps({"kind": "dataset", "name": name}))
        assert data_config(tmp_path / "data.yaml").name == expected


def test_a_home_folder_is_not_joined_to_the_files():
    section = anchored({"kind": "chat", "path": "~/rows.json", "images": "pictures"}, Path("/there"))
    assert section["path"] == str(Path.home() / "rows.json")
    assert section["images"] == str(Path("/there/pictures"))
