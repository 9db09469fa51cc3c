import hashlib
import io
import json
import os
import random
import tracemalloc
from pathlib import Path

import pytest
from data_files import png, write_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vision_r1.core.config import validate
from vision_r1.core.errors import InputError
from vision_r1.problems import load_problems
from vision_r1.problems.config import DatasetData, FileData, TinyWorldData
from vision_r1.problems.decode import plain_format
from vision_r1.problems.lenient import load_problems_leniently, load_questions
from vision_r1.problems.problem import content_key

SHARED = Path(
    os.environ.get("VISION_R1_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)
GOOD = {"id": "a", "question": "q", "answer": "1", "image": "0.png", "options": None}
FAULTS = [
    ({"answer": ""}, "no_answer", "the problem has no answer"),
    ({"answer": {"a": 1}}, "bad_cell", "answer must be text"),
    ({"question": " "}, "no_question", "the question is empty"),
    ({"image": "9.png"}, "missing_image", "no image '9.png'"),
    ({"image": "bad.png"}, "corrupt_image", "damaged"),
    ({"image": "text.png"}, "corrupt_image", "not an image"),
    ({"image": "empty.png"}, "corrupt_image", "the image file is empty"),
    ({"image": "large.png"}, "image_too_large", "9500x9500 pixels, more than max_pixels 89,478,485"),
    ({"image": "../9.png"}, "image_outside_folder", "outside its folder"),
    ({"image": 7}, "bad_cell", "expected an image path"),
    ({"image": None, "question": "<image> What?"}, "no_image", "1 <image> marks, but 0 images"),
    ({"image": None, "question": "What is in the picture?"}, "no_image", "the question needs an image"),
    ({"image": None, "question": "As shown, AB = 5. Find BC."}, "no_image", "the question needs an image"),
    ({"question": "<image> <image>?"}, "bad_marks", "2 <image> marks, but 1 images"),
    ({"options": ["x", "y"], "answer": "z"}, "gold_outside_options", "'z' is none of the 2 choices"),
    ({"options": ["B", "A"], "answer": "A"}, "ambiguous_gold", "the letter of one choice"),
    ({"options": "x"}, "bad_options", "cannot read 'x' as choices"),
    ({"id": "good0"}, "repeated_id", "the id is already that of line 1"),
    ({"id": ""}, "bad_cell", "the id is empty"),
    ({"precision": "many"}, "bad_cell", "not a number of decimals"),
]


def bomb():
    """More pixels than anybody decodes, in a few KB."""
    buffer = io.BytesIO()
    Image.new("1", (9500, 9500)).save(buffer, format="PNG")
    return buffer.getvalue()


BOMB = bomb()


def noise():
    buffer = io.BytesIO()
    Image.frombytes("RGB", (10, 10), random.Random(0).randbytes(300)).save(buffer, format="PNG")
    return buffer.getvalue()


def section(path, **settings):
    return validate(FileData, {"path": str(path), "max_pixels": 100, **settings})


def table(folder, rows):
    path = write_rows(folder, rows)
    (folder / "bad.png").write_bytes(noise()[:150])
    (folder / "text.png").write_bytes(b"no picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "large.png").write_bytes(BOMB)
    return path


def test_every_fault_is_set_aside_with_its_reason_and_place(tmp_path):
    rows = [GOOD | {"id": "good0"}]
    for number, (fault, _, _) in enumerate(FAULTS):
        rows += [GOOD | {"id": f"bad{number}"} | fault, GOOD | {"id": f"good{number + 1}"}]
    problems, bad = load_problems_leniently(section(table(tmp_path, rows)))
    assert [p.id for p in problems] == [f"good{i}" for i in range(len(FAULTS) + 1)]
    assert [(row.row, row.reason) for row in bad] == [
        (f"line {2 * number + 2}", reason) for number, (_, reason, _) in enumerate(FAULTS)
    ]
    for row, (fault, _, detail) in zip(bad, FAULTS, strict=True):
        assert detail in row.detail and str(tmp_path) not in row.detail and "\n" not in row.detail
        assert (
            row.source_id == fault.get("id", row.source_id)
            and row.question == str(fault.get("question", "q")).strip()
        )
    assert len({row.key("s") for row in bad}) == len(bad)
    assert bad[0].key("s") != bad[0].key("t") and len(bad[0].key("s")) == 32
    assert bad[14].options == ("x", "y") and bad[14].answer == "z"
    assert problems[3].meta["row"] == "line 7"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([None, *range(len(FAULTS) - 3)]), min_size=1, max_size=8))
def test_every_row_is_a_problem_or_set_aside(tmp_path_factory, kinds):
    folder = tmp_path_factory.getbasetemp() / "lenient"
    folder.mkdir(exist_ok=True)
    rows = [GOOD | {"id": str(i)} | ({} if kind is None else FAULTS[kind][0]) for i, kind in enumerate(kinds)]
    path = table(folder, rows)
    problems, bad = load_problems_leniently(section(path))
    assert [p.id for p in problems] == [str(i) for i, kind in enumerate(kinds) if kind is None]
    assert [row.reason for row in bad] == [FAULTS[kind][1] for kind in kinds if kind is not None]
    if any("needs an image" not in row.detail for row in bad):
        with pytest.raises(InputError):
            load_problems(section(path))
    elif not bad:
        assert load_problems(section(path)) == problems


@pytest.mark.parametrize(
    "name", ["mathvision_testmini", "tabmwp_dev", "chartqa_test", "puzzlevqa", "geometry3k", "dynamath"]
)
def test_real_rows_load_as_they_do_strictly(name):
    from vision_r1.pipeline.commands import data_config

    if not SHARED.is_dir():
        pytest.skip(f"no real benchmark rows: {SHARED} does not exist (set VISION_R1_SHARED_DATA)")
    config = data_config(Path(__file__).parents[2] / "examples" / "data" / f"{name}.yaml")
    config = config.model_copy(update={"path": SHARED / name / "problems.jsonl"})
    strict = load_problems(config)
    assert load_problems_leniently(config) == (strict, [])
    assert len({content_key(problem) for problem in strict}) >= len(strict) - 1


def test_shares_and_limits_are_those_of_the_strict_loader(tmp_path):
    rows = [{"question": f"q{i}", "answer": "1", "image": f"{i % 4}.png"} for i in range(12)]
    path = write_rows(tmp_path, rows)
    for settings_ in (
        {"limit": 5},
        {"take": {"from": 0.0, "to": 0.6}},
        {"take": {"from": 0.0, "to": 0.9}, "limit": 2},
    ):
        assert load_problems_leniently(section(path, **settings_)) == (
            load_problems(section(path, **settings_)),
            [],
        )


def test_rows_without_id_get_those_of_the_strict_loader(tmp_path):
    path = write_rows(tmp_path, [{"question": "q", "answer": "1", "image": "1.png"}] * 3)
    assert load_problems_leniently(section(path))[0] == load_problems(section(path))


def test_a_conversation_that_is_none_does_not_hide_the_next(tmp_path):
    rows = [
        {"id": "a", "image": "1.png", "conversations": []},
        {
            "id": "b", "image": "1.png",
            "conversations": [
                {"from": "human", "value": "How many?"}, {"from": "gpt", "value": "no end"},
                {"from": "human", "value": "And now?"}, {"from": "gpt", "value": "<CONCLUSION> 3 </CONCLUSION>"},
            ],
        },
        {"id": "c", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "<CONCLUSION> 3 </CONCLUSION>"}]},
    ]  # fmt: skip
    problems, bad = load_problems_leniently(section(write_rows(tmp_path, rows), layout="llava_cot"))
    assert [p.id for p in problems] == ["b-2"]
    assert [(row.row, row.source_id, row.reason) for row in bad] == [
        ("line 1", "", "bad_conversation"), ("line 2, turn 1", "b", "no_answer"), ("line 3", "c", "no_image"),
    ]  # fmt: skip


