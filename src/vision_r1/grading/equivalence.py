r"""Is an answer equal to the gold? The one comparison behind filters, rewards and evaluation.

An answer is right only if the whole of it reads as the gold; nothing is searched for inside it. So
"A or B", a list of options or a hedge can never be right by containing the gold, whatever the reason
that the verdict then gives. Order: same text, choice, number, list, equation, LaTeX; then the same for
what a sentence claims (`statement`), which is read without regard to the gold.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from vision_r1.grading import choice, symbolic
from vision_r1.grading.budget import answer_budget
from vision_r1.grading.expressions import (
    Side,
    adds_relation,
    divides_out,
    is_expression,
    same_measure,
    same_polynomial,
    stands_for_number,
)
from vision_r1.grading.notation import joined_thousands, plain_latex
from vision_r1.grading.number import (
    Number,
    approximates,
    close_to,
    compare_numbers,
    parse_number,
    variable_of,
    without_variable,
)
from vision_r1.grading.polynomial import same_equation
from vision_r1.grading.remarks import without_reason
from vision_r1.grading.spec import GradeSpec
from vision_r1.grading.statement import Claim, claims, yes_or_no
from vision_r1.grading.structured import same_form
from vision_r1.grading.text import (
    has_foreign_digits,
    hedges,
    normalize_text,
    plain_math,
    same_words,
    unwrap,
)
from vision_r1.grading.verdict import Status, Verdict

_MAX_ANSWER = 1000
_LIST_MARKS = re.compile(r"\s*(?:[,;]\s+|;|\s+and\s+)(?:and\s+)?\s*")
_ANY_MARKS = re.compile(r"\s*(?:[,;/|\n]|\bor\b|\band\b)\s*", re.IGNORECASE | re.ASCII)
_EITHER = re.compile(r",?\s+or\s+", re.IGNORECASE | re.ASCII)
_BRACKETS = {"(": ")", "[": "]"}
_AND = re.compile(r",?\s(?:and|&)\s|,\s?")
_APPROXIMATES = re.compile(r"\s*(?:\\approx|≈)\s*")
_SOLVED = re.compile(r"[A-XZa-xz]\s?=\s?([^=]+)")
_ASSIGNS = re.compile(r"(?<![A-Za-z\\])([A-Za-z])\s?=\s?[-+$\\0-9]")
_POINT_NAME = re.compile(r"^[A-Z]'?\s?(?:=\s?)?(?=\()")
_DEGREE = re.compile(r"\s?\^\s?\{?\s?\\circ\s?\}?")
_SCALED = re.compile(
    r"(\\?[$€£]?[0-9][0-9,]*(?:\.[0-9]+)?)\s(million|billion|trillion)"
    r"(\s(?:us\s|u\.s\.\s)?(?:dollars?|euros?|pounds?))?",
    re.IGNORECASE,
)
_EQUATION = re.compile(r"[^=<>]+=[^=<>]+")


def grade_answer(answer: str, problem_like: GradeSpec) -> Verdict:
    """Compare one extracted answer with the gold.

    Args:
        answer: the answer alone (see `extract.extract` for whole completions).
        problem_like: the gold and how it is compared.

    Returns:
        A verdict within 2 seconds. Untrusted input never raises and never hangs: answers over 1,000
        characters are not parsed, and all symbolic comparisons of an answer share one `Budget`.
    """
    with answer_budget() as budget:
        verdict = _grade(answer, problem_like)
    if budget.ran_out and verdict.status == "wrong":
        return replace(verdict, status="timeout", reason="timeout")
    return verdict


def _grade(answer: str, spec: GradeSpec) -> Verdict:
    gold_shown = _normal_gold(spec)
    if len(answer) > _MAX_ANSWER and answer.strip() != spec.gold.strip():
        return Verdict("unparseable", answer[:_MAX_ANSWER], gold_shown, None, "too_long")
    text = unwrap(answer)
    if not normalize_text(text):
        return Verdict("unparseable", answer, gold_shown, None, "no_answer")
    status, reason, shown = _compare(text, spec)
    if status == "wrong":
        status, reason, shown = _compare_approximated(text, spec) or (status, reason, shown)
    if status == "wrong":
        status, reason, shown = _compare_claims(text, spec) or (status, reason, shown)
    if status == "wrong" and reason == "different":
        reason = _why_wrong(text, spec)
    return Verdict(status, answer, gold_shown, shown or normalize_text(text), reason)


_YES_NO = {"yes": True, "true": True, "no": False, "false": False}
# A gold of the type "text" is mathematics only if it looks so: "5" may be a name, "\\frac{1}{2}" is none.
_MATHS = re.compile(r"[\\^=√π²³]|^[(\[].*,.*[)\]]$|^[0-9.]+\s?[a-z°%]+")
_Result = tuple[Status, str, str | None]
_DIFFERENT: _Result = ("wrong", "different", None)


def _compare_claims(text: str, spec: GradeSpec, nested: bool = False) -> _Result | None:
    """The verdict on what a sentence claims, where that is right or takes too long; else None.

    A claimed formula may claim in turn: "we get $c = 5 - 2 = 3$".
    """
    if spec.kind == "choice":
        if choice.equates_letter(plain_math(text), spec.options):
            return None
        if choice.resolve(text, spec.options).indices:
            return None  # "only D" is the text of an option
        wanted = choice.resolve(unwrap(spec.gold), spec.options).indices
        if not choice.letters_in(without_reason(text)) <= (wanted or choice.letters_in(spec.gold)):
            return None  # the letter that a sentence names beside a text must be the text's
    for claim in () if _assigns_another(text, spec.gold) else claims(text):
        if _noun_fits(claim, spec):
            result = _compare(claim.text, spec)
            if result[0] == "wrong" and "=" in claim.text and claim.text != text and not nested:
                result = _compare_claims(claim.text, spec, nested=True) or result
            if result[0] == "timeout":  # one is enough: the readings share the time of one answer
                return result
            if result[0] == "right" and not _names_other_option(text, spec):
                return "right", "equal_claim", result[2] or claim.text
    return None


def _assigns_another(text: str, gold: str) -> bool:
    """Whether a text gives a value to a letter, and not to that of the gold: "y = 2" for "x = 2"."""
    wanted = _SOLVED.fullmatch(plain_math(gold))
    given = set(_ASSIGNS.findall(plain_math(text))) if wanted else set()
    return bool(given) and plain_math(gold)[0] not in given


def _compare_approximated(text: str, spec: GradeSpec) -> _Result | None:
    r"""A value with its decimal, "2\sqrt{13} \approx 7.2": one is the gold, and both say the same."""
    sides = _APPROXIMATES.split(plain_math(text))
    if len(sides) != 2 or spec.kind in ("choice", "text") or not parse_number(sides[1]):
        return None
    solved = _SOLVED.fullmatch(sides[0])
    exact = (solved[1] if solved else sides[0]).strip(" $")
    decimal = GradeSpec(sides[1], "number", (), None, spec.unit)
    if not exact or _compare(exact, decimal)[0] != "right":
        return None
    found = next((r for side in (exact, sides[1]) if (r := _compare(side, spec))[0] == "right"), None)
    return ("right", "equal", found[2]) if found else None


def _same_row(normal: str, wanted: str) -> bool:
    """Whether two rows of names are the same, in order: "Slovenia and Poland" is "Slovenia, Poland"."""
    rows = [_AND.split(text) for text in (normal, wanted)]
    return len(rows[1]) > 1 and rows[0] == rows[1] and not any(map(str.isdigit, normal))


def _names_other_option(text: str, spec: GradeSpec) -> bool:
    """Whether a sentence has the text of an option, in letters, that is not part of the gold's."""
    if not spec.options:
        return False
    wanted = choice.resolve(unwrap(spec.gold), spec.options).indices
    said, golds = normalize_text(without_reason(text)), [normalize_text(spec.options[i]) for i in wanted]
    return any(
        len(word) > 2
        and word.isalpha()
        and not any(word in gold for gold in golds)
        and re.search(rf"\b{word}\b", said)
        for word in map(normalize_text, spec.options)
    )


