"""MathVista (Lu et al., arXiv 2310.02255): 1,000 testmini questions from 31 sources."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from vision_r1.evals.benchmarks.benchmark import (
    Ask,
    Benchmark,
    Item,
    Official,
    RowReader,
    Source,
    choices_of,
)
from vision_r1.evals.benchmarks.judging import extraction_prompt
from vision_r1.evals.benchmarks.matching import infer_option, lettered
from vision_r1.evals.benchmarks.published import nearest_text, python_float, python_int
from vision_r1.problems.columns import cell_object, cell_text

_FLOAT = (
    "Please answer the question requiring a floating-point number with {} decimal place{} and provide the "
    "final value, e.g., {}, at the end."
)
_HINTS = {
    "choice": "Please answer the question and provide the correct option letter, "
    "e.g., A, B, C, D, at the end.",
    "integer": "Please answer the question requiring an integer answer and provide the final value, "
    "e.g., 1, 2, 3, at the end.",
    "float1": _FLOAT.format("one", "", "1.2, 1.3, 1.4"),
    "float2": _FLOAT.format("two", "s", "1.23, 1.34, 1.45"),
    "list": "Please answer the question requiring a Python list as an answer and provide the final list, "
    "e.g., [1, 2, 3], [1.2, 1.3, 1.4], at the end.",
}
_LETTER = re.compile(r"\(([a-zA-Z])\)")
_QUOTE = 'The answer is "'

# Columns of the published result table, and the task or skill whose rows each counts.
_TABLE = {
    "FQA": "figure question answering",
    "GPS": "geometry problem solving",
    "MWP": "math word problem",
    "TQA": "textbook question answering",
    "VQA": "visual question answering",
    "ALG": "algebraic reasoning",
    "ARI": "arithmetic reasoning",
    "GEO": "geometry reasoning",
    "LOG": "logical reasoning",
    "NUM": "numeric commonsense",
    "SCI": "scientific reasoning",
    "STA": "statistical reasoning",
}


def read(reader: RowReader) -> Item:
    """The gold of a choice is the option's text; `precision` is set in float rows only."""
    question, kind, unit = reader.text("question"), reader.text("answer_type"), reader.text("unit")
    options, metadata = reader.texts("choices"), cell_object(reader.row.values.get("metadata"))
    places = python_float(reader.text("precision"))
    precision = int(places) if places in (1.0, 2.0) else None
    hint = _HINTS["choice"] if options else _HINTS.get(f"{kind}{precision}", _HINTS.get(kind, ""))
    lines = [f"Hint: {hint}", f"Question: {question}" + (f" (Unit: {unit})" if unit else "")]
    lines += ["Choices:", choices_of(options)] if options else []
    return reader.item(
        id=reader.text("pid", "id"),
        question=question,
        gold=reader.text("answer"),
        prompt="\n".join([*lines, "Solution:"]),
        media=reader.images("decoded_image", "image"),
        options=options,
        answer_type=kind or "auto",
        precision=precision,
        unit=unit or None,
        family=cell_text(metadata.get("task")),
        level=cell_text(metadata.get("grade")),
    )


def official(item: Item, response: str) -> Official:
    """The authors' extraction without a model, else the whole response; then their normalisation."""
    found = (_bare(item, response), _quoted(response), response)
    return _normalised(item, next(text for text in found if text is not None))


def judged(item: Item, response: str, ask: Ask) -> Official:
    """The same, with a model that extracts the answer wherever the response is not a bare one."""
    bare = _bare(item, response)
    if bare is None and response:
        bare = ask(extraction_prompt(item.prompt, response))
    return _normalised(item, bare or "")


def _quoted(response: str) -> str | None:
    """`The answer is "text".`, the first line with it; by hand, as a pattern for it can take forever."""
    for line in response.split("\n"):
        start, end = line.find(_QUOTE) + len(_QUOTE), line.rfind('".')
        if _QUOTE in line and end >= start:
            return line[start:end]
    return None


