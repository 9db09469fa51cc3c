"""Answers -> scores, by every rule side by side; nothing is generated. Re-scoring runs this alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from vision_r1.core.progress import Progress
from vision_r1.evals.benchmarks import Ask, Benchmark, Item, Official
from vision_r1.evals.paper_protocol import prediction
from vision_r1.grading import Parts, split_parts
from vision_r1.grading.parallel import map_in_order

Row = dict[str, Any]


class JudgeError(Exception):
    """The judge gave no reply; the answer is counted apart, not called wrong in silence."""


STRICT, OFFICIAL, JUDGED = "strict", "official", "judged"
VLMEVALKIT, VLMEVALKIT_JUDGED = "vlmevalkit", "vlmevalkit_judged"
JUDGE_FAILED = "judge_failed"
_FAILED = {"correct": False, "extracted": None, "reason": "error"}
Rule = Callable[[Item, str], Official]
# A judge answers over the network, so many may be asked at once.
_JUDGE_THREADS = 64


def score_answers(
    benchmark: Benchmark,
    items: Sequence[Item],
    answers: Sequence[Row],
    *,
    judge: Ask | None = None,
    paper: bool = False,
    progress: Progress,
) -> list[Row]:
    """Score every answer by our grader and by every published rule of the benchmark.

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
    rules = rules_of(benchmark)
    progress.start(f"score {benchmark.name}", len(answers), "answer")
    rows: list[Row] = []
    for row in map_in_order(lambda a: score(benchmark, rules, by_id[a["id"]], a, paper), answers):
        rows.append(row)
        progress.advance(len(rows))
    progress.finish()
    if judge is not None and (asking := judged_rules(benchmark, judge)):
        _ask_judge(asking, by_id, rows, answers, paper, progress)
    return rows


def _ask_judge(
    rules: Mapping[str, Rule],
    by_id: Mapping[str, Item],
    rows: Sequence[Row],
    answers: Sequence[Row],
    paper: bool,
    progress: Progress,
) -> None:
    """Add the judged scores to the rows; many answers wait for the judge at once."""
    progress.start("ask the judge", len(rows), "answer")
    with ThreadPoolExecutor(_JUDGE_THREADS) as pool:
        found = pool.map(lambda a: _by_rules(rules, by_id[a["id"]], a, paper), answers)
        for done, (row, scores) in enumerate(zip(rows, found, strict=True), start=1):
            firsts = scores.pop("first_roll", {})
            row.update(scores)
            if "first_roll" in row:
                row["first_roll"].update(firsts)
            progress.advance(done)
    progress.finish()


def rules_of(benchmark: Benchmark) -> dict[str, Rule]:
    """The benchmark's rules that need no judge, by the name of their scorer."""
    rules: dict[str, Rule] = {OFFICIAL: benchmark.official, **benchmark.other_rules}
    if (vlmeval := benchmark.vlmeval) is not None:
        rules[VLMEVALKIT] = lambda item, text: vlmeval(item, text, None)
    return rules


def judged_rules(benchmark: Benchmark, judge: Ask) -> dict[str, Rule]:
    """The rules that ask the judge."""
    rules: dict[str, Rule] = {}
    judged, vlmeval = benchmark.judged, benchmark.vlmeval
    if judged is not None:
        rules[JUDGED] = lambda item, text: judged(item, text, judge)
    if vlmeval is not None:
        rules[VLMEVALKIT_JUDGED] = lambda item, text: vlmeval(item, text, judge)
    return rules


def score(benchmark: Benchmark, rules: Mapping[str, Rule], item: Item, answer: Row, paper: bool) -> Row:
    """The scores of one answer; see `score_answers`."""
    text, stop = answer["text"], answer["stop_reason"]
    row: Row = {
        "id": item.problem.id,
        "sample_index": answer["sample_index"],
        "family": item.problem.meta.get("family"),
        "level": item.problem.meta.get("level"),
        "group": item.group,
        "gold": item.problem.answer,
        "stop_reason": stop,
        "tokens": answer["tokens"],
        "rolls": 1 + len(answer["rolls"]),
        "format_ok": stop not in ("length", "error") and isinstance(split_parts(text), Parts),
    }
    if stop == "error":
        row[STRICT] = _FAILED | {"status": "unparseable"}
    else:
        row[STRICT] = _strict(benchmark, item, text)
    found = _by_rules(rules, item, answer, paper)
    firsts = found.pop("first_roll", {})
    row |= found
    if paper:
        first = answer["rolls"][0]["text"] if answer["rolls"] else None
        strict = row[STRICT] if first is None else _strict(benchmark, item, first)
        row["first_roll"] = {STRICT: strict["correct"], **firsts}
    return row


def _by_rules(rules: Mapping[str, Rule], item: Item, answer: Row, paper: bool) -> dict[str, Any]:
    """What each rule says of an answer and, under the paper's protocol, whether its first roll is right."""
    if answer["stop_reason"] == "error":
        scores: dict[str, Any] = dict.fromkeys(rules, _FAILED)
        return scores | ({"first_roll": dict.fromkeys(rules, False)} if paper else {})
    text = answer["text"]
    scores = {name: _by_rule(rule, item, prediction(text) if paper else text) for name, rule in rules.items()}
    if paper:
        firsts = {name: score["correct"] for name, score in scores.items()}
        if answer["rolls"]:
            first = prediction(answer["rolls"][0]["text"])
            firsts = {name: _by_rule(rule, item, first)["correct"] for name, rule in rules.items()}
        scores["first_roll"] = firsts
    return scores


def _by_rule(rule: Rule, item: Item, shown: str) -> dict[str, Any]:
    try:
        return asdict(rule(item, shown))
    except JudgeError as error:
        return {"correct": False, "extracted": None, "reason": f"{JUDGE_FAILED}: {error}"[:200]}


def _strict(benchmark: Benchmark, item: Item, text: str) -> dict[str, Any]:
    """The one grader: the same call as the reward's and the filter's."""
    verdict = benchmark.strict(item, text)
    return {
        "correct": verdict.correct,
        "status": verdict.status,
        "extracted": verdict.extracted,
        "normalized": verdict.normalized_answer,
        "reason": verdict.reason,
    }


def scorers(rows: Sequence[Row]) -> list[str]:
    """The scorers that these rows have, strict first."""
    first = rows[0] if rows else {}
    return [name for name, value in first.items() if isinstance(value, dict) and "correct" in value]


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