def _noun_fits(claim: Claim, spec: GradeSpec) -> bool:
    """Whether a sentence may count what the gold counts: "12 apples" is neither 12 cm nor 12 pears."""
    if not claim.noun:
        return True
    number = _gold_number(unwrap(spec.gold), spec.unit) if spec.kind in ("auto", "number", "text") else None
    unit = (number.unit if number else None) or spec.unit
    if unit is None:
        return True
    wanted = {word.rstrip("s") for word in unit.casefold().split()}
    return bool(wanted & {word.rstrip("s") for word in claim.noun.split()})


def _compare(text: str, spec: GradeSpec) -> _Result:
    gold = unwrap(spec.gold)
    letters = choice.is_letter(gold) or choice.letters_of(gold)
    if spec.kind == "choice" or (spec.kind == "auto" and letters):
        return _compare_choice(text, gold, spec)
    normal, wanted = normalize_text(text), _normal_text(spec.gold)
    if normal == wanted or same_words(normal, wanted) or _same_latex(text, gold) or _same_row(normal, wanted):
        return "right", "equal", None
    if wanted in _YES_NO:
        return ("right", "equal", None) if yes_or_no(text) is _YES_NO[wanted] else _DIFFERENT
    alike = same_form(
        plain_math(text),
        plain_math(gold),
        lambda item, wanted: _compare_item(item, wanted, spec)[0] == "right",
    )
    if alike is None:
        if spec.kind == "text" and not _MATHS.search(gold):
            return _DIFFERENT
        return _compare_plain(text, gold, spec)
    return ("right", "equal", None) if alike else _DIFFERENT