def test_a_tiny_world_has_no_bad_rows():
    problems, bad = load_problems_leniently(TinyWorldData(split="train", n=3))
    assert len(problems) == 3 and bad == []


def test_progress_counts_images_and_ends_at_all_of_them(tmp_path):
    steps = []
    path = table(
        tmp_path, [GOOD | {"id": str(i), "image": "bad.png" if i == 2 else "0.png"} for i in range(5)]
    )
    load_problems_leniently(section(path), lambda done, total: steps.append((done, total)))
    assert steps == [(i, 5) for i in range(1, 6)]


@pytest.mark.parametrize("text", ["", "[1]\n", '{"question": "q", "answer": "1"}\n{"question"\n'])
def test_a_broken_table_is_refused(tmp_path, text):
    (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(InputError, match=r"rows\.jsonl"):
        load_problems_leniently(section(tmp_path / "rows.jsonl"))


def parquet(folder, count, size):
    import pyarrow as pa
    import pyarrow.parquet as pq

    padding = random.Random(0)
    rows = [
        {
            "problem": "<image>Find x.",
            "answer": str(i),
            "images": [{"bytes": png((i % 256, i // 256, 0)) + padding.randbytes(size)}],
        }
        for i in range(count)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet", row_group_size=16)
    return validate(DatasetData, {"name": str(folder), "layout": "vision_r1_rl"})


def test_images_inside_a_table_can_be_kept_on_disk(tmp_path):
    config = parquet(tmp_path, 40, 0)
    inside = load_problems(config)
    spilled, bad = load_problems_leniently(config, spill=tmp_path / "spill")
    assert bad == [] and spilled == inside
    assert [p.media[0].load().getpixel((0, 0)) for p in spilled] == [(i, 0, 0) for i in range(40)]
    assert [content_key(p) for p in spilled] == [content_key(p) for p in inside]
    assert list((tmp_path / "spill").iterdir()) == []


def test_memory_holds_neither_decoded_images_nor_the_table(tmp_path):
    config = parquet(tmp_path, 300, 50_000)
    tracemalloc.start()
    problems, _ = load_problems_leniently(config, spill=tmp_path / "spill")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(problems) == 300 and held < 300 * 50_000 / 5


# --- images over the limit ---


def large(form, size=(40, 20)):
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert("RGB").save(buffer, format=form)
    return buffer.getvalue()


@pytest.mark.parametrize("spill", [False, True])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_an_image_over_the_limit_is_scaled_down_by_rule_and_known_as_that(tmp_path, form, spill):
    rows = [
        GOOD | {"id": name, "image": image} for name, image in (("a", "big"), ("b", "big"), ("c", "0.png"))
    ]
    path = write_rows(tmp_path, rows)
    (tmp_path / "big").write_bytes(large(form))
    problems, bad = load_problems_leniently(section(path), spill=tmp_path / "spill" if spill else None)
    assert bad == [] and [p.id for p in problems] == ["a", "b", "c"]
    image, same, small = (p.media[0] for p in problems)
    # 40 x 20 is 800 pixels; 14 x 7 is the largest of that shape within 100.
    assert (image.original_size, image.size, image.load().size) == ((40, 20), (14, 7), (14, 7))
    assert image.key == f"{hashlib.sha256(large(form)).hexdigest()}-100px" and same.key == image.key
    assert plain_format(image.read()) == form.lower()
    assert small.original_size is None
    with pytest.raises(InputError, match="more than max_pixels 100"):
        load_problems(section(path))


def test_a_large_image_that_is_damaged_is_set_aside_as_that(tmp_path):
    path = write_rows(tmp_path, [GOOD | {"image": "big.png"}, GOOD | {"id": "b"}])
    (tmp_path / "big.png").write_bytes(large("PNG")[:150])
    assert [row.reason for row in load_problems_leniently(section(path))[1]] == ["corrupt_image"]


def test_rows_that_are_set_aside_keep_their_images(tmp_path):
    rows = [GOOD | {"answer": ""}, GOOD | {"id": "x"}, GOOD | {"id": "x"}, GOOD | {"id": "y", "image": 7}]
    _, bad = load_problems_leniently(section(write_rows(tmp_path, rows)), spill=tmp_path / "spill")
    assert [row.reason for row in bad] == ["no_answer", "repeated_id", "bad_cell"]
    assert [[image.load().size for image in row.media] for row in bad] == [[(8, 6)], [(8, 6)], []]


# --- content keys ---


def test_content_keys_tell_what_is_asked_and_nothing_else(tmp_path):
    rows = [
        {"id": str(i), "question": "q", "answer": "A", "options": ["1", "2"], "image": "0.png"}
        for i in range(7)
    ]
    for number, change in enumerate(
        [{"question": "p"}, {"answer": "B"}, {"options": ["1", "3"]}, {"image": "1.png"}], 1
    ):
        rows[number] |= change
    rows[5] |= {"image": "copy.png"}
    path = write_rows(tmp_path, rows)
    (tmp_path / "copy.png").write_bytes((tmp_path / "0.png").read_bytes())
    keys = [content_key(p) for p in load_problems(section(path))]
    assert keys[0] == keys[5] == keys[6] and len(set(keys)) == 5
    assert all(len(key) == 32 and int(key, 16) >= 0 for key in keys)


def test_content_keys_do_not_run_texts_together():
    from vision_r1.problems import Problem

    keys = {
        content_key(Problem("x", *parts))
        for parts in [("ab", "c"), ("a", "bc"), ("a\x1fb", "c"), ('a","b', "c")]
    }
    assert len(keys) == 4


def test_a_row_that_json_cannot_hold_has_a_key():
    from vision_r1.problems import Problem

    assert len(content_key(Problem("x", "a\ud800", "1"))) == 32
    assert json.dumps("\ud800")


# --- questions alone ---


def test_questions_are_read_where_golds_choices_and_ids_cannot_be(tmp_path):
    rows = [GOOD | {"id": "good0"}, *(GOOD | {"id": "good0"} | fault for fault, _, _ in FAULTS)]
    problems, bad = load_questions(section(table(tmp_path, rows)))
    fatal = {"no_question", "missing_image", "corrupt_image", "image_too_large", "image_outside_folder"}
    lost = {"expected an image path", "marks, but", "the question is empty"}
    wrong = [
        reason for _, reason, detail in FAULTS if reason in fatal or any(part in detail for part in lost)
    ]
    assert sorted(row.reason for row in bad) == sorted(wrong)
    assert len(problems) == len(rows) - len(bad) and len({each.id for each in problems}) == len(problems)
    assert {each.answer for each in problems} == {""} and {each.options for each in problems} == {()}


def test_questions_need_no_column_of_answers(tmp_path):
    rows = [{"question": "q", "image": "0.png"}, {"question": "<image> p", "image": "1.png"}]
    path = write_rows(tmp_path, rows)
    problems, bad = load_questions(section(path))
    assert [(p.question, p.media[0].relative) for p in problems] == [("q", "0.png"), ("<image> p", "1.png")]
    assert bad == []
    with pytest.raises(InputError, match="no column for the answer"):
        load_problems_leniently(section(path))
