"""Which problems of a set repeat one another, and which an evaluation set has too."""

from __future__ import annotations

import hashlib
import io
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from vision_r1.construct.dedupe import find_contaminated, find_duplicates
from vision_r1.construct.near_text import NearIndex, likeness, near_pairs
from vision_r1.problems.fingerprints import fingerprint, question_tokens
from vision_r1.problems.images import BytesImage
from vision_r1.problems.problem import Problem


def picture(seed, size=160, fmt="PNG", quality=95):
    """Lines and boxes that differ with the seed; the same drawing in any size."""
    rng, scale = random.Random(seed), 4
    image = Image.new("RGB", (160 * scale, 160 * scale), "white")
    draw = ImageDraw.Draw(image)
    for _ in range(9):
        x, y = rng.randrange(130), rng.randrange(130)
        box = (x * scale, y * scale, (x + rng.randrange(8, 60)) * scale, (y + rng.randrange(8, 60)) * scale)
        draw.rectangle(box, fill=tuple(rng.randrange(256) for _ in range(3)))
    buffer = io.BytesIO()
    image.resize((size, size), Image.Resampling.LANCZOS).save(buffer, fmt, quality=quality)
    return BytesImage(buffer.getvalue(), f"image {seed}")


def key_of(problem):
    text = "\x1f".join((*(m.key for m in problem.media), problem.question, *problem.options, problem.answer))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def duplicates(problems):
    return find_duplicates(problems, [key_of(p) for p in problems], fingerprint(problems, "set"))


LONG = (
    "Anna keeps her books on {n} shelves in the hall, and each shelf holds the same number of books, which is "
    "seven. One day she gives a full shelf of books away to the school library, and after that she buys a few "
    "new ones for her brother. How many books are on the shelves before she gives any of them away?"
)


def kinds(problems):
    return {index: each.kind for index, each in duplicates(problems).items()}


def base(**change):
    return replace(Problem("p", "What is the length of the longest side?", "12", (picture(1),)), **change)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"id": "q"}, "exact"),
        ({"id": "q", "question": "<image>What is the length of the longest side ?"}, "same"),
        ({"media": (picture(1, 110, "JPEG", 80),)}, "same"),
        ({"question": "Please find the length of the longest side in the given figure."}, "near"),
        ({"options": ("12", "13")}, "near"),
        ({"answer": "12.0"}, "same"),
        ({"answer": "13"}, "other_answer"),
    ],
)
def test_a_repeated_problem_is_found(change, kind):
    assert list(kinds([base(), base(**change)]).values()) == [kind]


@pytest.mark.parametrize(
    "change",
    [
        {"media": (picture(2),)},
        {"media": ()},
        {"media": (picture(1), picture(2))},
        {"question": "What is the length of the shortest side?"},
        {"question": "What is the length of the longest side times 2?"},
        {"question": "What is the length of the longest red side?"},
    ],
)
def test_another_problem_is_none(change):
    assert kinds([base(), base(**change)]) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How many cubes are red?", "How many red cubes are there?"),
        (
            "How many cubes in the image are red?",
            "Please tell me how many red cubes there are in this picture.",
        ),
        ("What number is missing?", "What is the missing number?"),
        ("Which large shape is red?", "What is the red large shape?"),
        ("How many of the cubes are red?", "How many red cubes are there in the given figure?"),
        # Long ones may differ in the order of a few words.
        (LONG.format(n=9), LONG.format(n=9).replace("One day she gives", "One day gives she")),
    ],
)
def test_one_question_in_other_words_about_one_image_is_found(one, other):
    first, second = (base(question=text, answer="3") for text in (one, other))
    assert list(kinds([first, second]).values()) == ["near"]
    copy = replace(second, media=(picture(1, 130, "JPEG", 85),))
    assert list(kinds([first, copy]).values()) == ["near"]
    assert kinds([first, replace(second, media=(picture(2),))]) == {}
    assert kinds([first, replace(second, answer="4")]) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How many cubes are red?", "How many cubes are blue?"),
        ("How many cubes are red?", "How many cubes are not red?"),
        ("How many cubes are red?", "How many balls are red?"),
        ("How many red cubes and blue balls are there?", "How many blue cubes and red balls are there?"),
        ("Is the cube left of the ball?", "Is the ball left of the cube?"),
        ("Does the fox eat the hare?", "Does the hare eat the fox?"),
        ("Are the cubes red?", "Are there red cubes?"),
        ("What is between the cup and the plate?", "What is the plate between and the cup?"),
        (
            "What color is the cube that is behind the ball?",
            "What color is the ball that is behind the cube?",
        ),
        ("Which cube is larger than the ball?", "Which ball is larger than the cube?"),
        ("What is the distance from A1 to B2?", "What is the distance from B2 to A1?"),
        ("What is 3 - 5 in the figure?", "What is 5 - 3 in the figure?"),
        ("What fraction of the cubes is red?", "What fraction of the red is cubes?"),
        (LONG.format(n=9), LONG.format(n=9).replace("buys", "sells")),
    ],
)
def test_another_question_with_the_same_short_answer_stays(one, other):
    assert kinds([base(question=one, answer="3"), base(question=other, answer="3")]) == {}


