"""What a model was trained on is recorded beside it, and found again where it is asked."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from vision_r1.core.errors import InputError
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.contamination import (
    FILE,
    TrainingRecord,
    find_overlap,
    inherited_record,
    overlap_block,
    overlap_line,
    read_record,
    write_record,
)
from vision_r1.problems.fingerprints import (
    NEAR_BITS,
    NEAR_COLOUR,
    Fingerprint,
    Look,
    Lookalikes,
    fingerprint,
    look_of,
    normal_question,
)
from vision_r1.problems.images import BytesImage
from vision_r1.problems.problem import Problem
from vision_r1.problems.tiny_world import make_problems

EMPTY = TrainingRecord((), "base")
LONG = "In the triangle ABC the angle at A is {} degrees, how large is the angle at B?"
DATA = Path(os.environ.get("VISION_R1_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def drawing(seed, size=(320, 240)):
    """A line drawing with labels, as geometry problems have them."""
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    points = [(int(rng.integers(20, size[0] - 20)), int(rng.integers(20, size[1] - 20))) for _ in range(5)]
    pen.polygon(points[:3], outline="black", width=2)
    pen.line(points[2:5], fill="black", width=2)
    left, top = points[4][0] - 15, points[4][1] - 15
    pen.ellipse([left, top, left + 60, top + 60], outline="black", width=2)
    for letter, point in zip("ABCDE", points, strict=True):
        pen.text(point, letter, fill="black")
    return picture


def encoded(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return BytesImage(buffer.getvalue(), "row 1")


def scaled(picture, factor):
    return picture.resize([round(side * factor) for side in picture.size], Image.Resampling.BICUBIC)


def problem(name, question, *media):
    return Problem(str(name), question, "1", tuple(media))


def trained_on(problems, source="sft"):
    rows = {row for own in fingerprint(problems, source) for row in own}
    return TrainingRecord(tuple(rows), "base")


def kinds(record, problems):
    return {match.id: match.kind for match in find_overlap(record, problems).matches}


def test_question_image_copy_and_both_are_told_apart():
    pictures = [drawing(k) for k in range(6)]
    record = trained_on([problem(k, LONG.format(k), encoded(pictures[k])) for k in range(4)])
    asked = [
        problem("whole", LONG.format(0), encoded(pictures[0])),
        problem("text", f"<image>{LONG.format(1).upper()} ", encoded(pictures[5])),
        problem("image", "What is the radius?", encoded(pictures[2])),
        problem("copy", "What is the radius?", encoded(pictures[3], "JPEG", quality=60)),
        problem("copied whole", LONG.format(3), encoded(scaled(pictures[3], 0.5))),
        problem("new", LONG.format(9), encoded(pictures[4])),
    ]
    assert kinds(record, asked) == {
        "whole": "both",
        "text": "same_question",
        "image": "same_image",
        "copy": "near_image",
        "copied whole": "both",
    }
    copy = find_overlap(record, asked).matches[4]
    assert (copy.same_question, copy.same_image, copy.near_image, copy.both) == (True, False, True, True)


def test_a_short_question_or_a_template_counts_only_with_its_image():
    pictures = [encoded(drawing(k)) for k in range(9)]
    short, template = "What is x?", "What is the missing number of the part with the question mark?"
    rows = [problem("short", short, pictures[0])]
    rows += [problem(k, template, pictures[k]) for k in range(1, 5)]
    asked = [problem("other", short, pictures[7]), problem("same", short, pictures[0])]
    asked += [problem("t-other", template, pictures[8]), problem("t-same", template, pictures[2])]
    assert kinds(trained_on(rows), asked) == {"same": "both", "t-same": "both"}
    # With one image the same text is no template, unless the benchmark itself uses it as one.
    assert kinds(trained_on(rows[:2]), asked[2:3]) == {"t-other": "same_question"}
    many = [problem(f"b{k}", template, pictures[k]) for k in range(5, 9)]
    assert kinds(trained_on(rows[:2]), many) == {}


def test_without_images_the_text_is_the_whole_problem():
    record = trained_on([problem("a", "What is 17+25?")])
    assert kinds(record, [problem("same", "what is 17 + 25"), problem("sign", "What is 17-25?")]) == {
        "same": "both"
    }
    assert kinds(record, [problem("pictured", "What is 17+25?", encoded(drawing(0)))]) == {}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("<image>Find  the Area of △ABC.", "find the area of △ABC"),
        ("Question: Find x.\nChoices:\n(A) 3\n(B) 4", "Find x. (A) 3 (B) 4"),
        ("How long is it in cm? Options: A. 3 B. 4", "How long is it, in cm?"),
        ("a right-angled triangle of 3cm", "A right angled triangle of 3 cm"),
        ("x − 3 = 5", "x-3=5"),
    ],
)
def test_spelling_marks_and_choices_do_not_matter(first, second):
    assert normal_question(first) == normal_question(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("x - 3 = 5", "x + 3 = 5"),
        ("3.5 cm", "35 cm"),
        ("1, 2", "12"),
        ("x^2", "x2"),
        ("(A) 3 (B) 4", "(A) 3"),
    ],
)
def test_signs_and_numbers_do(first, second):
    assert normal_question(first) != normal_question(second)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text", ["\n" * 10**6, "(A)" * 10**6, "-" * 10**6, "question " * 10**5, "<image" * 10**5]
)
def test_hostile_texts_take_no_time(text):
    normal_question(text)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "copy",
    [
        lambda p: encoded(p, "JPEG", quality=60),
        lambda p: encoded(p, "WEBP", quality=70),
        lambda p: encoded(scaled(p, 0.5)),
        lambda p: encoded(scaled(p, 1.7), "JPEG", quality=80),
    ],
)
def test_copies_are_found_and_other_drawings_are_not(seed, copy):
    record = trained_on([problem(k, f"{k}?", encoded(drawing(k))) for k in range(30)])
    assert kinds(record, [problem("copy", "?", copy(drawing(seed)))]) == {"copy": "near_image"}
    assert kinds(record, [problem("other", "?", copy(drawing(100 + seed)))]) == {}


def test_the_same_shapes_in_other_colours_are_another_image():
    def grid(colours):
        picture = Image.new("RGB", (160, 160), "white")
        pen = ImageDraw.Draw(picture)
        for k, colour in enumerate(colours):
            pen.ellipse(
                [20 + 70 * (k % 2), 20 + 70 * (k // 2), 70 + 70 * (k % 2), 70 + 70 * (k // 2)], fill=colour
            )
        return encoded(picture)

    record = trained_on([problem("a", "?", grid(["#c00", "#00c", "#00c", "#c00"]))])
    assert kinds(record, [problem("b", "?", grid(["#c00", "#0a0", "#00c", "#c00"]))]) == {}


def test_images_without_shapes_are_never_alike():
    papers = [Image.new("RGB", (60, 40), colour) for colour in ("white", "#fffffe", "black")]
    assert [look_of(paper) for paper in papers] == [None] * 3
    record = trained_on([problem("a", "?", encoded(papers[0]))])
    asked = [problem("b", "?", encoded(papers[1])), problem("c", "what?", encoded(papers[0]))]
    assert kinds(record, asked) == {"c": "same_image"}


def test_drawn_images_are_known_by_their_scene_and_are_not_drawn(monkeypatch):
    problems = make_problems(TinyWorldData(split="train", n=300, seed=3))
    others = make_problems(TinyWorldData(split="test", n=300, seed=3))
    monkeypatch.setattr("vision_r1.problems.drawing.draw", lambda scene: pytest.fail("drawn"))
    record = trained_on(problems)
    assert set(kinds(record, problems).values()) == {"both"} and len(kinds(record, problems)) == 300
    assert kinds(record, others) == {}


looks = st.builds(Look, st.binary(min_size=32, max_size=32), st.binary(min_size=48, max_size=48))


@settings(max_examples=60)
@given(st.lists(looks, min_size=1, max_size=8), st.sets(st.integers(0, 255), max_size=16), st.integers(0, 40))
def test_bands_find_what_comparing_all_finds(stored, flips, shift):
    bits = np.unpackbits(np.frombuffer(stored[0].bits, np.uint8))
    bits[list(flips)] ^= 1
    colours = np.clip(np.frombuffer(stored[0].colours, np.uint8).astype(int) + shift, 0, 255).astype(np.uint8)
    asked = Look(np.packbits(bits).tobytes(), colours.tobytes())

    def near(a, b):
        apart = sum((x ^ y).bit_count() for x, y in zip(a.bits, b.bits, strict=True))
        off = max(abs(x - y) for x, y in zip(a.colours, b.colours, strict=True))
        return apart <= NEAR_BITS and off <= NEAR_COLOUR

    assert list(Lookalikes(stored).find(asked)) == [k for k, look in enumerate(stored) if near(look, asked)]


def many(n, seed=0):
    data = np.random.default_rng(seed).bytes(112 * n)
    parts = (data[at : at + 112] for at in range(0, 112 * n, 112))
    return [Fingerprint(p[:16].hex(), 12, p[16:32].hex(), Look(p[32:64], p[64:]), "sft") for p in parts]


def test_a_record_keeps_everything_and_any_order_gives_its_bytes(tmp_path):
    rows = [*many(40), Fingerprint("q", 3, "", None, "rl")]
    for name, order in (("a", rows), ("b", [*rows[::-1], *rows])):
        (tmp_path / name).mkdir()
        write_record(tmp_path / name, [order[:7], order[7:]], EMPTY)
    assert (tmp_path / "a" / FILE).read_bytes() == (tmp_path / "b" / FILE).read_bytes()
    record = read_record(tmp_path / "a")
    assert set(record.rows) == set(rows) and len(record.rows) == 41 and record.start == "base"


def test_a_stage_adds_to_what_it_inherits(tmp_path):
    first, second = many(3), many(3, seed=1)
    (tmp_path / "model").mkdir()
    write_record(tmp_path / "model", [first], TrainingRecord((), "tiny:base"))
    inherited = inherited_record(str(tmp_path))  # a stage's folder stands for its model
    write_record(tmp_path, [second], inherited)
    record = read_record(tmp_path)
    assert set(record.rows) == {*first, *second} and record.start == "tiny:base"
    assert inherited_record("tiny:base") == TrainingRecord((), "tiny:base")
    assert read_record(tmp_path / "nothing") is None


def test_one_known_image_is_found_among_50_000(tmp_path):
    asked = [problem(k, LONG.format(k), encoded(drawing(k))) for k in range(4)]
    (known,) = fingerprint(asked[2:3], "sft")
    write_record(tmp_path, [many(50_000), [*known]], EMPTY)
    found = overlap_block(str(tmp_path), asked)
    assert (found["found"], found["both"], found["training_rows"]) == (1, 1, 50_001)


def damaged(tmp_path, change):
    write_record(tmp_path, [many(5)], EMPTY)
    path = tmp_path / FILE
    change(path)
    with pytest.raises(InputError) as caught:
        read_record(tmp_path)
    assert str(path) in caught.value.line() and "\n" not in caught.value.line()
    return caught.value.line()


def test_damaged_and_newer_records_are_refused_in_one_line(tmp_path):
    def newer(path):
        meta = {b"vision_r1": json.dumps({"format": 2, "start": ""})}
        pq.write_table(pq.read_table(path).replace_schema_metadata(meta), path)

    def other(path):
        pq.write_table(
            pa.table({"question": [[1]]}).replace_schema_metadata(pq.read_schema(path).metadata), path
        )

    assert "newer version" in damaged(tmp_path, newer)
    assert "other columns" in damaged(tmp_path, other)
    assert "is damaged" in damaged(tmp_path, lambda path: path.write_bytes(path.read_bytes()[:-9]))
    assert "is damaged" in damaged(tmp_path, lambda path: path.write_bytes(b""))
    assert "is damaged" in damaged(tmp_path, lambda path: pq.write_table(pa.table({"a": [1]}), path))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_no_flipped_byte_gives_anything_but_a_record_or_one_line(tmp_path_factory, place, change):
    folder = tmp_path_factory.mktemp("record")
    write_record(folder, [many(20)], EMPTY)
    data = bytearray((folder / FILE).read_bytes())
    data[place % len(data)] ^= change
    (folder / FILE).write_bytes(data)
    try:
        read_record(folder)
    except InputError as error:
        assert "\n" not in error.line()


def test_the_block_and_its_line(tmp_path):
    pictures = [encoded(drawing(k)) for k in range(30)]
    rows = [problem(k, LONG.format(k), pictures[k]) for k in range(30)]
    assert overlap_block("some/model", rows) == {"recorded": False}
    line = overlap_line({"recorded": False}, "MathVista")
    assert line == "MathVista: the model has no record of its training data: contamination cannot be checked"
    write_record(tmp_path, fingerprint(rows[:25], "ptst_1"), EMPTY)
    block = overlap_block(str(tmp_path), rows)
    assert json.loads(json.dumps(block)) == block
    assert {k: block[k] for k in ("recorded", "training_rows", "start", "problems", "found", "both")} == {
        "recorded": True, "training_rows": 25, "start": "base", "problems": 30, "found": 25, "both": 25,
    }  # fmt: skip
    assert len(block["examples"]) == 20
    assert block["examples"][0] == {"id": "0", "kind": "both", "source": "ptst_1"}
    assert "25 of 30 problems" in overlap_line(block, "MathVista")
    assert overlap_line(overlap_block(str(tmp_path), rows[25:]), "MathVista") is None


@pytest.mark.parametrize("name", ["geometry3k", "mathvision_testmini", "tabmwp_dev"])
def test_real_pictures_are_not_taken_for_each_other_and_their_copies_are(name):
    files = sorted((DATA / name / "images").glob("*"))[:60]
    if not files:
        pytest.skip(f"no shared benchmark rows at {DATA / name}; set VISION_R1_SHARED_DATA")
    contents = {path.read_bytes() for path in files}
    media = [BytesImage(data, "file") for data in sorted(contents)]
    record = trained_on([problem(k, "?", image) for k, image in enumerate(media)])
    lookalikes = Lookalikes([row.look for row in record.rows])
    assert all(len(lookalikes.find(row.look)) == 1 for row in record.rows)
    copies = [
        problem(k, "?", encoded(scaled(m.load(), 0.75), "JPEG", quality=75)) for k, m in enumerate(media)
    ]
    assert len(find_overlap(record, copies).matches) >= 0.95 * len(copies)
