"""LogicVista (Xiao et al., arXiv 2407.04973): 448 logic puzzles, most with their choices in the picture.

A gold is a letter (A to I), a number, or several letters ("B, D"). The authors let a language model
extract the letters that a response chose.
"""

from __future__ import annotations

import re

from vision_r1.evals.benchmarks.benchmark import Ask, Benchmark, Item, Official, RowReader, Source

_MOST_CALLS = 5
_LABELS = re.compile(r"[A-Za-z](?:, ?[A-Za-z])*")
_SEPARATORS = re.compile(r"[\s,;]+")
_RUN = re.compile(r"[A-Za-z0-9]+")


def read(reader: RowReader) -> Item:
    """`skill` is a list, nearly always of one; the original release is keyed by id."""
    question, name, gold = reader.text("question"), reader.text("imagename"), reader.text("answer")
    letters = _LABELS.fullmatch(gold) is not None
    return reader.item(
        id=reader.text("id") or name.rpartition(".")[0] or reader.text("index"),
        question=question,
        gold=gold.upper() if letters else gold,
        prompt=question,
        media=reader.images("image", "images") or reader.first_file(f"images/{name}", name),
        answer_type="choice" if letters else "auto",
        family=reader.text("skill"),
        level=reader.text("broad_capability", "capability"),
    )


def official(item: Item, response: str) -> Official:
    """The authors' rule without their model: the response is the labels, separated by ", "."""
    entry = _entry(response)
    if _is_refused(entry):
        return Official(False, entry, "label_refused")
    correct = _sorted_labels(entry) == _sorted_labels(item.problem.answer)
    return Official(correct, entry or None, "equal" if correct else "different" if entry else "no_answer")


def _entry(response: str) -> str:
    """The response without what some models repeat of their prompt."""
    pieces = response.split("ASSISTANT:", 2)
    return pieces[1 if len(pieces) > 1 else 0].strip()


def _is_refused(entry: str) -> bool:
    """A lone letter outside A to E is refused by the authors' rule, although golds go up to I."""
    return len(entry) == 1 and not entry.isnumeric() and entry.lower() not in "abcde"


def _sorted_labels(text: str) -> list[str]:
    return sorted(text.lower().split(", "))


def official_vlmevalkit(item: Item, response: str) -> Official:
    """VLMEvalKit's reading, which it applies to its judge's reply: labels and nothing else."""
    labels = _labels(response)
    correct = labels is not None and labels == _labels(item.problem.answer)
    return Official(correct, labels, "equal" if correct else "different" if labels else "no_answer")


def _labels(text: str) -> str | None:
    """Such as "bd" for "B, D", "d;b" and "DB"; None for anything that is more than labels."""
    plain = text.strip()
    parts = _SEPARATORS.split(plain)
    if not _RUN.fullmatch(plain) and not all(len(part) == 1 and part.isalnum() for part in parts):
        return None
    return "".join(sorted("".join(parts).lower())) or None


def judged(item: Item, response: str, ask: Ask) -> Official:
    """The authors' rule with a model that extracts the labels, read as VLMEvalKit reads its reply."""
    entry = _entry(response)
    if not entry or _is_refused(entry):
        return official(item, response)
    prompt = (
        "Which option does this answer to the question choose? Reply with the labels alone, letters or "
        "numbers, several of them separated by commas; reply with Z if it chooses none.\n"
        f"Question: {item.problem.question}\nAnswer: {entry}\nYour output: "
    )
    for attempt in range(_MOST_CALLS):
        labels = _labels(ask(prompt, attempt=attempt))
        if labels is not None:
            return Official(labels == _labels(item.problem.answer), labels, "judged")
    return Official(False, None, "judge_unclear")


BENCHMARK = Benchmark(
    name="logicvista",
    title="LogicVista",
    paper="arXiv 2407.04973",
    source=Source(
        hub="lscpku/LogicVista",
        split="test",
        files=("dataset.json",),
        told_by=(
            frozenset({"skill"}),
            frozenset({"broad_capability"}),
        ),
    ),
    read=read,
    official=official,
    judged=judged,
    other_rules={"vlmevalkit": official_vlmevalkit},
    vlmevalkit="LogicVista",
    notes=(
        "without a judge only bare labels count; the published figures are made with one",
        "a lone letter F to I is refused by the authors' rule even where it is the gold",
        "the number of choices is not in the rows, so no chance level is given",
    ),
)