def test_the_same_choices_in_another_order_are_the_same():
    one = base(options=("10", "12", "14"), answer="B")
    other = base(options=("12", "14", "10"), answer="A")
    assert list(kinds([one, other]).values()) == ["same"]
    assert list(kinds([one, replace(other, answer="B")]).values()) == ["other_answer"]


def test_texts_without_images_are_near_by_their_phrases():
    near = LONG.replace("Anna", "Berta")
    texts = [LONG.format(n=9), near.format(n=9), LONG.format(n=8), "What is 3 + 4?", "What is 3 + 5?"]
    problems = [Problem(str(i), text, "63" if i < 3 else "7") for i, text in enumerate(texts)]
    assert set(duplicates(problems)) in ({0}, {1})
    assert 0.8 <= next(iter(duplicates(problems).values())).score < 1


def test_which_one_stays_does_not_depend_on_the_order():
    problems = [
        base(id=str(i), question=question, media=(picture(image, size),))
        for i, (question, image, size) in enumerate(
            (question, image, size)
            for question in (
                "How long is it?",
                "How long is it ?",
                "Please: how long is it?",
                "How wide is it?",
            )
            for image in (1, 2)
            for size in (160, 120)
        )
    ]
    stays = None
    for seed in range(5):
        random.Random(seed).shuffle(problems)
        found = duplicates(problems)
        kept = {problem.id for index, problem in enumerate(problems) if index not in found}
        assert all(each.of not in found for each in found.values())
        assert stays in (None, kept)
        stays = kept
    assert len(stays) == 4


def test_many_texts_are_looked_up_by_hashes_as_pairs_are_compared():
    rng = random.Random(3)
    words = [f"w{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(400)]
    texts = [rng.choices(words, k=40) for _ in range(120)]
    texts += [[*text[:20], "other", *text[21:]] for text in texts[:40]]
    every = {(a, b) for b in range(len(texts)) for a in range(b) if likeness(texts[a], texts[b]) >= 0.8}
    assert len(every) == 40
    assert {(a, b) for a, b, _ in near_pairs(texts)} == every
    assert len(NearIndex(texts).pairs()) < 200


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_questions_can_be_compared(questions):
    problems = [Problem(str(i), question, "1") for i, question in enumerate(questions)]
    found = duplicates(problems)
    assert set(found) | {each.of for each in found.values()} <= set(range(len(problems)))
    for index, each in found.items():
        if each.kind == "exact":
            assert questions[index] == questions[each.of]


def test_overlap_with_named_evaluation_sets():
    telling = "What is the area of the shaded region between the two squares in square metres?"
    evaluation = [Problem("e1", telling, "5", (picture(7),)), Problem("e2", LONG.format(n=4), "28")]
    training = [
        Problem("t0", telling, "5", (picture(7, 120, "JPEG", 85),)),
        Problem("t1", "How many corners are there?", "5", (picture(7),)),
        Problem("t2", telling, "6", (picture(8),)),
        Problem("t3", LONG.format(n=4).replace("brother", "sister"), "28"),
        Problem("t4", LONG.format(n=5), "28"),
        Problem("t5", "How many corners are there?", "5", (picture(9),)),
    ]
    sets = {"bench": (evaluation, fingerprint(evaluation, "bench"))}
    found = find_contaminated(training, fingerprint(training, "set"), sets)
    assert {index: each.kind for index, each in found.items()} == {
        0: "both", 1: "same_image", 2: "same_question", 3: "near_question",
    }  # fmt: skip
    assert {each.benchmark for each in found.values()} == {"bench"}


def test_numbers_and_signs_are_tokens_of_a_question():
    assert question_tokens("Question: <image> What is 3+4? Choices: (A) 7") == [
        "what", "is", "3", "+", "4", "choices", "a", "7",
    ]  # fmt: skip
