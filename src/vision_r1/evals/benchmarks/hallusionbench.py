"""HallusionBench (Guan et al., arXiv 2310.14566): yes or no on illusions and edited figures.

Visual-dependent (VD) questions need their figure; visual-supplement (VS) ones are also asked without
any, as figure 0. The authors let a language model compare each response with a reference answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from vision_r1.evals.benchmarks.benchmark import (
    Ask,
    Benchmark,
    Item,
    Official,
    RowFault,
    RowReader,
    Source,
)
from vision_r1.evals.benchmarks.matching import infer_yes_no, match_yes_no
from vision_r1.problems.columns import cell_text

_GOLDS = {"1": "Yes", "0": "No"}
_RELEASE = "hallusion_bench/"


def read(reader: RowReader) -> Item:
    """`set_id` joins the questions and figures that are scored together."""
    question, gold = reader.text("question"), reader.text("gt_answer")
    if gold and gold not in _GOLDS:
        raise RowFault(f"gold {gold[:40]!r} is neither 0 nor 1")
    file = reader.text("filename").removeprefix("./")
    group = _key(reader.row.values, "set_id")
    return reader.item(
        id=_key(reader.row.values, "set_id", "figure_id", "question_id"),
        question=question,
        gold=_GOLDS.get(gold, ""),
        prompt=question,
        media=reader.images("image") or reader.first_file(file, file.removeprefix(_RELEASE)),
        needs_image=reader.text("visual_input") != "0",
        answer_type="text",
        family=reader.text("category"),
        level=reader.text("subcategory"),
        chance=1 / 2,
        group=group,
    )


def _key(row: Mapping[str, object], *columns: str) -> str:
    return "_".join(cell_text(row.get(name)) for name in ("category", "subcategory", *columns))


def _without_figure(item: Item) -> bool:
    return cell_text(item.raw.get("category")) == "VS" and cell_text(item.raw.get("figure_id")) == "0"


def official(item: Item, response: str) -> Official:
    """The authors' credits on VLMEvalKit's reading: "unclear" is right where there is no figure."""
    word = infer_yes_no(response)
    if word is None:
        return Official(_without_figure(item), None, "unclear")
    correct = word == item.problem.answer
    return Official(correct, word, "equal" if correct else "different")


def official_vlmevalkit(item: Item, response: str) -> Official:
    """VLMEvalKit's rule: what is neither yes nor no is wrong, figure or not."""
    return match_yes_no(item.problem.answer, response)


def judged(item: Item, response: str, ask: Ask) -> Official:
    """The authors' rule: one call; "incorrect" in the reply is wrong, else "correct" is right."""
    reply = ask(
        "You are a careful teacher. Compare the prediction with the reference answer to the question. Reply "
        '"correct" if they do not conflict, "incorrect" if they do, and "unclear" if the prediction does not '
        f"say.\n\nQuestion: {item.problem.question}\n"
        f"Reference answer: {cell_text(item.raw.get('gt_answer_details'))}\n"
        f"Prediction: {response}\nOutput:"
    ).lower()
    if "incorrect" in reply:
        return Official(False, None, "judged_incorrect")
    if "correct" in reply:
        return Official(True, None, "judged_correct")
    return Official(_without_figure(item), None, "unclear")


def scores(items: Sequence[Item], correct: Mapping[str, bool]) -> dict[str, float]:
    """Percent of questions (aAcc), of figures with all their questions right (fAcc, without the rows
    that show none), and of questions right on all their figures (qAcc).
    """
    figures: dict[str, list[bool]] = defaultdict(list)
    questions: dict[str, list[bool]] = defaultdict(list)
    for item in items:
        right = correct[item.problem.id]
        questions[_key(item.raw, "set_id", "question_id")].append(right)
        if not _without_figure(item):
            figures[_key(item.raw, "set_id", "figure_id")].append(right)
    return {
        "aAcc": _percent([correct[item.problem.id] for item in items]),
        "fAcc": _percent([all(rights) for rights in figures.values()]),
        "qAcc": _percent([all(rights) for rights in questions.values()]),
    }


def _percent(rights: Sequence[bool]) -> float:
    return 100 * sum(rights) / len(rights) if rights else 0.0


BENCHMARK = Benchmark(
    name="hallusionbench",
    title="HallusionBench",
    paper="arXiv 2310.14566",
    source=Source(
        hub="lmms-lab/HallusionBench",
        split="image",
        files=("HallusionBench.json",),
        told_by=(
            frozenset({"gt_answer"}),
            frozenset({"visual_input"}),
        ),
    ),
    read=read,
    official=official,
    judged=judged,
    other_rules={"vlmevalkit": official_vlmevalkit},
    scores=scores,
    vlmevalkit="HallusionBench",
    notes=(
        "the packaged release is read without its questions that have no figure, as VLMEvalKit does; the "
        "authors' file has them, and an empty response to one is right by their rule",
        "the judge's words are read as published: 'not correct' counts as correct",
    ),
)
