"""MME (Fu et al., arXiv 2306.13394): yes or no, 14 subtasks, two opposite questions for each image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from vision_r1.evals.benchmarks.benchmark import Benchmark, Item, Official, RowFault, RowReader, Source
from vision_r1.evals.benchmarks.matching import match_yes_no

PERCEPTION = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
)  # fmt: skip
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")


def read(reader: RowReader) -> Item:
    """`question_id` names the image; its two questions are scored together."""
    question, image, task = reader.text("question"), reader.text("question_id"), reader.text("category")
    written = reader.text("answer")
    gold = written.rstrip(".").capitalize()
    if gold and gold not in ("Yes", "No"):
        raise RowFault(f"gold {written[:40]!r} is neither yes nor no")
    if task not in (*PERCEPTION, *COGNITION):
        raise RowFault(f"unknown subtask {task[:40]!r}")
    return reader.item(
        id=f"{image}: {question}" if image else "",
        question=question,
        gold=gold,
        prompt=question,
        media=reader.images("image"),
        answer_type="text",
        family=task,
        chance=1 / 2,
        group=f"{task}/{image}",
    )


def official(item: Item, response: str) -> Official:
    """The authors' rule: yes or no among the first four characters, which may be part of a word."""
    text = response.lower()
    head = text if text in ("yes", "no") else text[:4]
    word = "yes" if "yes" in head else "no" if "no" in head else None
    if word is None:
        return Official(False, None, "no_answer")
    correct = word == item.problem.answer.lower()
    return Official(correct, word.capitalize(), "equal" if correct else "different")


def official_vlmevalkit(item: Item, response: str) -> Official:
    """VLMEvalKit's rule: exactly one of the two words anywhere."""
    return match_yes_no(item.problem.answer, response)


def scores(items: Sequence[Item], correct: Mapping[str, bool]) -> dict[str, float]:
    """Points of each subtask, at most 200: accuracy and accuracy-plus (both questions of an image)
    in percent, added; `perception` and `cognition` are the sums over their subtasks, `total` of both.
    """
    pairs: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        meta: Mapping[str, Any] = item.problem.meta
        pairs[meta["family"]][item.group].append(correct[item.problem.id])
    points = {task: _points(list(images.values())) for task, images in pairs.items()}
    sums = {
        "perception": sum(points.get(task, 0.0) for task in PERCEPTION),
        "cognition": sum(points.get(task, 0.0) for task in COGNITION),
    }
    return {**sums, "total": sum(sums.values()), **points}


def _points(images: Sequence[Sequence[bool]]) -> float:
    answers = [right for image in images for right in image]
    # An image that lost a question to a fault cannot have both right.
    both = [len(image) == 2 and all(image) for image in images]
    return 100 * (sum(answers) / len(answers) + sum(both) / len(both))


BENCHMARK = Benchmark(
    name="mme",
    title="MME",
    paper="arXiv 2306.13394",
    source=Source(
        hub="lmms-lab/MME",
        split="test",
        told_by=(frozenset({"question_id", "category"}),),
    ),
    read=read,
    official=official,
    other_rules={"vlmevalkit": official_vlmevalkit},
    scores=scores,
    vlmevalkit="MME",
    notes=(
        "official reads the first four characters: 'Now' and 'Note' are no, 'The answer is yes' is none",
        "points, not percent: perception at most 2,000, cognition at most 800",
    ),
)
