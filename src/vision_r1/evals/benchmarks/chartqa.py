"""ChartQA (Masry et al., arXiv 2203.10244): questions on charts, written by people or generated.

`official` is relaxed accuracy as pix2struct, lmms-eval and VLMEvalKit compute it: within 5% where both
sides are numbers that `float` reads, else equal but for case.
"""

from __future__ import annotations

import re

from vision_r1.evals.benchmarks.benchmark import Benchmark, Item, Official, RowReader, Source

_TOLERANCE = 0.05
_LAST_NUMBER = re.compile(r"[0-9]+$")


def read(reader: RowReader) -> Item:
    """Rows have no id, and one chart has several questions: the id is the split and the row's number."""
    query, name = reader.text("query", "question"), reader.text("imgname")
    split = _split(reader)
    number = _LAST_NUMBER.search(reader.row.where)
    return reader.item(
        id=f"{split}#{number[0] if number else reader.row.where}",
        question=query,
        gold=reader.text("label", "answer"),
        prompt=f"{query}\nAnswer the question using a single word or phrase.",
        media=reader.images("image") or reader.first_file(f"png/{name}", f"images/{name}", name),
        family=split,
    )


def _split(reader: RowReader) -> str:
    """Human or augmented: a column of the packaged releases, the file's name in the original one."""
    name = reader.text("type", "file").removeprefix("test_").removesuffix("_test")
    machine = reader.text("human_or_machine")
    split = {"0": "human", "1": "augmented"}.get(machine) or name
    return split if split in ("human", "augmented") else "test"


def official(item: Item, response: str) -> Official:
    """Relaxed correctness of the whole response; nothing is extracted."""
    gold = item.problem.answer
    found, wanted = _number(response), _number(gold)
    if found is not None and wanted:
        correct = abs(found - wanted) / abs(wanted) <= _TOLERANCE
        return Official(correct, response, "within_5_percent" if correct else "different")
    correct = response.lower() == gold.lower()
    return Official(correct, response, "equal" if correct else "different")


def _number(text: str) -> float | None:
    """What `float` makes of the text; a percent is a hundredth."""
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


BENCHMARK = Benchmark(
    name="chartqa",
    title="ChartQA",
    paper="arXiv 2203.10244",
    source=Source(
        hub="lmms-lab/ChartQA",
        split="test",
        files=("test_*.json",),
        stem="file",
        told_by=(
            frozenset({"query", "label"}),
            frozenset({"type", "question"}),
            frozenset({"human_or_machine"}),
        ),
    ),
    read=read,
    official=official,
    vlmevalkit="ChartQA_TEST",
    notes=(
        "official gives years and counts the 5% too, and fails numbers with thousands separators or words",
        "official reads the whole response: a sentence, a unit or a closing line break makes it wrong",
        "strict knows no 5%: it accepts what rounds to the gold at the gold's own decimals",
    ),
)
