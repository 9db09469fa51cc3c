"""DynaMath (Zou et al., arXiv 2411.00836): 501 seed questions, each in 10 variants."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vision_r1.evals.benchmarks.benchmark import Ask, Benchmark, Item, Official, RowReader, Source
from vision_r1.evals.benchmarks.published import python_float
from vision_r1.problems.columns import cell_text

VARIANTS = 10
_GUIDE = (
    "\n## Answer Instruction Please provide an answer to the question outlined above. Your response should "
    "adhere \nto the following JSON format, which includes two keys: 'solution' and 'short answer'. The "
    "'solution' key can contain \ndetailed steps needed to solve the question, and the 'short answer' key "
    "should provide a concise response. If the problem is a multiple choice problem, just provide the "
    "corresponing choice option, \nsuch as 'A', 'B', 'C', or 'D'. If the answer is a numerical value, format "
    "it as a three-digit floating-point number.\n\nExample of expected JSON response format:\n\n"
    '{\n    "solution": "[Detailed step-by-step explanation]",\n    "short answer": "[Concise Answer]"\n}'
)
_TYPES = {"multiple choice": "choice", "float": "float", "int": "integer"}
_NUMBER = re.compile(r"[0-9]+")
_LETTER = re.compile(r"\(([A-H])\)")


def read(reader: RowReader) -> Item:
    """A row says its seed (`id`, or the number of its image) and perhaps its variant."""
    question, kind = reader.text("question"), reader.text("answer_type")
    image = _NUMBER.findall(cell_text(reader.row.values.get("image")).rpartition("/")[2])
    seed = reader.text("qid", "id") or (image[-1] if image else "")
    hint = "Please answer in a floating-point number." if kind == "float" else ""
    return reader.item(
        id=f"{seed}:{_variant(reader)}" if seed else "",
        question=question,
        gold=reader.text("answer", "ground_truth"),
        prompt=f"## Question\n{question}{hint}{_GUIDE}",
        media=reader.images("decoded_image", "image"),
        options=_options(question) if kind == "multiple choice" else (),
        answer_type=_TYPES.get(kind, "auto"),
        precision=3 if kind == "float" else None,
        family=" ".join(reader.text("subject").split()),
        level=reader.text("level", "knowledge_level"),
        group=seed,
    )


def _variant(reader: RowReader) -> str:
    """The number of the variant; without one, the row's place tells the variants of a seed apart."""
    named = _NUMBER.search(reader.text("varid", "variant"))
    return named[0] if named else reader.row.where.rpartition(" ")[2].strip("'")


def _options(question: str) -> tuple[str, ...]:
    """The texts of `(A) yes (B) no` at the end of a question; none if the letters have gaps."""
    start = question.lower().rfind("choice")
    pieces = _LETTER.split(question[start:] if start >= 0 else "")
    letters, texts = "".join(pieces[1::2]), tuple(piece.strip(" ,;.\n") for piece in pieces[2::2])
    return texts if letters and "ABCDEFGH".startswith(letters) and all(texts) else ()


def official(item: Item, response: str) -> Official:
    """The authors' script: the "short answer" of the JSON, else the last line without its last character."""
    reply = _loads(_authors_json(response))
    answer = response.rsplit("\n", maxsplit=1)[-1][:-1]
    if reply is not None:
        answer = _shown(reply.get("short answer")) if isinstance(reply, dict) else ""
    gold, kind = _gold(item), cell_text(item.raw.get("answer_type"))
    if kind == "float":
        right = _within(answer if answer.isdigit() else answer.split(" ")[0], gold)
    elif kind == "multiple choice":
        right = answer == gold if len(answer) == 1 else gold in answer[:3]
    else:
        right = gold in answer
    return Official(right, answer, "equal" if right else "different")


def _authors_json(text: str) -> str:
    """From the first brace to the last one, without any backslash."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end <= start:
        return text
    return text[start : end + 1].replace("\\", "")


def _loads(text: str) -> Any:
    """JSON, or None for what is none."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _shown(value: Any) -> str:
    try:
        return str(value)
    except (RecursionError, ValueError):  # nested too deep, or a number of thousands of digits
        return ""


def _value(text: str) -> float | None:
    """A number, perhaps times π."""
    factor, mark, _ = text.partition("π")
    value = python_float(factor)
    return value * math.pi if mark and value is not None else value