def _same_latex(text: str, gold: str) -> bool:
    """Whether two texts are the same LaTeX: its spaces mean nothing."""
    if "\\" not in gold and "\\" not in text:
        return False
    one, other = (_DEGREE.sub("°", plain_math(side)).replace(" ", "") for side in (text, gold))
    return one == other


def _compare_plain(text: str, gold: str, spec: GradeSpec) -> _Result:
    """A list, an equation or a value."""
    if spec.kind == "list" or (gold_list := _auto_list(plain_math(gold))):
        items = gold_list if spec.kind != "list" else _items(plain_math(gold))
        return _compare_list(text, gold, items, spec)
    if "=" in gold:
        return _compare_equation(text, gold, spec)
    return _compare_value(text, gold, spec)


def _compare_item(item: str, wanted: str, spec: GradeSpec) -> _Result:
    """One item of a list or a set, or one cell."""
    if normalize_text(item) == normalize_text(wanted):
        return "right", "equal", None
    return _compare_part(item, wanted, spec)


def _compare_part(part: str, wanted: str, spec: GradeSpec) -> _Result:
    """A part of the answer with the part of the gold that it stands for."""
    return _compare_value(part, wanted, GradeSpec(wanted, "number", (), spec.precision, spec.unit))


def _compare_value(text: str, gold: str, spec: GradeSpec) -> _Result:
    """Numbers by value; anything else that is mathematics on both sides symbolically."""
    gold_number = _gold_number(gold, spec.unit)
    plain = joined_thousands(plain_math(text))
    number = parse_number(plain, spec.unit)
    if gold_number and number:
        if figure := _without_scale(plain, gold_number, spec.unit):
            return "right", "equal", figure
        if divides_out(plain, number, gold):
            return "wrong", "unevaluated", plain
        found = compare_numbers(gold_number, number, spec.precision, spec.unit)
        return ("right" if found == "equal" else "wrong"), found, str(number)
    wanted = plain_math(gold)
    if "=" not in wanted:
        plain = without_variable(plain)
    return _compare_symbolic(plain, wanted, gold_number, spec, number)


def _without_scale(answer: str, gold: Number, unit: str | None) -> str | None:
    """The figure of "197 billion euros" for a bare 197, of a chart in billions; None for any other answer.

    The unit of the problem names the scale; where it has none, an amount of money for a gold below 1,000 is
    read so, too. The figures must be the same, and "12 million" is not 12.
    """
    scaled = None if gold.unit else _SCALED.fullmatch(answer)
    if scaled is None or (number := parse_number(scaled[1])) is None or number.value != gold.value:
        return None
    if unit:
        return scaled[1] if unit.casefold().split()[0] == scaled[2].casefold() else None
    return scaled[1] if abs(gold.value) < 1000 and ("$" in scaled[1] or scaled[3]) else None


def _compare_symbolic(
    answer: str, gold: str, gold_number: Number | None, spec: GradeSpec, number: Number | None = None
) -> _Result:
    given, wanted = Side.of(answer, number), Side.of(gold, gold_number, spec.unit)
    refused = _no_value(answer, gold, given, wanted, spec)
    if refused:
        return refused
    if not (number or gold_number) and is_expression(gold, spec) and same_polynomial(given, wanted):
        return "right", "equal", answer
    answer_latex, gold_latex = given.latex(wanted), wanted.latex(given)
    if answer_latex is None or gold_latex is None:
        return _DIFFERENT
    outcome = symbolic.compare(gold_latex, answer_latex)
    if outcome.status in ("timeout", "unparseable"):
        return ("timeout" if outcome.status == "timeout" else "unparseable"), outcome.status, answer_latex
    if outcome.status == "equal" or _same_value(outcome, gold_number, number, spec):
        return "right", "equal" if outcome.status == "equal" else "equal_value", answer_latex
    return "wrong", "different", answer_latex


