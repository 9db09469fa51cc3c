"""PuzzleVQA (Chia et al., arXiv 2403.13315): 2,000 abstract visual patterns in 20 categories."""

from __future__ import annotations

import re

from vision_r1.evals.benchmarks.benchmark import (
    Ask,
    Benchmark,
    Item,
    Official,
    RowFault,
    RowReader,
    Source,
    choices_of,
)

_BRACKETED = re.compile(r"\(([A-D])\)")
_CAPITAL = re.compile(r"[A-D]")


def read(reader: RowReader) -> Item:
    """`answer` is the value of an option; numbers are compared as text, as they mix types in one row."""
    question, options = reader.text("question"), reader.texts("options")
    if len(options) < 2:
        raise RowFault(f"{len(options)} options")
    media = reader.images("image")
    name = reader.text("image") if isinstance(reader.row.values.get("image"), str) else ""
    category = reader.text("category") or name.rpartition("/")[2].rpartition("_")[0]
    return reader.item(
        # The packaged release holds the images themselves and has no names.
        id=name or (media[0].key if media else question),
        question=question,
        gold=reader.text("answer"),
        prompt=f"Question: {question}\nOptions:\n{choices_of(options)}\n\n"
        "Answer: Let's describe the image first and think step by step.",
        media=media,
        options=options,
        needs_options=True,
        family=category,
    )


def official(item: Item, response: str) -> Official:
    """The last `(X)`, else the last capital A to D, even one inside a word."""
    letters = _BRACKETED.findall(response) or _CAPITAL.findall(response)
    if not letters:
        return Official(False, None, "no_answer")
    index = ord(letters[-1]) - 65
    outside = index >= len(item.problem.options)
    text = item.problem.options[0 if outside else index]
    return Official(text == item.problem.answer, text, "letter_outside" if outside else "letter")


def judged(item: Item, response: str, ask: Ask) -> Official:
    """Where the response has no letter, it is asked once for one, in the published words."""
    found = official(item, response)
    if found.extracted is not None:
        return found
    letters = " ".join(f"({letter})" for letter in "ABCD"[: len(item.problem.options)])
    reply = ask(f"{item.prompt}\n{response}\n\nTherefore, among {letters}, the answer is:")
    return official(item, reply)


BENCHMARK = Benchmark(
    name="puzzlevqa",
    title="PuzzleVQA",
    paper="arXiv 2403.13315",
    source=Source(
        hub="declare-lab/PuzzleVQA",
        split="train",
        files=("*.json",),
        told_by=(frozenset({"options"}),),
    ),
    read=read,
    official=official,
    judged=judged,
    notes=(
        "a letter outside the options counts as option A; without brackets any capital A to D counts",
        "the authors put the second question to the model itself, with the image; here the judge is asked",
        "the packaged release names no categories",
    ),
)