def _bare(item: Item, response: str) -> str | None:
    """A response that is nothing but the text of an option, an integer or a float."""
    if item.problem.options:
        return response if response in item.problem.options else None
    value = _exact(item, response)
    return None if value is None else str(value)


def _exact(item: Item, text: str) -> int | float | None:
    if item.problem.answer_type == "integer":
        return python_int(text)
    return python_float(text) if item.problem.answer_type == "float" else None


def _normalised(item: Item, extraction: str) -> Official:
    gold = cell_text(item.raw.get("answer"))
    if item.problem.options:
        text, reason = _option(extraction, item.problem.options)
        return Official(text == gold, text, reason)
    value = _number(extraction, item.problem.answer_type, item.problem.precision)
    return Official(value == gold, value, "equal" if value == gold else "different")


def _option(extraction: str, options: tuple[str, ...]) -> tuple[str, str]:
    """The first letter in brackets, a bare letter, or else the option with the nearest spelling.

    The shortest option is nearest to an empty extraction, which is how empty outputs score.
    """
    found = _LETTER.search(extraction)
    name = found[1].upper() if found else extraction.strip()
    index = ord(name) - ord("A") if len(name) == 1 else -1
    if 0 <= index < len(options):
        return options[index], "letter"
    return options[nearest_text(name, options)], "nearest_option"


def _number(extraction: str, kind: str, precision: int | None) -> str | None:
    """Integers lose their decimals ("3.9" -> "3"), "1,000" is no number, lists stay as written."""
    if kind not in ("integer", "float"):
        return extraction
    value = python_float(extraction)
    try:
        return None if value is None else str(int(value) if kind == "integer" else round(value, precision))
    except (ValueError, OverflowError):  # not a number, infinity
        return None


def vlmeval(item: Item, response: str, ask: Ask | None) -> Official:
    """VLMEvalKit: what its rules find in the response, else in the judge's reply; no rounding.

    A right integer 0 is taken for "nothing found" in the first step, and a list is never right.
    """
    answer = _inferred(item, response)
    gold = _inferred(item, _gold_name(item))
    if answer and (item.problem.options or answer == gold):
        return Official(answer == gold, str(answer), "prefetch")
    if ask is None:
        return Official(False, None, "no_answer")
    reply = ask(extraction_prompt(item.prompt, response))
    answer = _inferred(item, reply)
    return Official(answer is not None and answer == gold, reply, "judge")


def _inferred(item: Item, text: str) -> str | int | float | None:
    return infer_option(text, lettered(item)) if item.problem.options else _exact(item, text)


def _gold_name(item: Item) -> str:
    """The gold's letter, or the gold."""
    gold, options = cell_text(item.raw.get("answer")), item.problem.options
    return chr(ord("A") + options.index(gold)) if gold in options else gold


def scores(items: Sequence[Item], right: Mapping[str, bool]) -> dict[str, float]:
    """Accuracy by task and by skill, under the names of the published table. A row has several skills."""
    found: dict[str, list[bool]] = {name: [] for name in _TABLE}
    for item in items:
        metadata = cell_object(item.raw.get("metadata"))
        named = {metadata.get("task"), *(metadata.get("skills") or ())}
        for name, wanted in _TABLE.items():
            if wanted in named:
                found[name].append(right.get(item.problem.id, False))
    return {name: sum(marks) / len(marks) for name, marks in found.items() if marks}


BENCHMARK = Benchmark(
    name="mathvista",
    title="MathVista",
    paper="arXiv 2310.02255",
    source=Source(
        hub="AI4Math/MathVista",
        split="testmini",
        files=("testmini.json", "data/testmini.json"),
        told_by=(frozenset({"question_type", "answer_type"}),),
    ),
    read=read,
    official=official,
    judged=judged,
    vlmeval=vlmeval,
    scores=scores,
    vlmevalkit="MathVista_MINI",
    notes=(
        "asked with the hint and a last line 'Solution:'; VLMEvalKit leaves that line out",
        "without a judge the whole response stands for the extracted answer",
        "a response without an answer gets the option with the nearest spelling: empty outputs score",
        "the judge's prompt has the published structure in other words",
    ),
)
