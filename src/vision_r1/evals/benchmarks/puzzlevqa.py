"""PuzzleVQA (Chia et al., arXiv 2403.13315): 2,000 abstract visual patterns in 20 categories."""

from __future__ import annotations

import re

from vision_r1.evals.benchmarks.benchmark import Benchmark, Item, Official, RowReader, Source, choices_of

_LETTER = re.compile(r"\(([A-D])\)")


def read(reader: RowReader) -> Item:
    """`answer` is the value of an option; numbers are compared as text, as they mix types in one row."""
    question, options = reader.text("question"), reader.texts("options")
    category, image = reader.text("category"), reader.text("image")
    return reader.item(
        id=image or question,
        question=question,
        gold=reader.text("answer"),
        prompt=f"Question: {question}\nOptions:\n{choices_of(options)}",
        media=reader.images("image"),
        options=options,
        family=category,
    )


def official(item: Item, response: str) -> Official:
    """The first lettered option in the response."""
    found = _LETTER.search(response)
    if found is None:
        return Official(False, None, "no_answer")
    index = ord(found[1]) - 65
    text = item.problem.options[index] if index < len(item.problem.options) else None
    return Official(text == item.problem.answer, text, "letter")


BENCHMARK = Benchmark(
    name="puzzlevqa",
    title="PuzzleVQA",
    paper="arXiv 2403.13315",
    source=Source(hub="declare-lab/PuzzleVQA", split="test", files=("*.json",), stem="category"),
    read=read,
    official=official,
)
