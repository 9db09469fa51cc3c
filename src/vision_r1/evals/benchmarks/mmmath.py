"""MM-Math (Sun et al., arXiv 2404.05091): 5,929 open-ended school questions with worked solutions."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

from vision_r1.evals.benchmarks.benchmark import (
    Benchmark,
    Item,
    Official,
    RowFault,
    RowReader,
    Source,
)
from vision_r1.evals.benchmarks.mmmath_rule import boxes_of, judge
from vision_r1.problems.columns import cell_text

_PROMPT = "\nPlease reason step by step, and put your final answer within \\boxed{}."


def read(reader: RowReader) -> Item:
    """There is no answer column: the gold is what the worked solution boxes."""
    question, name = reader.text("question"), reader.text("file_name")
    boxes = boxes_of(reader.text("solution", "answer"))
    if boxes is None:
        raise RowFault("the box of the solution is not closed")
    knowledge = reader.row.values.get("knowledge")
    digest = zlib.crc32(question.encode("utf-8", "replace"))
    media = (
        reader.first_file(name, f"images/{name}", f"MM_Math/{name}", f"MM_Math/images/{name}") if name else ()
    )
    return reader.item(
        id=reader.text("id", "index") or f"{name}-{digest:08x}",
        question=question,
        gold=", ".join(boxes) or reader.text("answer"),
        prompt=question + _PROMPT,
        media=media or reader.images("image", "file_name"),
        family=cell_text(knowledge.get("level_1") if isinstance(knowledge, dict) else knowledge),
        level=reader.text("difficult", "difficulty"),
    )


def official(item: Item, response: str) -> Official:
    """The authors' judge with its own tolerance. A response without a box is wrong."""
    if "\\boxed{" not in response:
        return Official(False, None, "no_answer")
    return Official(*judge(_solution(item), response, 1e-8))


def official_vlmevalkit(item: Item, response: str) -> Official:
    """VLMEvalKit: a wider tolerance, and without a box the last line's formulas or the whole response."""
    return Official(*judge(_solution(item), response, 1e-2))


def _solution(item: Item) -> str:
    return cell_text(item.raw.get("solution")) or cell_text(item.raw.get("answer"))


def scores(items: Sequence[Item], right: Mapping[str, bool]) -> dict[str, float]:
    """Accuracy by difficulty and by school year."""
    found: dict[str, list[bool]] = {}
    for item in items:
        year = cell_text(item.raw.get("year"))
        for name in (f"difficulty {item.problem.meta.get('level', '')}", f"year {year}"):
            found.setdefault(name, []).append(right.get(item.problem.id, False))
    return {name: sum(marks) / len(marks) for name, marks in sorted(found.items())}


BENCHMARK = Benchmark(
    name="mmmath",
    title="MM-Math",
    paper="arXiv 2404.05091",
    source=Source(
        hub="THU-KEG/MM_Math",
        split="train",
        files=("MM_Math.jsonl", "mm_math.jsonl", "MM_Math/MM_Math.jsonl", "MM_Math.json"),
        told_by=(
            frozenset({"difficult"}),
            frozenset({"file_name"}),
        ),
    ),
    read=read,
    official=official,
    other_rules={"vlmevalkit": official_vlmevalkit},
    scores=scores,
    vlmevalkit="MM-Math",
    notes=(
        "the hub's table holds the images only: name a folder with MM_Math.jsonl and the images",
        "no wording of the prompt is released; ours asks for a box",
        "the authors' judge has a tolerance of 1e-8; their command line passes 1e-2 unless told otherwise, "
        "which is also VLMEvalKit's",
        "a box that is repeated makes two answers, and is wrong",
        "LaTeX is read by math-verify in a process that is killed, where the authors call sympy",
    ),
)
