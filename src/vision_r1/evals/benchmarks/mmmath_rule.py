"""The judge of MM-Math, which OlympiadBench's is the origin of: boxes, numbers, intervals, equations.

Reproduced from its description. Where it calls sympy, this asks the worker that can be killed.
"""

from __future__ import annotations

import re

from vision_r1.evals.benchmarks.published import LatexReader, TooSlowError, python_float
from vision_r1.grading.budget import answer_budget

_BOX = "\\boxed{"
_MAX_ANSWER = 2_000
# Deleted before anything else, in this order, as the published script does.
_UNITS = (
    "\\text{cm}^2", "\\text{cm}", "\\,cm", "\\text{ cm}", "cm", "\\text{分米}^2", "cm^{2}",
    "60 \\text{ cm}^2", "\\ \\text{m}", "\\text{米}",
)  # fmt: skip
_SIGNS = (
    ("\\left", ""), ("\\right", ""), ("厘米", ""), ("，", ","), ("$", ""), ("（", "("), ("）", ")"),
    ("\\infty", "oo"), ("\\colon ", ":"), ("＋", "+"), ("\\, ", ""), ("\\,", ""), ("^\\circ", ""),
    ("^{\\circ}", ""),
)  # fmt: skip
_ENDS = "\n,.:;^_=+`!@#%^&*~，。"
_ANGLE = re.compile(r"(\\sin|\\cos|\\tan)([0-9]+)")
_FONT = re.compile(r"\\(?:mathrm|mathbf)\{~?([^{}]*)\}")
_CHINESE = re.compile(r"[\u4e00-\u9fff]+")
_DOLLARS = re.compile(r"\$([^$\n]*)\$")


@answer_budget()
def judge(gold_text: str, response: str, tolerance: float) -> tuple[bool, str | None, str]:
    """Whether all boxes of the response agree with all boxes of the gold.

    Args:
        gold_text: the worked solution.
        response: of the model.
        tolerance: for numbers and for the values of expressions.

    Returns:
        right or not, what was compared, and a reason code.
    """
    gold, answer = _expression(gold_text), _expression(response)
    if gold is None or answer is None:
        return False, None, "unclosed_or_too_long"
    try:
        right = gold == answer or _Judge(tolerance).same_parts(_parts(gold), _parts(answer))
    except TooSlowError:
        return False, answer, "timeout"
    return right, answer, "equal" if right else "different"


def boxes_of(text: str) -> list[str] | None:
    """The contents of all boxes, nested ones again; None if one is not closed or they are very long."""
    found: list[str] = []
    size, at = 0, text.find(_BOX)
    while at >= 0:
        start = end = at + len(_BOX)
        depth = 1
        while depth and end < min(len(text), start + _MAX_ANSWER):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        size += end - start
        if depth or size > _MAX_ANSWER:
            return None
        found.append(text[start : end - 1])
        at = text.find(_BOX, start)
    return found


def _expression(text: str) -> str | None:
    """All boxes joined by commas, without units, degrees and end marks.

    A final "m" is dropped only where no box, and so no comma, comes last.
    """
    boxes = boxes_of(text)
    if boxes is None:
        return None
    formulas = boxes or _DOLLARS.findall(text.strip().split("\n")[-1])
    text = "".join(f"{content}," for content in formulas) or text
    if len(text) > _MAX_ANSWER:
        return None
    for unit in _UNITS:
        text = text.replace(unit, "")
    text = text.strip()
    if text.endswith("m") and text[-2:-1] not in ("", "\n"):
        text = text[:-1]
    if "\\in " in text:
        text = text.split("\\in ")[1]
    for old, new in _SIGNS:
        text = text.replace(old, new)
    return _FONT.sub(r"\1", _ANGLE.sub(r"\1((\2/180)\\pi)", text).strip(_ENDS))


