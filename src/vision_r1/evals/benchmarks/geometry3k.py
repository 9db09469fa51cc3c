"""Geometry3K (Lu et al., arXiv 2105.04165): 3,002 plane geometry problems with four choices.

InterGPS, the authors' system, computes a number; it is right if no choice is nearer to it than the
gold. `official` is that rule on the number that a response comes to, or on the choice that it names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from string import ascii_uppercase

from vision_r1.evals.benchmarks.benchmark import Benchmark, Item, Official, RowFault, RowReader, Source
from vision_r1.grading import choice, symbolic
from vision_r1.grading.extract import extract
from vision_r1.grading.number import parse_number
from vision_r1.grading.text import plain_math

# Searched in this order; of the first that is found, the last match counts.
_LETTER_FORMS = (
    re.compile(r"[Aa]nswer\s*[:=]\s*\(?([A-Da-d])\)?"),
    re.compile(r"\b([A-Da-d])\s*[.)\]]"),
    re.compile(r"^\s*\(?([A-Da-d])\)?$"),
    re.compile(r"\b([A-Da-d])\b"),
)


def read(reader: RowReader) -> Item:
    """Either edition: InterGPS has `problem_text` and a letter, the packaged one names it `ground_truth`."""
    question, identity = reader.text("problem_text", "problem"), reader.text("id")
    options = reader.texts("choices")
    gold = reader.text("ground_truth", "answer")
    if len(options) < 2:
        raise RowFault(f"{len(options)} options")
    if gold and gold not in ascii_uppercase[: len(options)]:
        raise RowFault(f"gold {gold[:40]!r} is no letter of the {len(options)} options")
    lettered = [f"{letter}. {text}" for letter, text in zip(ascii_uppercase, options, strict=False)]
    return reader.item(
        id=identity,
        question=question,
        gold=gold,
        prompt="\n".join(
            [question, *lettered, "Answer with the option's letter from the given choices directly."]
        ),
        media=reader.images("image", "images") or reader.first_file(f"{identity}/img_diagram.png"),
        options=options,
        unit=reader.text("unit") or None,
        family=reader.text("problem_type_goal"),
        level=reader.text("data_type"),
    )


def official(item: Item, response: str) -> Official:
    """InterGPS's rule: right if the gold's `precise_value` is at the least distance from the answer."""
    answer = extract(response).answer
    if answer is None:
        return Official(False, None, "unsolved")
    values = option_values(item)
    found = _answer_value(answer, item.problem.options, values)
    if found is None:
        return Official(False, answer, "unsolved")
    if None in values:
        # The rule asks for a value of every choice, and gives up on the problem otherwise.
        return Official(False, answer, "choice_without_value")
    distances = [abs(value - found) for value in values if value is not None]
    correct = distances[ascii_uppercase.index(item.problem.answer)] == min(distances)
    return Official(correct, answer, "nearest_option" if correct else "different")


def option_values(item: Item) -> tuple[float | None, ...]:
    """`precise_value` of the row; editions without it have the values of the choices' texts."""
    given = item.raw.get("precise_value")
    if isinstance(given, list) and len(given) == len(item.problem.options):
        return tuple(_finite(value) for value in given)
    return tuple(_value(option) for option in item.problem.options)


def _finite(value: object) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if number and isinstance(value, int | float) else None


def _answer_value(answer: str, options: Sequence[str], values: Sequence[float | None]) -> float | None:
    """The number that an answer is, or that of the one choice that it names."""
    number = parse_number(plain_math(answer))
    if number is not None:
        return float(number.value)
    named = choice.resolve(answer, options).indices
    return values[min(named)] if len(named) == 1 else _value(answer)


def _value(text: str) -> float | None:
    """The value of a number or of one LaTeX expression; None for anything else."""
    number = parse_number(plain_math(text))
    if number is not None:
        return float(number.value)
    latex = symbolic.to_latex(plain_math(text))
    if latex is None:
        return None
    outcome = symbolic.compare("0", latex)
    if outcome.status == "equal":
        return 0.0
    return float(outcome.value) if outcome.value is not None else None


def official_lmms_eval(item: Item, response: str) -> Official:
    """lmms-eval's rule: a letter in four forms, the last of them any lone A to D; else an option's text."""
    text = response.strip()
    for form in _LETTER_FORMS:
        if letters := form.findall(text):
            letter = letters[-1].upper()
            return Official(letter == item.problem.answer, letter, "letter")
    for letter, option in zip("ABCD", item.problem.options, strict=False):
        if option.lower() in text.lower():
            return Official(letter == item.problem.answer, letter, "option_text")
    return Official(False, None, "no_answer")


BENCHMARK = Benchmark(
    name="geometry3k",
    title="Geometry3K",
    paper="arXiv 2105.04165",
    source=Source(
        hub="hiyouga/geometry3k",
        split="test",
        told_by=(
            frozenset({"problem_text"}),
            frozenset({"problem", "images"}),
        ),
    ),
    read=read,
    official=official,
    other_rules={"lmms_eval": official_lmms_eval},
    notes=(
        "InterGPS's second figure, guessed, adds a quarter of the rows with the reason unsolved",
        "the authors' rule scores a computed number; a response that names a choice stands for its value",
        "any number is right that is nearer to the gold than to the other choices",
        "the prompt is lmms-eval's: the authors' system reads logic forms, not a prompt",
    ),
)