def _no_value(answer: str, gold: str, given: Side, wanted: Side, spec: GradeSpec) -> _Result | None:
    """Why an answer is no single value in the gold's unit, if it is none."""
    if hedges(answer) or (given.number is None and adds_relation(answer, gold)):
        return _DIFFERENT
    if wanted.number and not given.number and not stands_for_number(given, wanted.number, spec.precision):
        # Copying the operands instead of working them out is no answer to "what is 3 + 4".
        bare = symbolic.is_bare_arithmetic(answer.replace("$", ""))
        return "wrong", "unevaluated" if bare else "different", answer
    if not same_measure(given, wanted):
        return "wrong", "other_unit", answer
    return _DIFFERENT if given.is_multiple(wanted) or wanted.is_multiple(given) else None


def _same_value(
    outcome: symbolic.Outcome, gold_number: Number | None, number: Number | None, spec: GradeSpec
) -> bool:
    """Whether a closed form has the value of a rounded gold, or a rounded answer that of a closed form."""
    if number and not gold_number and outcome.gold_value is not None and spec.precision is None:
        return approximates(outcome.gold_value, number)
    rounded = gold_number and (gold_number.decimals is not None or spec.precision is not None)
    if gold_number is None or not rounded or outcome.value is None:
        return False
    return close_to(gold_number, outcome.value, spec.precision)


def _compare_choice(text: str, gold: str, spec: GradeSpec) -> _Result:
    wanted = choice.resolve(gold, spec.options)
    if spec.options and not wanted.indices and (choice.is_letter(gold) or choice.several_letters(gold)):
        outside = {*choice.several_letters(gold), ord(gold.strip("(). ")[0]) - 65}
        if max(outside) >= len(spec.options):
            return "wrong", "gold_outside_options", None
    if not wanted.indices and (several := choice.several_letters(gold)):
        same = choice.several_letters(text) == several
        return ("right" if same else "wrong"), "equal" if same else "different", text
    named = choice.resolve(text, spec.options)
    if not wanted.indices:
        # The gold is no option (a fault of the data set): compare with its text as it stands.
        free = GradeSpec(
            spec.gold, "text" if choice.is_letter(gold) else "auto", (), spec.precision, spec.unit
        )
        return _compare(text, free)
    if wanted.indices & named.indices:
        return "right", "equal", _letters(named.indices)
    if named.indices or named.reason == "several_answers" or not spec.options:
        return "wrong", named.reason or "different", _letters(named.indices)
    return _compare_option(text, wanted.indices, named.reason, spec)


def _letters(indices: frozenset[int]) -> str | None:
    return ",".join(chr(65 + index) for index in sorted(indices)) or None


def _compare_option(text: str, wanted: frozenset[int], reason: str, spec: GradeSpec) -> _Result:
    """An answer that names no option as it is written: "Yes, it is" or another form of the option's value."""
    says = [_YES_NO.get(normalize_text(option)) for option in spec.options]
    if None not in says and (said := yes_or_no(text)) is not None:
        same = said in (says[index] for index in wanted)
        return ("right" if same else "wrong"), "equal" if same else "different", None
    plain = plain_math(text)
    lettered = choice.lettered_text(plain)
    if lettered and lettered[0] < len(spec.options):  # the r of "r = 2" is no option
        if lettered[0] not in wanted:
            return "wrong", reason, None
        plain = lettered[1]
    option = plain_math(spec.options[min(wanted)])
    if same_form(plain, option, lambda item, other: item == other):
        return "right", "equal", None
    names = {variable_of(text) for text in (plain, option)} - {""}
    if len(names) > 1:  # "y = 2" is not "x = 2"
        return "wrong", reason, None
    result = _compare_value(plain, unwrap(spec.options[min(wanted)]), spec)
    return ("wrong", reason, None) if result == _DIFFERENT else result


