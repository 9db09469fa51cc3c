"""Answers -> scores, by every rule side by side; nothing is generated. Re-scoring runs this alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from vision_r1.core.progress import Progress
from vision_r1.evals.benchmarks import Ask, Benchmark, Item, Official
from vision_r1.evals.paper_protocol import prediction
from vision_r1.grading import GradeSpec, Parts, grade_response, split_parts

Row = dict[str, Any]


class JudgeError(Exception):
    """The judge gave no reply; the answer is counted apart, not called wrong in silence."""


STRICT, OFFICIAL, JUDGED = "strict", "official", "judged"
# A judge answers over the network, so many may be asked at once; rules alone gain nothing from more.
_JUDGE_THREADS = 64
_RULE_THREADS = 4


def score_answers(
    benchmark: Benchmark,
    items: Sequence[Item],
    answers: Sequence[Row],
    *,
    judge: Ask | None = None,
    paper: bool = False,
    progress: Progress,
) -> list[Row]:
    """Score every answer by our grader, by the benchmark's rule, and by its rule with a judge.

    Args:
        benchmark: the rules.
        items: what was asked.
        answers: rows of `answers.collect_answers`, in any order.
        judge: the judge model, for benchmarks whose rule has one; may be None.
        paper: hand what the paper's pattern finds to the rules of the benchmark, not the whole text.
        progress: told how many answers are scored.

    Returns:
        One row an answer, in their order: identity, length, format, and for each scorer `{"correct",
        "extracted", "reason"}` (and "status" for strict). An answer that the engine failed to give is
        not correct by any scorer, with the reason "error".
    """
    by_id = {item.problem.id: item for item in items}
    asked = judge if benchmark.judged is not None else None
    progress.start(f"score {benchmark.name}", len(answers), "answer")
    rows: list[Row] = []
    with ThreadPoolExecutor(_JUDGE_THREADS if asked else _RULE_THREADS) as pool:
        jobs = ((benchmark, by_id[answer["id"]], answer, asked, paper) for answer in answers)
        for row in pool.map(lambda job: score(*job), jobs):
            rows.append(row)
            progress.advance(len(rows))
    progress.finish()
    return rows


def score(benchmark: Benchmark, item: Item, answer: Row, judge: Ask | None, paper: bool) -> Row:
    """The scores of one answer; see `score_answers`."""
    text, failed = answer["text"], answer["stop_reason"] == "error"
    shown = prediction(text) if paper else text
    row: Row = {
        "id": item.problem.id,
        "sample_index": answer["sample_index"],
        "family": item.problem.meta.get("family"),
        "level": item.problem.meta.get("level"),
        "group": item.group,
        "gold": item.problem.answer,
        "stop_reason": answer["stop_reason"],
        "tokens": answer["tokens"],
        "rolls": 1 + len(answer["rolls"]),
        "format_ok": answer["stop_reason"] not in ("length", "error")
        and isinstance(split_parts(text), Parts),
    }
    if failed:
        none = {"correct": False, "extracted": None, "reason": "error"}
        if paper:
            row["first_roll"] = {STRICT: False, OFFICIAL: False}
        return row | {
            STRICT: none | {"status": "unparseable"},
            **dict.fromkeys(_others(benchmark, judge), none),
        }
    row[STRICT] = _strict(text, item)
    row[OFFICIAL] = asdict(benchmark.official(item, shown))
    if judge is not None and benchmark.judged is not None:
        row[JUDGED] = _judged(benchmark.judged, item, shown, judge)
    if paper:
        row["first_roll"] = _first_roll(benchmark, item, answer, row)
    return row


def _first_roll(benchmark: Benchmark, item: Item, answer: Row, row: Row) -> dict[str, bool]:
    """Whether the first roll was right: what the same model scores without a second chance."""
    if not answer["rolls"]:
        return {STRICT: row[STRICT]["correct"], OFFICIAL: row[OFFICIAL]["correct"]}
    text = answer["rolls"][0]["text"]
    official = benchmark.official(item, prediction(text))
    return {STRICT: _strict(text, item)["correct"], OFFICIAL: official.correct}


def _judged(rule: Callable[[Item, str, Ask], Official], item: Item, shown: str, judge: Ask) -> dict[str, Any]:
    try:
        return asdict(rule(item, shown, judge))
    except JudgeError as error:
        return {"correct": False, "extracted": None, "reason": f"judge_failed: {error}"[:200]}


def _others(benchmark: Benchmark, judge: Ask | None) -> tuple[str, ...]:
    return (OFFICIAL, JUDGED) if judge is not None and benchmark.judged is not None else (OFFICIAL,)


def _strict(text: str, item: Item) -> dict[str, Any]:
    """The one grader: the same call as the reward's and the filter's."""
    verdict = grade_response(text, GradeSpec.of(item.problem))
    return {
        "correct": verdict.correct,
        "status": verdict.status,
        "extracted": verdict.extracted,
        "normalized": verdict.normalized_answer,
        "reason": verdict.reason,
    }


def scorers(rows: Sequence[Row]) -> list[str]:
    """The scorers that these rows have, strict first."""
    return [name for name in (STRICT, OFFICIAL, JUDGED) if rows and name in rows[0]]


def disagreements(rows: Sequence[Row], texts: Mapping[tuple[str, int], str]) -> Iterator[Row]:
    """Every answer on which two scorers differ, with the end of what the model wrote.

    Args:
        rows: scored answers.
        texts: (id, sample index) -> response.
    """
    names = scorers(rows)
    for row in rows:
        if len({row[name]["correct"] for name in names}) > 1:
            text = texts[row["id"], row["sample_index"]]
            verdicts = {name: {k: row[name][k] for k in ("correct", "extracted", "reason")} for name in names}
            yield {
                "id": row["id"], "sample_index": row["sample_index"], "gold": row["gold"], **verdicts,
                "response_end": text[-200:],
            }  # fmt: skip
