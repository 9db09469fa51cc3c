"""What a sentence claims, and what it does not."""

import re
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vision_r1.grading import GradeSpec, grade_answer, grade_response, hfrrf
from vision_r1.grading.closed_form import is_closed_form
from vision_r1.grading.statement import claims, yes_or_no

STATES = [
    "The total is {}.", "There are {} apples in the picture.", "So the length of AB is {} cm.", "It is {}.",
    "I count {} of them.", "Therefore, x must be {}.", "Area = w * h = {}.", "{} apples", "= {}", "about {}",
    "I first thought 3000 but it is {}", "The figure shows {} triangles.", "{} (as the figure shows)", "x = {}",
    "The answer is {}, because the sides are equal.", "因此，面积是 {}。",
]  # fmt: skip
DENIES = [
    "It is not {}.", "The answer is {} or 3000.", "{} is wrong", "more than {}", "at most {}", "Is it {}?",
    "divisible by {}", "ends in {}", "between {} and 3000", "{}, 3000", "{} 3000", "x > {}", "x \\ne {}", "half of {}",
    "the {}th", "{} dozen", "{} hundred", "the gold is {}", "If it is {}, all is well.", "I doubt it is {}.",
    "{} and 3000", "{} to 3000", "maybe {}", "any number but {}", "{}, so 3000", "{} squared is 3000", "The answer is {}, because 3000 is too much.", "x + 1 = {}", "2x = {}", "3000 = x = {}",
    "It is 3000. It is {}.", "3000 is {}", "total: 3000: {}", "a: 3000; b: {}", "{}, which is wrong", "{} because it is wrong",
    "{}, so twice that", "{} in hex", "{} too high", "it fell by {}", "it is the sum of {} and x", "nearly {}", "{} (3000)",
]  # fmt: skip


@given(st.sampled_from(STATES), st.integers(4, 2999), st.integers(4, 2999))
def test_a_plain_sentence_claims_its_value(sentence, gold, said):
    assert grade_response(sentence.format(said), GradeSpec(str(gold))).correct == (gold == said)


@given(st.sampled_from(DENIES), st.integers(4, 2999))
def test_a_sentence_that_denies_doubts_or_compares_claims_nothing(sentence, gold):
    text = sentence.format(gold)
    for response in (text, f"<answer>{text}</answer>", f"\\boxed{{\\text{{{text}}}}}"):
        assert not grade_response(response, GradeSpec(str(gold))).correct


@given(
    st.integers(4, 2999),
    st.lists(st.integers(4, 2999), min_size=1, max_size=4),
    st.sampled_from([" or ", ", ", " and ", "; ", " ", "/", " | ", "\n", ", or ", " vs "]),
    st.sampled_from(["", "It is ", "The answer is ", "There are ", "One of ", "x = "]),
    st.randoms(),
)
def test_several_values_are_never_right(gold, others, joint, lead, random):
    values = [gold, *others]
    assume(len(set(values)) == len(values))
    random.shuffle(values)
    assert not grade_answer(lead + joint.join(map(str, values)), GradeSpec(str(gold), "integer")).correct


@pytest.mark.parametrize(
    ("sentence", "claimed"),
    [
        ("The color of the line is light blue.", "light blue"),
        ("Cape Verde has the lowest value.", "Cape Verde"),
        ("Option B is correct.", "B"),
        ("The equation is y = 2x + 1.", "y = 2x + 1"),
        ("It cannot be determined.", "cannot be determined"),
        ("Germany (45%)", "Germany"),
        ("Germany, with 45%", "Germany"),
        ("The bus leaves at 2:10 P.M.", "2:10 P.M."),
        ("The length is $2\\sqrt{3}$ cm.", "2\\sqrt{3}"),
    ],
)
def test_claims(sentence, claimed):
    assert claimed in [
        claim.text.removesuffix(".") if ":" not in claimed else claim.text for claim in claims(sentence)
    ]


@pytest.mark.parametrize("text", ["", "12", "blue", "not blue", "A\nB", "word " * 100, "x" * 5000, "m = 4"])
def test_what_claims_nothing(text):
    assert claims(text) == ()