def _compare_equation(text: str, gold: str, spec: GradeSpec) -> _Result:
    """Both sides must be equal: math-verify would read "y = -3" as just -3.

    The bare number is enough for a gold such as "n = 4", but not for "y = 4", which may be a line.
    """
    plain, wanted = plain_math(text), plain_math(gold)
    solved = _SOLVED.fullmatch(wanted)
    if solved and parse_number(plain) and "=" not in plain:
        return _compare_part(text, solved[1], spec)
    if not _EQUATION.fullmatch(plain) or not _EQUATION.fullmatch(wanted):
        return _DIFFERENT
    if not (solved and parse_number(solved[1])) and same_equation(plain_latex(plain), plain_latex(wanted)):
        return "right", "equal", plain
    left, right = (side.strip() for side in plain.split("="))
    gold_left, gold_right = (side.strip() for side in wanted.split("="))
    if right.replace(" ", "") == gold_left.replace(" ", ""):
        left, right = right, left
    if left.replace(" ", "") != gold_left.replace(" ", ""):
        return _DIFFERENT
    if right.replace(" ", "") == gold_right.replace(" ", ""):
        return "right", "equal", plain
    return _compare_part(right, gold_right, spec)


@lru_cache(maxsize=4096)
def _auto_list(gold: str) -> tuple[str, ...]:
    """The items of a gold that is plainly a list: numbers, or anything in square brackets."""
    if len(gold) > _MAX_ANSWER:  # no answer is that long
        return ()
    items = _items(gold)
    bracketed = gold[:1] == "[" and gold[-1:] == "]"
    numbers = all(parse_number(item) for item in items)
    return items if len(items) > 1 and (numbers or bracketed) and not parse_number(gold) else ()


def _items(text: str) -> tuple[str, ...]:
    inner = text.strip()
    if _BRACKETS.get(inner[:1]) == inner[-1:] and len(inner) > 1:
        inner = inner[1:-1].strip()
    items = _LIST_MARKS.split(inner)
    if len(items) == 1:
        items = inner.split(",") if "," in inner else inner.split()
    return tuple(unwrap(item) for item in items)


def _compare_list(text: str, gold: str, items: tuple[str, ...], spec: GradeSpec) -> _Result:
    """Item by item, in order. Different brackets are different things: (3, 4) is not [3, 4]."""
    plain = plain_math(text)
    if all(parse_number(item) for item in items):  # "2 or 5" are two solutions, "Mali or Chad" a hedge
        plain = _EITHER.sub(", ", plain)
    marks = [side[0] for side in (plain, plain_math(gold)) if side[:1] in _BRACKETS]
    found = _items(_POINT_NAME.sub("", plain) if _POINT_NAME.match(plain_math(gold)) is None else plain)
    if len(found) != len(items) or len(set(marks)) > 1:
        return _DIFFERENT
    for item, wanted in zip(found, items, strict=True):
        if not item or not wanted:
            return _DIFFERENT
        result = _compare_item(item, wanted, spec)
        if result[0] != "right":
            return result[0], result[1], ", ".join(found)
    return "right", "equal", ", ".join(found)


def _why_wrong(text: str, spec: GradeSpec) -> str:
    """A finer reason for an answer that is not equal: several answers, foreign digits, or neither."""
    if hedges(text):
        return "several_answers"
    if has_foreign_digits(text):
        return "unicode_digits"
    if spec.kind == "list" or (spec.kind == "auto" and _auto_list(plain_math(unwrap(spec.gold)))):
        return "different"
    for pieces in (_ANY_MARKS.split(text), _ANY_MARKS.sub(" ", text).split()):
        parts = {normalize_text(part) for part in pieces} - {""}
        if len(parts) > 1 and all(_is_candidate(part, spec) for part in parts):
            return "several_answers"
    return "different"


def _is_candidate(part: str, spec: GradeSpec) -> bool:
    named = choice.resolve(part, spec.options).indices if spec.kind == "choice" else frozenset()
    letter = choice.is_letter(part.upper()) and spec.kind == "auto"
    return bool(named) or letter or parse_number(part, spec.unit) is not None


@lru_cache(maxsize=4096)
def _normal_text(gold: str) -> str:
    return normalize_text(gold)


@lru_cache(maxsize=4096)
def _gold_number(gold: str, unit: str | None) -> Number | None:
    return parse_number(plain_math(gold), unit)


@lru_cache(maxsize=4096)
def _normal_gold(spec: GradeSpec) -> str:
    """The gold as verdicts show it: the letter of a choice, a number, or normal text."""
    gold = unwrap(spec.gold)
    if spec.kind == "choice":
        indices = choice.resolve(gold, spec.options).indices or choice.several_letters(gold)
        return ",".join(chr(65 + index) for index in sorted(indices)) or normalize_text(gold)
    if spec.kind == "auto" and choice.is_letter(gold):
        return gold.strip("(). ")
    number = parse_number(plain_math(gold), spec.unit) if spec.kind in ("auto", "number") else None
    return str(number) if number and "=" not in gold else normalize_text(gold)
