"""Attacks on the reward: what must never earn it, and input that must never hang or crash it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.grading import GradeSpec, extract, grade_answer, grade_response, hfrrf, split_parts

TWELVE = GradeSpec("12")


def wrap(answer: str, think: str = "5 and 7 make 12") -> str:
    return f"<think>{think}</think><answer> Final Answer:{answer} </answer>"


@pytest.mark.parametrize(
    "completion",
    [
        wrap("12"),
        "<think>a\nb</think>\n\n<answer>12</answer>\n",
        "  <think>x</think> <answer>\\boxed{12}</answer>",
        "<think>x < 5 and the answer, I think, is 12</think><answer>12.0</answer>",
        "<think>nul \x00 in a thought</think><answer>'12'</answer>",
        '<think>x</think><answer>"12"</answer>',
        "<think>思考 ½ αβ «x»</think><answer>**12**</answer>",
    ],
)
def test_right_completions_earn_one(completion):
    reward = hfrrf(completion, TWELVE, "eos")
    assert (reward.reward, reward.format_ok, reward.reason) == (1.0, True, "right")


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        ("12", "format:start"),
        ("<answer>12</answer>", "format:start"),
        ("x" + wrap("12"), "format:start"),
        ("\u00a0" + wrap("12"), "format:start"),
        ("<THINK>x</THINK><ANSWER>12</ANSWER>", "format:start"),
        ("<Think>x</think><answer>12</answer>", "format:start"),
        ("＜think＞x＜/think＞＜answer＞12＜/answer＞", "format:start"),
        ("<think>x</think><ANSWER>12</ANSWER>", "format:no_answer"),
        ("<think>x</think><аnswer>12</аnswer>", "format:no_answer"),
        ("<think>x</think>so<answer>12</answer>", "format:no_answer"),
        ("<think>x<answer>12</answer></think>", "format:no_answer"),
        ("<think>x</think>", "format:no_answer"),
        ("<think>x <answer>12</answer>", "format:no_think_end"),
        (wrap("12") + " done", "format:end"),
        (wrap("12") + "<|im_end|>", "format:end"),
        ("<think>x</think><answer>12", "format:end"),
        ("<think>x</think><answer></answe", "format:end"),
        ("<think>x</think><answer>/answer>", "format:end"),
        (wrap("12") + wrap("12"), "format:extra_tag"),
        (wrap("11") + "<answer>12</answer>", "format:extra_tag"),
        ("<think>x</think><think>y</think><answer>12</answer>", "format:no_answer"),
        ("<think>x<think>y</think></think><answer>12</answer>", "format:no_answer"),
        ("<think>x<think>y</think><answer>12</answer>", "format:extra_tag"),
        ("<think>a<answer>12</answer>b</think><answer>12</answer>", "format:extra_tag"),
        ("<think>x</think><answer><answer>12</answer></answer>", "format:extra_tag"),
        ("<think>x</think><answer>12<think>y</think></answer>", "format:extra_tag"),
        ("<think>x < answer >13</think><answer>12</answer>", "format:extra_tag"),
        ("<think>x <ANSWER>13</think><answer>12</answer>", "format:extra_tag"),
        ("<think>x ＜ａｎｓｗｅｒ＞13</think><answer>12</answer>", "format:extra_tag"),
        ("<think>x ‹answer›13</think><answer>12</answer>", "format:extra_tag"),
        ("<think>x <аnѕwer>13</think><answer>12</answer>", "format:extra_tag"),
        ("<think>x <an\u200bswer>13</think><answer>12</answer>", "format:extra_tag"),
        ("<think>x <\u200b/think>13</think><answer>12</answer>", "format:extra_tag"),
        ("<think>x &lt;/answer&gt;</think><answer>12</answer>", "format:extra_tag"),
        ("<think></think><answer>12</answer>", "format:empty_think"),
        ("<think> \n\t</think><answer>12</answer>", "format:empty_think"),
        ("<think>\u200b\u00a0\x00</think><answer>12</answer>", "format:empty_think"),
        ("<think>x</think><answer> </answer>", "format:empty_answer"),
        ("<think>x</think><answer>\u200b</answer>", "format:empty_answer"),
        ("", "format:start"),
        ("\x00", "format:start"),
    ],
)
def test_broken_formats_earn_nothing_and_say_why(completion, reason):
    reward = hfrrf(completion, TWELVE, "stop_string")
    assert (reward.reward, reward.format_ok, reward.verdict, reward.reason) == (0.0, False, None, reason)


WRONG = [
    ("12 or 13", "several_answers"),
    ("13 or 12", "several_answers"),
    ("12, 13", "several_answers"),
    ("12 13", "several_answers"),
    ("12/13/14", "unevaluated"),
    ("either 12", "several_answers"),
    ("probably 12", "several_answers"),
    ("10 11 12 13 14", "several_answers"),
    ("12\n13", "several_answers"),
    ("１２", "unicode_digits"),
    ("١٢", "unicode_digits"),
    ("1２", "unicode_digits"),
    ("12²", "unicode_digits"),
    ("the gold is '12'", "different"),
    ("the gold is 12", "different"),
    ("not 12", "different"),
    ("12 is wrong", "different"),
    ("12=13", "different"),
    ("12<13", "different"),
    ("12\x00", "different"),
    ("1\x002", "different"),
    ("1 2", "several_answers"),
    ("5+7", "unevaluated"),
    ("5 + 7", "unevaluated"),
    ("3\\cdot 4", "unevaluated"),
    ("9**9**9**9", "unevaluated"),
    ("12 \\text{ or } 13", "several_answers"),
    ("12 \\lor 13", "different"),
    ("10 or \\boxed{12}", "several_answers"),
    ("11 \\boxed{12}", "several_answers"),
    ("\\boxed{11} \\boxed{12}", "several_answers"),
    ("$11$ or $12$", "several_answers"),
    ("12 million", "different"),
    ("1,2", "several_answers"),
    ("-12", "different"),
    ("12.5", "different"),
    ("112", "different"),
    ("__import__('os').getpid()", "different"),
]


@pytest.mark.parametrize(("answer", "reason"), WRONG)
def test_hedges_lists_and_tricks_are_wrong(answer, reason):
    reward = hfrrf(wrap(answer), TWELVE, "eos")
    assert (reward.reward, reward.format_ok, reward.reason) == (0.0, True, "wrong")
    assert reward.verdict is not None
    assert reward.verdict.reason == reason
    assert not grade_response(wrap(answer), TWELVE).correct


def test_foreign_digits_equal_only_the_same_writing():
    assert grade_answer("１２", GradeSpec("１２")).correct
    assert not grade_answer("12", GradeSpec("１２")).correct


@pytest.mark.parametrize("completion", [wrap("12"), "<think>cut"])
def test_truncated_earns_nothing_with_the_reason_length(completion):
    reward = hfrrf(completion, TWELVE, "length")
    assert (reward.reward, reward.verdict, reward.reason) == (0.0, None, "length")


def test_unknown_stop_reason_is_refused():
    with pytest.raises(ValueError, match="stop reason 'stop'"):
        hfrrf(wrap("12"), TWELVE, "stop")  # type: ignore[arg-type]


MEGABYTE = 1 << 20
HOSTILE = {
    "plain": "a" * MEGABYTE,
    "digits": "1" * MEGABYTE,
    "spaces": "<think>" + " " * MEGABYTE + "</think><answer>13</answer>",
    "open tags": "<answer>" * (MEGABYTE // 8),
    "close tags": "</think>" * (MEGABYTE // 8),
    "lone brackets": "<" * MEGABYTE,
    "spaced brackets": "< " * (MEGABYTE // 2),
    "boxes": "\\boxed{" * (MEGABYTE // 7),
    "nested boxes": "\\boxed{" * 70_000 + "13" + "}" * 70_000,
    "nested braces": "{" * 500_000 + "}" * 500_000,
    "closing braces": "}" * MEGABYTE,
    "final answers": "Final Answer: " * (MEGABYTE // 14),
    "statements": "the answer is " * (MEGABYTE // 14),
    "commas": "1," * (MEGABYTE // 2),
    "combining marks": "<think>" + "a\u0315\u0300" * (MEGABYTE // 3) + "</think><answer>13</answer>",
    "nul": "\x00" * MEGABYTE,
    "huge answer": wrap("1" * MEGABYTE),
    "huge fraction": wrap("\\frac{" * 100_000),
    "special tokens": "<|a" * (MEGABYTE // 3),
    "newlines": "\n" * MEGABYTE + "answer is",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_is_graded_in_bounded_time(name):
    begin = time.perf_counter()
    reward = hfrrf(HOSTILE[name], TWELVE, "eos")
    verdict = grade_response(HOSTILE[name], TWELVE)
    assert time.perf_counter() - begin < 5
    assert reward.reward == 0.0
    assert not verdict.correct


@pytest.mark.parametrize("name", ["nested braces", "boxes", "lone brackets", "open tags", "final answers"])
def test_extraction_is_linear(name):
    def seconds(text: str) -> float:
        begin = time.perf_counter()
        extract(text)
        split_parts("<think>" + text)
        return time.perf_counter() - begin

    small = min(seconds(HOSTILE[name][: MEGABYTE // 8]) for _ in range(3))
    whole = min(seconds(HOSTILE[name]) for _ in range(2))
    # Eight times the text; a quadratic scan would take 64 times as long.
    assert whole < 30 * small + 0.2


@pytest.mark.parametrize("depth", [10, 10_000])
def test_nested_braces_do_not_recurse(depth):
    deep = "{" * depth + "12" + "}" * depth
    for text in (deep, "\\boxed" + deep, "\\sqrt" * depth, "(" * depth, "\\text{" * depth):
        assert hfrrf(wrap(text), TWELVE, "eos").reason in ("wrong", "unparseable", "right", "timeout")
    assert not hfrrf(wrap("{" * depth), TWELVE, "eos").verdict.correct


@given(st.text(max_size=60), st.text(min_size=1, max_size=12).filter(str.strip))
def test_any_text_gets_a_verdict(answer, gold):
    verdict = grade_answer(answer, GradeSpec(gold, "text"))
    assert verdict.status in ("right", "wrong", "unparseable")
    assert hfrrf(answer, GradeSpec(gold, "text"), "eos").reward in (0.0, 1.0)


@given(st.text(alphabet="<>/thinkanswer \n12", max_size=80))
def test_only_the_exact_shape_passes(text):
    parts = split_parts(text)
    if not isinstance(parts, str):
        stripped = text.strip()
        assert stripped.startswith("<think>")
        assert stripped.endswith("</answer>")
        for tag in ("<think>", "</think>", "<answer>", "</answer>"):
            assert stripped.count(tag) == 1