def _within(text: str, gold: str) -> bool:
    value, wanted = _value(text), python_float(gold)
    return value is not None and wanted is not None and abs(value - wanted) <= 0.001


def vlmeval(item: Item, response: str, ask: Ask | None) -> Official:
    """VLMEvalKit: the "short answer", else the whole response, else the judge's reply to it.

    A text is right if it is a part of the gold, so an empty one always is.
    """
    kind, text = cell_text(item.raw.get("answer_type")), _authors_json(response).replace("\\", "")
    reply = _loads(text)
    short = reply.get("short answer") if isinstance(reply, dict) else None
    answer = _parsed(short, kind) if isinstance(short, str) else None
    answer = _parsed(text, kind) if answer is None else answer
    if answer is None and ask is not None:
        answer = _parsed(ask(f"Free-form answer: {text}\nInstruction: {_instruction(kind)}"), kind)
    return Official(
        _matches(answer, text, _gold(item), kind), answer, "no_answer" if answer is None else "read"
    )


def _parsed(text: str, kind: str) -> str | None:
    """A number, an option's letter, or the text itself."""
    if kind == "float":
        first = text if text.isdigit() else text.split(" ", maxsplit=1)[0]
        return None if _value(first) is None else first
    if kind != "multiple choice":
        return text
    letters = [letter for letter in "ABCDE" if letter in text.upper()]
    return text.upper() if len(text) == 1 else letters[0] if len(letters) == 1 else None


def _matches(answer: str | None, text: str, gold: str, kind: str) -> bool:
    if kind == "float":
        return answer is not None and _within(answer, gold)
    if kind == "multiple choice":
        return gold in text[:3].upper() if answer is None else answer == gold
    return answer is not None and answer.lower() in gold.lower()


def _instruction(kind: str) -> str:
    if kind == "multiple choice":
        return "Write the letter of the option, such as A, B, C or D, on one line."
    return "Write a short answer on one line, decimals as a number with three digits."


def _gold(item: Item) -> str:
    return cell_text(item.raw.get("answer")) or cell_text(item.raw.get("ground_truth"))


def unwrap(response: str) -> str:
    """The "short answer" of the JSON that the prompt asks for; LaTeX in it may break the JSON."""
    text = response.rpartition("</think>")[2]
    json_text = text[max(text.find("{"), 0) : text.rfind("}") + 1]
    for form in (json_text, _authors_json(text)):
        reply = _loads(form)
        short = reply.get("short answer") if isinstance(reply, dict) else None
        if isinstance(short, str | int | float):
            return _shown(short)
    return response


def scores(items: Sequence[Item], right: Mapping[str, bool]) -> dict[str, float]:
    """Average over variants, worst case over seeds (all variants right), and their ratio."""
    seeds: dict[str, list[bool]] = {}
    for item in items:
        seeds.setdefault(item.group, []).append(right.get(item.problem.id, False))
    if not seeds:
        return {}
    marks = [mark for found in seeds.values() for mark in found]
    average, worst = sum(marks) / len(marks), sum(map(all, seeds.values())) / len(seeds)
    return {
        "average": average,
        "worst case": worst,
        "robustness (worst / average)": worst / average if average else 0.0,
        "seeds": float(len(seeds)),
        "variants missing": float(sum(max(0, VARIANTS - len(found)) for found in seeds.values())),
    }


BENCHMARK = Benchmark(
    name="dynamath",
    title="DynaMath",
    paper="arXiv 2411.00836",
    source=Source(
        hub="DynaMath/DynaMath_Sample",
        split="+".join(f"sample_variant{number}" for number in range(1, VARIANTS + 1)),
        files=(
            "sample_variant*.parquet",
            "data/sample_variant*.parquet",
            "dataset.json",
            "dataset/dataset.json",
        ),
        stem="variant",
        told_by=(
            frozenset({"answer_type", "subject"}),
            frozenset({"ground_truth"}),
        ),
    ),
    read=read,
    official=official,
    vlmeval=vlmeval,
    unwrap=unwrap,
    scores=scores,
    vlmevalkit="DynaMath",
    notes=(
        "the worst case is over the variants that were read; 'variants missing' says how many were not",
        "the authors' script removes every backslash before it reads the JSON",
        "without JSON their script drops the last character of the last line",
    ),
)
