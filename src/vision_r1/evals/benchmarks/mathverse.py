"""MathVerse (Zhang et al., arXiv 2403.14624): 788 problems in five versions with an image and one without."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from vision_r1.evals.benchmarks.benchmark import Ask, Benchmark, Item, Official, RowReader, Source
from vision_r1.evals.benchmarks.judging import ask_yes_or_no, extraction_prompt, judgement_prompt
from vision_r1.problems.columns import cell_text

_VERSIONS = (
    "Text Dominant",
    "Text Lite",
    "Vision Intensive",
    "Vision Dominant",
    "Vision Only",
    "Text Only",
)
_CHOICE = re.compile(r"^\s?\(?([A-H])\)?\s?[:.]\s?(\S.*)$", re.MULTILINE)


def read(reader: RowReader, query: str = "query_wo") -> Item:
    """Choices stand inside the question; Vision Only has its question only in the image."""
    version, metadata = reader.text("problem_version"), reader.row.values.get("metadata")
    question = reader.text("question_for_eval", "question") or reader.text(query)
    options = _options(question) if reader.text("question_type") == "multi-choice" else ()
    path = reader.row.values.get("image")
    media = reader.first_file(f"images/{path}") if isinstance(path, str) and path else ()
    number = reader.text("sample_index")
    return reader.item(
        # Text Only counts from 1 again.
        id=f"text-{number}" if version == "Text Only" and number else number,
        question=question,
        gold=reader.text("answer"),
        prompt=reader.text(query, "query_cot", "question"),
        media=media or reader.images("image"),
        needs_image=version != "Text Only",
        options=options,
        answer_type="choice" if reader.text("question_type") == "multi-choice" else "auto",
        family=version,
        level=cell_text(metadata.get("subject")) if isinstance(metadata, dict) else None,
        group=f"problem-{reader.text('problem_index')}" if reader.text("problem_index") else "",
    )


def read_cot(reader: RowReader) -> Item:
    """The same row, asked to reason first."""
    return read(reader, "query_cot")


def _options(question: str) -> tuple[str, ...]:
    """The texts of `A:40`, one a line after "Choices:"; none if their letters have gaps."""
    found = _CHOICE.findall(question.rpartition("Choices:")[2])
    letters = "".join(letter for letter, _ in found)
    return tuple(text.strip() for _, text in found) if letters and "ABCDEFGH".startswith(letters) else ()


def official(item: Item, response: str) -> Official:
    """What the published script compares without a judge: the whole extraction, letter by letter."""
    answer = _tidy(response)
    right = answer == cell_text(item.raw.get("answer"))
    return Official(right, answer, "equal" if right else "different")


def judged(item: Item, response: str, ask: Ask) -> Official:
    """A model extracts the answer and a model compares it."""
    return _judged(item, _tidy(ask(extraction_prompt("", response))), ask)


def vlmeval(item: Item, response: str, ask: Ask | None) -> Official:
    """VLMEvalKit: the same, but an extraction that equals the gold is right without a second question."""
    if ask is None:
        return official(item, response)
    answer = _tidy(ask(extraction_prompt("", response)))
    if answer == cell_text(item.raw.get("answer")):
        return Official(True, answer, "equal")
    return _judged(item, answer, ask)


def _tidy(text: str) -> str:
    return text.replace("Extracted Answer: ", "").strip()


def _judged(item: Item, answer: str, ask: Ask) -> Official:
    prompt = judgement_prompt(item.problem.question, cell_text(item.raw.get("answer")), answer)
    right = ask_yes_or_no(ask, prompt)
    return Official(bool(right), answer, "judge_unclear" if right is None else "judge")


def scores(items: Sequence[Item], right: Mapping[str, bool]) -> dict[str, float]:
    """Accuracy by version, and over the five versions with an image."""
    found: dict[str, list[bool]] = {}
    for item in items:
        found.setdefault(str(item.problem.meta.get("family")), []).append(right.get(item.problem.id, False))
    with_image = [mark for name, marks in found.items() if name != "Text Only" for mark in marks]
    result = {name: sum(found[name]) / len(found[name]) for name in _VERSIONS if name in found}
    return {**result, "with image": sum(with_image) / len(with_image)} if with_image else result


BENCHMARK = Benchmark(
    name="mathverse",
    title="MathVerse",
    paper="arXiv 2403.14624",
    source=Source(
        hub="AI4Math/MathVerse",
        split="testmini",
        config="testmini",
        files=("testmini*.json", "data/testmini*.json"),
        told_by=(
            frozenset({"problem_version"}),
            frozenset({"problem_index"}),
        ),
    ),
    read=read,
    official=official,
    judged=judged,
    vlmeval=vlmeval,
    scores=scores,
    vlmevalkit="MathVerse_MINI",
    notes=(
        "asked for a direct answer (query_wo), as for the primary metric; mathverse_cot asks to reason",
        "the published rule is a judge model; without one the whole response must equal the gold",
        "a judge that says neither 0 nor 1 in five tries leaves the row wrong (judge_unclear)",
        "the judge's prompts have the published structure in other words",
        "a local copy also holds Text Only; on the hub that is mathverse_text_only",
    ),
)
COT = replace(BENCHMARK, name="mathverse_cot", title="MathVerse (reasoning prompt)", read=read_cot)
TEXT_ONLY = replace(
    BENCHMARK,
    name="mathverse_text_only",
    title="MathVerse (Text Only)",
    vlmevalkit=None,
    source=Source(
        hub="AI4Math/MathVerse",
        split="testmini_text_only",
        config="testmini_text_only",
        files=("testmini_text_only.json", "data/testmini_text_only.json"),
        told_by=BENCHMARK.source.told_by,
    ),
)