def test_what_is_counted_must_be_what_the_gold_counts():
    said = "There are 12 apples."
    assert grade_answer(said, GradeSpec("12")).correct
    assert grade_answer(said, GradeSpec("12", unit="red apples")).correct
    assert not grade_answer(said, GradeSpec("12 cm")).correct
    assert not grade_answer(said, GradeSpec("12", unit="pears")).correct


def test_the_letter_beside_a_text_must_be_its_letter():
    options = ("15°", "30°", "45°")
    for right in (
        "The correct option is (C) 45°.",
        "It is 45°, which is option C.",
        "45°",
        "C, because A is small",
    ):
        assert grade_answer(right, GradeSpec("C", options=options)).correct
    for wrong in ("The correct option is (B) 45°.", "It is 45°, which is option B.", "C (30°)", "A: 45°"):
        assert not grade_answer(wrong, GradeSpec("C", options=options)).correct


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Yes.", True), ("yes, it is", True), ("True", True), ("Yes it is", True), ("No, there is no dog.", False),
        ("No - they cross", False), ("Yes and no", None), ("no, yes", None), ("Yes, but no", None), ("Nobody", None),
        ("not yes", None), ("", None), ("It is yes", None), ("No one knows", None),
    ],
)  # fmt: skip
def test_yes_or_no(text, says):
    assert yes_or_no(text) is says


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("18-1=18", False), ("19-1=18", True), ("6 × 4 = 24", True),
        ("6 × 4 = 26", False), ("The area is 6 * 4 = 24", True), ("10/3 = 3.33", True), ("10/3 = 3.34", False),
        ("100/7 = 14", True), ("5 − 7 = -2", True), ("2 × 3 = 7 cm", False), ("AB = 3 + 4 = 8", False),
    ],
)  # fmt: skip
def test_a_sum_that_is_worked_out_wrongly_claims_nothing(answer, right):
    gold = re.findall(r"-?[0-9.]+", answer.split("=")[-1])[0]
    assert grade_answer(answer, GradeSpec(gold)).correct is right


PIECES = [
    "B",
    "B: ",
    "Chad ",
    "is ",
    "Yes, ",
    "=",
    "≈",
    "1/2",
    "\\sqrt{",
    ", which is ",
    " in ",
    "12",
    ":",
    "answer ",
    "}",
]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=3), st.integers(100, 300))
def test_no_text_is_read_for_long(pieces, length):
    text = ("".join(pieces) * length)[: length - 1] + "!"
    begin = time.process_time()
    claims(text)
    yes_or_no(text)
    assert time.process_time() - begin < 0.5


@pytest.mark.parametrize(
    ("latex", "closed"),
    [
        ("9\\pi", True), ("\\frac{1+\\sqrt{5}}{2}", True), ("2\\sqrt{36}", True), ("\\sqrt{3}-1", True), ("12", False),
        ("4\\pi+5\\pi", False), ("\\pi\\cdot 3^{2}", False), ("10+\\sqrt{4}", False), ("10+2+0\\pi", False),
        ("\\frac{144\\pi}{12\\pi}", False), ("\\sqrt{9+16}", False), ("2x", False), ("3\\cos 0", False),
    ],
)  # fmt: skip
def test_closed_forms_are_no_operands(latex, closed):
    assert is_closed_form(latex) is closed


@pytest.mark.parametrize(("gold", "options"), [("E", ("1", "2", "3", "4")), ("F", ("red", "blue"))])
def test_a_gold_beyond_the_options_is_never_right(gold, options):
    spec = GradeSpec(gold, "choice", options)
    for verdict in (
        grade_answer(gold, spec),
        hfrrf(f"<think>x</think><answer>{gold}</answer>", spec, "eos").verdict,
    ):
        assert verdict is not None
        assert (verdict.status, verdict.reason) == ("wrong", "gold_outside_options")


@pytest.mark.parametrize(
    "text", ["AB = 5, AC = 12", "AB = 5 and AC = 12 cm", "r = 12, d = 24", "We get $a = 5$, $b = 12$"]
)
def test_values_of_several_names_are_no_claim(text):
    assert not grade_answer(text, GradeSpec("12")).correct
    assert grade_answer("AC = 12", GradeSpec("12")).correct
