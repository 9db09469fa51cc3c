"""MATH-Vision (Wang et al., arXiv 2402.14804): 3,040 competition questions, 16 subjects, 5 levels."""

from __future__ import annotations

import re
from fractions import Fraction

from vision_r1.evals.benchmarks.benchmark import Benchmark, Item, Official, RowReader, Source, choices_of
from vision_r1.evals.benchmarks.published import LatexReader, TooSlowError, python_float, python_int
from vision_r1.grading.budget import answer_budget
from vision_r1.problems.columns import cell_text

_PROMPT = (
    "Please first solve the problem step by step, then put your final answer or a single letter (if it is "
    'a multiple choice question) in one "\\boxed{}". \n'
)
_FLAGS = ("the final answer is", "the answer is", "the correct answer is", "the answer should be")
# What the published scorer deletes or rewrites, in its order; "" deletes.
_REWRITES = (
    (" ", ""), ("\\,", ""), ("∞", "\\infty"), ("+\\infty", "\\infty"), ("\\\\", "\\"), ("\n", ""),
    ("\\text", ""), ("\\mbox", ""), ("bmatrix", "pmatrix"), ("\\left", ""), ("\\right", ""),
    ("^{\\circ}", ""), ("^\\circ", ""), ("{m}^3", ""), ("m^3", ""), ("{units}", ""), ("units", ""),
    ("{km}", ""), ("km", ""), ("\\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"),
    ("\\$", ""), ("$", ""), ("\\%", ""), ("{.", "{0."),
)  # fmt: skip
_WHOLE = re.compile(r"[0-9.+\-*^{}() ]+")
# latex2sympy, which the authors call, cannot read these, or Python cannot evaluate what it makes of them.
_UNREAD = re.compile(r"\\circ|\\frac(?!\{)|\\sqrt(?![{\[])|(?<!\\)%|\*\*|\\ln|[|√°π]")
_THOUSANDS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?")


def read(reader: RowReader) -> Item:
    """One image file a row; a question may mark several places in it."""
    question, options = reader.text("question"), reader.texts("options")
    gold = reader.row.values.get("answer")
    return reader.item(
        id=reader.text("id"),
        question=question,
        # Not stripped: one gold begins with a form feed.
        gold="" if gold is None else str(gold),
        prompt=f"{_PROMPT}{question}\n" + (f"{choices_of(options)}\n" if options else ""),
        media=reader.images("decoded_image", "image"),
        options=options,
        family=reader.text("subject"),
        level=reader.text("level"),
    )


@answer_budget()
def official(item: Item, response: str) -> Official:
    """The stated or boxed answer, equal to the gold letter or to that option's text."""
    answer = _find(_stated(response.strip()))
    gold, options = cell_text(item.raw.get("answer")), item.problem.options
    value = options[ord(gold) - ord("A")] if len(gold) == 1 and 0 <= ord(gold) - 65 < len(options) else ""
    latex = LatexReader()
    try:
        right = any(_equal(wanted, answer, latex) for wanted in (gold, value))
    except TooSlowError:
        return Official(False, answer, "timeout")
    return Official(right, answer, "equal" if right else "different")


def _stated(answer: str) -> str:
    """The option at the very start or end, the number after "is", or what follows "the answer is"."""
    for letter in "ABCDE":
        ends = (f" {letter}.", f" ({letter}).")
        if answer.endswith(ends) or answer.startswith(
            (f"{letter}\n", f"({letter})\n", f"({letter}) {letter}\n")
        ):
            answer = letter
    number = answer.split("is ")[-1].rstrip(".")
    if python_float(number) is not None:
        answer = number
    if "oxed{" in answer:
        return "\\boxed{" + answer.split("oxed{")[-1] if answer.count("oxed{") > 1 else answer
    for flag in _FLAGS:
        for form in (flag, flag.replace("the", "The")):
            stated = form in answer
            answer = answer.split(form)[-1].strip()
            if stated:
                answer = answer.split("\n")[0].split(". ")[0]
    return answer