def _parts(text: str) -> list[str]:
    """The expressions between commas outside brackets; `a<x<b` as an interval; both signs of ±."""
    text = text if _CHINESE.fullmatch(text) else _CHINESE.sub("", text)
    if text.count("<") == 2:
        pieces = text.split("<")
        text = f"({pieces[0]}, {pieces[-1]})"
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(text):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    parts += [text[start:].strip()] if start < len(text) else []
    return [part.replace("\\pm", sign) for part in parts for sign in ("+-" if "\\pm" in part else "+")]


class _Judge:
    """Compares parts of gold and answer at one tolerance."""

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance * 1.01
        self.latex = LatexReader()

    def same_parts(self, gold: list[str], answer: list[str]) -> bool:
        """Every part of the gold has its own equal part of the answer, in any order."""
        if len(gold) != len(answer):
            return False
        left = list(answer)
        for wanted in gold:
            match = next((part for part in left if self.equal(wanted, part)), None)
            if match is None:
                return False
            left.remove(match)
        return True

    def equal(self, gold: str, answer: str) -> bool:
        """As text, interval, number, expression or equation."""
        if gold == answer and gold:
            return True
        if _is_interval(gold) and _is_interval(answer):
            same = self.same_intervals(gold, answer)
            if same is not False:
                return bool(same)
        if self.same_number(gold, answer):
            return True
        if "=" in gold and "=" in answer:
            return self.same_equation(gold, answer)
        return self.same_expression(gold, answer) is True

    def same_intervals(self, gold: str, answer: str) -> bool | None:
        """None where an end cannot be read, which ends the matter in the published script."""
        pieces, others = gold.split("\\cup"), answer.split("\\cup")
        if len(pieces) != len(others):
            return False
        for one, other in zip(pieces, others, strict=True):
            if not one or not other:
                return None
            if (one[0], one[-1]) != (other[0], other[-1]):
                return False
            ends = zip(one.strip("[]()").split(","), other.strip("[]()").split(","), strict=False)
            for end, other_end in ends:
                same = self.same_expression(end, other_end)
                if not same:
                    return same
        return True

    def same_number(self, gold: str, answer: str) -> bool:
        """Equal, or a hundred times more or less: percent are not told from shares."""
        wanted, found = python_float(gold), python_float(answer)
        if wanted is None or found is None:
            return False
        return any(abs(value - found) <= self.tolerance for value in (wanted / 100, wanted, wanted * 100))

    def same_expression(self, gold: str, answer: str) -> bool | None:
        """What follows the first equals sign, symbolically or by value; None if it cannot be read."""
        sides = [text.split("=")[1] if "=" in text else text for text in (gold, answer)]
        if _has_unknowns(sides[0]) != _has_unknowns(sides[1]):
            return False
        outcome = self.latex.compare(*sides)
        if outcome is None or outcome.status == "unparseable":
            return None
        if outcome.status == "equal":
            return True
        if outcome.value is None or outcome.gold_value is None:
            return False
        return abs(float(outcome.value - outcome.gold_value)) <= self.tolerance

    def same_equation(self, gold: str, answer: str) -> bool:
        """One equation is a small multiple of the other (the published script takes any whole one)."""
        sides = [text.split("=") for text in (gold, answer)]
        if any(len(pair) != 2 or not all(side.strip() for side in pair) for pair in sides):
            return False
        one, other = (f"({left})-({right})" for left, right in sides)
        for factor in (1, -1, 2, -2, 3, -3):
            for first, second in ((f"{factor}*({one})", other), (one, f"{factor}*({other})")):
                outcome = self.latex.compare(first, second)
                if outcome is not None and outcome.status == "equal":
                    return True
        return False


def _is_interval(text: str) -> bool:
    return text.startswith(("(", "[")) and text.endswith((")", "]"))


def _has_unknowns(text: str) -> bool:
    """Whether there are letters besides commands; a unit such as "m" is one, as sympy reads it."""
    return re.search(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", " ", text)) is not None
