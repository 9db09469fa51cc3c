import time
from string import ascii_uppercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.problems.choices import choices_in, lettered_parts

QUESTIONS = [
    # forms of the published sets
    ("What is the capital of Alaska?\nContext: N/A\nOptions: (A) Seattle (B) Juneau (C) Saint Paul", ("Seattle", "Juneau", "Saint Paul")),
    ("What color is the tail fin?\nA. blue\nB. green\nC. yellow\nD. purple", ("blue", "green", "yellow", "purple")),
    ("What does it say?\nA. one way\nB. stop\nAnswer with the option's letter from the given choices directly.", ("one way", "stop")),
    ("what is the measure of angle BAE?\nChoices:\nA: 80°\nB: 60°\nC: 50°\nD: 40°", ("80°", "60°", "50°", "40°")),
    ("Represent it as θ. Choices: A: 80° B: 60° C: 50° D: 40°", ("80°", "60°", "50°", "40°")),
    ("At which x?\n\nA. a\nB. b\nC. c\nD. d\nE. e", ("a", "b", "c", "d", "e")),
    ("Which is it?\nA. the data prove that it has no effect on the number of common\ncolds.\nB. nothing", ("the data prove that it has no effect on the number of common\ncolds.", "nothing")),
    ("Which of these? \n\n(A)  The minimum is $250,000. \n(B)  The maximum is $2,500,000. ", ("The minimum is $250,000.", "The maximum is $2,500,000.")),
    ("Which fraction? (A) 190/265 (B) 190/896", ("190/265", "190/896")),
    ("How?\nOptions:\nA) one\nB) two", ("one", "two")),
    ("How long?\nPossible answers are below.\nAnswer choices: A. 3 cm; B. 4 cm", ("3 cm", "4 cm")),
    # none
    ("Are the points (A) and (B) on the line?", ()),
    ("Given triangle ABC where AB = AC, find angle A.", ()),
    ("What is shown? A. Nothing", ()),
    ("In vitamin B. deficiency, what is seen?", ()),
    ("Choices: red, green, blue", ()),
    ("A. Find x.", ()),
    ("Regions A, B, and C have areas of 1, 2, and 3 respectively. What is the integral?", ()),
    ("", ()),
]  # fmt: skip


@pytest.mark.parametrize(("question", "choices"), QUESTIONS)
def test_choices_of_questions(question, choices):
    assert choices_in(question) == choices


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("A. 300, 400;B. 400, 300; C. No correct answer", ("300, 400", "400, 300", "No correct answer")),
        ("A. B; B. C; C. D; D. E; E. No correct answer", ("B", "C", "D", "E", "No correct answer")),
        ("A. F;    B. D;    C. B;    D. I", ("F", "D", "B", "I")),
        ("A. 3, 5, 4; B. 30, 50, 40.; C. No correct answer", ("3, 5, 4", "30, 50, 40.", "No correct answer")),
        ("A. 1 B. 2 D. 3", ("1", "2 D. 3")),
        ("It is A. 3; B. 4", ()),
        ("B. 3; C. 4", ()),
        ("A. ; B. 4", ()),
        ("A. 3", ()),
    ],
)
def test_texts_that_are_choices(text, parts):
    assert lettered_parts(text) == parts


WORDS = st.lists(
    st.from_regex(r"[a-z0-9][a-z0-9 ]{0,12}", fullmatch=True).map(str.strip).filter(bool),
    min_size=2,
    max_size=6,
)
FORMS = ["{}. {}", "({}) {}", "{}: {}", "{}) {}", "({}). {}"]


@given(WORDS, st.sampled_from(FORMS), st.sampled_from(["\n", "; ", "\n\n"]))
def test_any_form_reads_back(texts, form, separator):
    block = separator.join(
        form.format(letter, text) for letter, text in zip(ascii_uppercase, texts, strict=False)
    )
    assert lettered_parts(block) == tuple(texts)
    assert choices_in(f"Which one is it?\nChoices:\n{block}") == tuple(texts)
    if separator == "\n":
        assert choices_in(f"Which one is it?\n{block}") == tuple(texts)


@given(st.text(alphabet="AB.():; \nOptions", max_size=120))
def test_any_text_gives_full_choices_or_none(text):
    found = choices_in(text)
    assert found == () or (len(found) > 1 and all(part.strip() for part in found))


@pytest.mark.parametrize(
    "piece", ["\n", "A. x\n", "(A) ", "Choices: ", "A. ", "\n A.", "Options: A. B. ", "\n\t "]
)
def test_no_text_takes_long(piece):
    text = piece * (200_000 // len(piece))
    start = time.perf_counter()
    choices_in(text)
    assert time.perf_counter() - start < 5  # seconds; a search that is quadratic takes minutes