def _find(text: str) -> str:
    r"""What the published scorer takes for the answer, in lower case and normal form.

    From the first box to the last brace of all: a later `\\frac{}{}` becomes part of the answer.
    """
    text = text.lower().replace("{}", "")
    start, end = text.find("oxed{"), text.rfind("}")
    if start >= 0 and end >= start + 5:
        text = text[start + 5 : end]
    if "}" in text and not -1 < text.find("{") < text.find("}"):
        text = text.split("}")[0]
    text = text.split("=")[-1].split("\\approx")[-1]
    for old, new in _REWRITES:
        text = text.replace(old, new)
    text = _normal(text)
    for opening, closing in ("()", "{}"):
        for letter in "abcde":
            text = text.replace(f"{opening}{letter}{closing}", letter)
    return text.rstrip(".").lstrip(":").strip()


def _normal(text: str) -> str:
    """Shorthand roots and fractions with braces; fractions only in answers that have a root."""
    text = "0" + text if text.startswith(".") else text
    if "sqrt" in text:
        head, *tails = text.split("\\sqrt")
        text = head + "".join(
            "\\sqrt" + (f"{{{tail[0]}}}{tail[1:]}" if tail and tail[0] != "{" else tail) for tail in tails
        )
        text = _braced_fractions(text)
    if text == "0.5":
        return "\\frac{1}{2}"
    top, _, bottom = text.partition("/")
    a, b = python_int(top), python_int(bottom)
    return f"\\frac{{{a}}}{{{b}}}" if text == f"{a}/{b}" else text


def _braced_fractions(text: str) -> str:
    head, *tails = text.split("\\frac")
    parts = [head]
    for tail in tails:
        if not tail.startswith("{"):
            if len(tail) < 2:
                return text
            bottom = tail[1] if tail[1] == "{" else f"{{{tail[1]}}}"
            tail = f"{{{tail[0]}}}{bottom}{tail[2:]}"
        parts.append("\\frac" + tail)
    return "".join(parts)


def _equal(gold: str, answer: str, latex: LatexReader) -> bool:
    """As text, as tuples, or as values to two decimals."""
    gold, answer = gold.lower(), answer.lower()
    if not gold.strip(" ") or not answer.strip(" "):
        return False
    if gold.strip() == answer.strip():
        return True
    gold, answer = _tuple(gold, latex), _tuple(answer, latex)
    if gold == answer:
        return True
    values = _value(gold, latex), _value(answer, latex)
    return None not in values and len({round(float(value), 2) for value in values if value is not None}) == 1


def _value(text: str, latex: LatexReader) -> Fraction | None:
    """The value as the authors' parser reads it."""
    if _UNREAD.search(text):
        return None
    text = text.replace("$", "").strip()
    text = text.replace(",", "") if _THOUSANDS.fullmatch(text) else text
    if text.startswith("{") and text.find("}") == len(text) - 1:
        text = text[1:-1]
    return latex.value(text.replace("\\%", "/100"))


def _tuple(text: str, latex: LatexReader) -> str:
    """`(1/2, 3)` -> `(0.5,3)`; unchanged if it is no tuple or an entry has no value."""
    entries = text[1:-1].split(",")
    if len(entries) < 2 or (text[0], text[-1]) not in (("(", ")"), ("[", "]")) or len(entries) > 20:
        return text
    read_entries = [
        entry if "infty" in entry or entry in ("a", "-a") else _rounded(entry, latex) for entry in entries
    ]
    return text if None in read_entries else f"{text[0]}{','.join(map(str, read_entries))}{text[-1]}"


def _rounded(entry: str, latex: LatexReader) -> str | None:
    """Two decimals as Python shows them: whole numbers without a point, quotients with one."""
    value = _value(entry, latex)
    if value is None:
        return None
    return (
        str(int(value)) if value.denominator == 1 and _WHOLE.fullmatch(entry) else str(round(float(value), 2))
    )


BENCHMARK = Benchmark(
    name="mathvision",
    title="MATH-Vision",
    paper="arXiv 2402.14804",
    source=Source(
        hub="MathLLMs/MathVision",
        split="test",
        files=("test.jsonl", "data/test.jsonl", "testmini.jsonl", "data/testmini.jsonl"),
        told_by=(frozenset({"options", "level", "subject"}),),
    ),
    read=read,
    official=official,
    vlmevalkit="MathVision",
    notes=(
        "an answer in <answer> tags or in **bold** is never found: such models score 0",
        "LaTeX is read by math-verify in a process that is killed, where the authors call eval",
    ),
)
