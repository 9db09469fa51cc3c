"""Pictures that look alike: copies go, drawings that differ in one label or one cell stay."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import random
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from vision_r1.construct.copies import compare
from vision_r1.construct.dedupe import find_duplicates
from vision_r1.problems.config import ColumnMap, FileData
from vision_r1.problems.fingerprints import Lookalikes, fingerprint, look_of
from vision_r1.problems.images import BytesImage
from vision_r1.problems.load import load_problems
from vision_r1.problems.problem import Problem, content_key

DATA = Path(os.environ.get("VISION_R1_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
COLOURS = ("#cc0000", "#6fa8dc", "#6aa84f", "#ffd966", "#f6b26b", "#8e7cc3", "#e06666", "#9fc5e8", "#ffffff")


def font(size):
    return ImageFont.load_default(size)


def rectangle(width, height):
    """A rectangle with its two sides written beside it; only the numbers differ."""
    image = Image.new("RGB", (300, 220), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((60, 50, 260, 180), outline="black", width=2)
    draw.text((150, 30), f"{width} cm", fill="black", font=font(12))
    draw.text((15, 110), f"{height} cm", fill="black", font=font(12))
    return image


def table(numbers):
    """Nine numbers in a grid of lines."""
    image = Image.new("RGB", (320, 240), "white")
    draw = ImageDraw.Draw(image)
    for place, number in enumerate(numbers):
        x, y = 20 + 90 * (place % 3), 20 + 65 * (place // 3)
        draw.rectangle((x, y, x + 90, y + 65), outline="black")
        draw.text((x + 35, y + 22), str(number), fill="black", font=font(16))
    return image


def grid(colours):
    """Nine coloured cells."""
    image = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(image)
    for place, colour in enumerate(colours):
        x, y = 20 + 72 * (place % 3), 20 + 72 * (place // 3)
        draw.ellipse((x, y, x + 60, y + 60), fill=colour, outline="black")
    return image


def encoded(image, size=1.0, fmt="PNG", resample=Image.Resampling.LANCZOS, **options):
    sides = tuple(round(side * size) for side in image.size)
    buffer = io.BytesIO()
    (image if size == 1.0 else image.resize(sides, resample)).save(buffer, fmt, **options)
    return BytesImage(buffer.getvalue(), "a drawing")


def drawings():
    rng = random.Random(0)
    numbers = [rng.randrange(10, 100) for _ in range(9)]
    cells = [rng.choice(COLOURS) for _ in range(9)]
    return [rectangle(12, 7), table(numbers), grid(cells)]


def kinds(problems):
    found = find_duplicates(problems, [content_key(p) for p in problems], fingerprint(problems, "set"))
    return [each.kind for each in found.values()]


def one_other(values, choices, place, rng):
    """The same but for one of them."""
    other = rng.choice([each for each in choices if each != values[place]])
    return [*values[:place], other, *values[place + 1 :]]


RECTANGLES = [rectangle(width, height) for width in range(10, 20) for height in range(1, 6)]
_RNG = random.Random(5)
_FIRST = [_RNG.randrange(10, 100) for _ in range(9)]
TABLES = [table(one_other(_FIRST, range(10, 100), place % 9, _RNG)) for place in range(60)]
_CELLS = [COLOURS[place % 5] for place in range(9)]
CELLS = [grid(one_other(_CELLS, COLOURS, place % 9, _RNG)) for place in range(60)]


@pytest.mark.parametrize("images", [RECTANGLES, TABLES, CELLS], ids=["rectangles", "tables", "cells"])
def test_drawings_that_differ_in_one_label_all_stay(images):
    stored = {image.tobytes(): encoded(image) for image in images}
    problems = [
        Problem(str(place), "What is asked?", "12", (own,)) for place, own in enumerate(stored.values())
    ]
    # The perceptual hash alone would join them.
    looks = [look for own in stored.values() if (look := look_of(own.load()))]
    alike = Lookalikes(looks)
    assert sum(len(alike.find(look)) > 1 for look in looks) > len(looks) / 4
    assert kinds(problems) == []


@pytest.mark.parametrize("fmt", ["PNG", "JPEG"])
def test_two_digits_are_told_apart_even_in_jpeg(fmt):
    for one, other in itertools.combinations(range(10), 2):
        first, second = rectangle(f"1{one}", 7), rectangle(f"1{other}", 7)
        assert compare(first, encoded(second, 1.0, fmt, quality=85).load()) == "other", (one, other)


@pytest.mark.parametrize("drawing", drawings(), ids=["rectangle", "table", "grid"])
@pytest.mark.parametrize(
    ("kind", "copy"),
    [
        ("copy", {"fmt": "JPEG", "quality": 90}),
        ("copy", {"fmt": "JPEG", "quality": 75}),
        ("copy", {"size": 0.7}),
        ("copy", {"size": 0.6, "resample": Image.Resampling.BILINEAR}),
        ("copy", {"size": 1.5, "resample": Image.Resampling.BICUBIC}),
        ("copy", {"size": 0.8, "fmt": "JPEG", "quality": 85}),
        ("identical", {"fmt": "BMP"}),
        ("other", {"size": 0.3}),
    ],
)
def test_copies_in_other_sizes_and_encodings_are_one_picture(drawing, kind, copy):
    other = encoded(drawing, **copy)
    assert compare(drawing, other.load()) == kind
    assert compare(other.load(), drawing) == kind


def test_an_image_of_other_proportions_is_another():
    image = rectangle(12, 7)
    assert compare(image, image.resize((300, 180))) == "other"
    assert compare(image, image.crop((0, 0, 300, 200))) == "other"


def test_another_gold_is_a_fault_only_where_the_pixels_are_the_same():
    one = Problem("a", "What is the area?", "84", (encoded(rectangle(12, 7)),))
    same = Problem("b", "What is the area?", "91", (encoded(rectangle(12, 7), fmt="BMP"),))
    copy = Problem("c", "What is the area?", "91", (encoded(rectangle(12, 7), fmt="JPEG", quality=85),))
    assert kinds([one, same]) == ["other_answer"]
    assert kinds([one, copy]) == []


def test_a_row_goes_only_for_one_that_stays_and_is_a_copy():
    """A chain of small changes joins neighbours, not its ends."""
    chain = [Image.new("RGB", (200, 200), "white") for _ in range(12)]
    for step, image in enumerate(chain):
        draw = ImageDraw.Draw(image)
        draw.rectangle((20, 30, 120, 90), outline="black", width=3)
        draw.ellipse((60, 60, 180, 180), fill=(5 * step,) * 3)
    problems = [Problem(str(i), "How large is it?", "3", (encoded(each),)) for i, each in enumerate(chain)]
    found = find_duplicates(problems, [f"{i:02d}" for i in range(12)], fingerprint(problems, "set"))
    assert found
    assert all(compare(chain[index], chain[each.of]) == "copy" for index, each in found.items())
    assert not {each.of for each in found.values()} & set(found)
    assert 1 < 12 - len(found) < 12


def test_an_exact_copy_is_exact_even_of_a_row_that_goes():
    first = Problem("a", "How long is it?", "5", (encoded(rectangle(12, 7)),))
    near = Problem("b", "Please: how long is it?", "5", (encoded(rectangle(12, 7)),))
    problems = [first, near, Problem("c", near.question, "5", near.media)]
    found = find_duplicates(problems, ["1", "2", "2"], fingerprint(problems, "set"))
    assert {index: (each.kind, each.of) for index, each in found.items()} == {1: ("near", 0), 2: ("exact", 1)}


SHARED = {
    "chartqa_test": {"question": "query", "answer": "label"},
    "dynamath": {},
    "geometry3k": {"question": "problem_text", "options": "choices"},
    "mathvision_testmini": {},
    "puzzlevqa": {},
    "tabmwp_dev": {"id": "pid", "options": "choices"},
}


@pytest.mark.parametrize("name", SHARED)
def test_rows_of_benchmarks_repeat_one_another_only_where_the_pixels_are_the_same(name):
    path = DATA / name / "problems.jsonl"
    if not path.is_file():
        pytest.skip(f"no shared benchmark rows at {path}; set VISION_R1_SHARED_DATA")
    problems = load_problems(FileData(path=path, columns=ColumnMap(**SHARED[name]), marks="one_image"))
    keys = [hashlib.sha256(json.dumps([p.id]).encode()).hexdigest() for p in problems]
    for index, each in find_duplicates(problems, keys, fingerprint(problems, name)).items():
        one, other = problems[index], problems[each.of]
        assert each.kind in ("same", "near"), (one.id, other.id)
        assert one.media[0].load().tobytes() == other.media[0].load().tobytes()
