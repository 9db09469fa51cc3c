"""Measure a model on benchmarks: ask, score, sum up. What `vision-r1 eval MODEL --benchmark` does.

OUT/summary.json                one block a benchmark, and what they share
OUT/NAME/plan.json              what decides the answers, with its hash
OUT/NAME/answers.jsonl          what the model wrote; never changed afterwards
OUT/NAME/scores.jsonl           every answer by every scorer
OUT/NAME/disagreements.jsonl    the answers on which scorers differ
OUT/NAME/faults.jsonl           rows that could not be asked, or whose gold needs a look
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vision_r1.core.config import to_plain
from vision_r1.core.errors import InputError, RunStateError
from vision_r1.core.files import is_file, is_folder, read_json, read_jsonl, write_json, write_jsonl
from vision_r1.core.progress import Progress
from vision_r1.core.seeds import derive_seed
from vision_r1.evals.answers import check_complete, collect_answers, prompts_digest
from vision_r1.evals.benchmark_summary import benchmark_block, texts_of
from vision_r1.evals.benchmarks import BENCHMARKS, Ask, Benchmark
from vision_r1.evals.benchmarks.load import Loaded, fault_counts, load_benchmark
from vision_r1.evals.claim import claim
from vision_r1.evals.config import PROTOCOLS, BenchmarkSettings
from vision_r1.evals.paper_protocol import LABEL
from vision_r1.evals.scoring import JUDGED, VLMEVALKIT_JUDGED, disagreements, score_answers
from vision_r1.rollout.engine import Engine

SUMMARY = "summary.json"


@dataclass(frozen=True, slots=True)
class Judge:
    """The judge model of benchmarks whose rule has one.

    Attributes:
        name: as results name it.
        ask: prompt -> reply; callable from many threads.
    """

    name: str
    ask: Ask


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How benchmarks are run.

    Attributes:
        settings: decoding and statistics.
        protocol: "plain" or "paper"; the latter scores what the paper's pattern finds.
        seed: of sampling and bootstrap.
        judge: for benchmarks whose rule has one.
    """

    settings: BenchmarkSettings
    protocol: str = "plain"
    seed: int = 0
    judge: Judge | None = None


def run_benchmark(
    engine: Engine,
    benchmark: Benchmark,
    loaded: Loaded,
    evaluation: Evaluation,
    out: Path,
    progress: Progress,
    contamination: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Ask and score one benchmark; an unfinished call is continued, a finished one only scored.

    Args:
        engine: the model.
        benchmark: what is asked.
        loaded: its rows.
        evaluation: how.
        out: folder of this benchmark.
        progress: where to tell how far it is.
        contamination: of `problems.contamination.overlap_block`, kept with the result.

    Returns:
        Its block of summary.json; see `benchmark_summary.benchmark_block`.

    Raises:
        RunStateError: `out` holds another evaluation.
        VisionR1Error: the engine cannot answer.
    """
    settings = evaluation.settings
    plan = {
        "benchmark": benchmark.name,
        "model": engine.identity,
        "prompts": prompts_digest(loaded.items, settings),
        "settings": decoding_settings(settings),
        "protocol": evaluation.protocol,
        "seed": evaluation.seed,
    }
    claim(out, out / "answers.jsonl", plan)
    about = {
        "model": engine.name,
        "source": loaded.source,
        "bootstrap": settings.bootstrap,
        "max_pixels": settings.max_pixels,
        "contamination": contamination,
        "vision_r1": version("vision-r1"),
    }
    write_json(out / "about.json", about)
    write_jsonl(out / "faults.jsonl", [fault.plain() for fault in loaded.faults])
    seed = derive_seed(evaluation.seed, benchmark.name)
    collect_answers(engine, loaded.items, settings, out, name=benchmark.name, seed=seed, progress=progress)
    return score_folder(benchmark, loaded, evaluation, out, progress)


def decoding_settings(settings: BenchmarkSettings) -> dict[str, Any]:
    """The settings that decide the answers; those of statistics alone may change afterwards."""
    plain = to_plain(settings)
    return {key: value for key, value in plain.items() if key not in ("bootstrap", "max_pixels")}


def score_folder(
    benchmark: Benchmark, loaded: Loaded, evaluation: Evaluation, out: Path, progress: Progress
) -> dict[str, Any]:
    """Score the answers in a folder, without generating; writes scores, disagreements and the block."""
    answers = [row for _, row in read_jsonl(out / "answers.jsonl")]
    check_complete(answers, loaded.items, evaluation.settings.samples, out / "answers.jsonl")
    settings, judge = evaluation.settings, evaluation.judge
    rows = score_answers(
        benchmark, loaded.items, answers,
        judge=judge.ask if judge else None, paper=evaluation.protocol == "paper", progress=progress,
    )  # fmt: skip
    if judge is None:
        _keep_judged(out, rows)
    differ = list(disagreements(rows, texts_of(answers)))
    write_jsonl(out / "scores.jsonl", rows)
    write_jsonl(out / "disagreements.jsonl", differ)
    plan, about = read_json(out / "plan.json"), read_json(out / "about.json")
    block = benchmark_block(
        benchmark, loaded.items, rows,
        unusable=loaded.unusable, cap=settings.max_new_tokens, bootstrap=settings.bootstrap,
        seed=evaluation.seed,
    )  # fmt: skip
    may_judge = benchmark.judged is not None or benchmark.vlmeval is not None
    block = {
        "benchmark": benchmark.name,
        "title": benchmark.title,
        **about,
        "protocol": protocol_label(evaluation),
        **block,
        "judge": _judge_name(out, judge) if may_judge else None,
        "needs_judge": may_judge,
        "disagreements": len(differ),
        "faults": fault_counts(loaded.faults),
        "notes": list(benchmark.notes),
        "prompts": plan["prompts"],
        "settings": plan["settings"],
        "seed": plan["seed"],
        "hash": _hash(plan),
    }
    write_json(out / SUMMARY, block)
    return block


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished evaluation on one benchmark, with the rows that were asked.

    Attributes:
        folder: of the benchmark.
        benchmark: which.
        loaded: its rows, read again from where they came.
        plan: what decided the answers.
        about: the model's name and what else is known.
        settings: all of them.
    """

    folder: Path
    benchmark: Benchmark
    loaded: Loaded
    plan: dict[str, Any]
    about: dict[str, Any]
    settings: BenchmarkSettings


def finished(out: Path, progress: Progress) -> Iterator[Finished]:
    """The finished evaluations in a folder.

    Raises:
        InputError: there are none, or the rows are gone.
        RunStateError: the rows are not those that were asked.
    """
    folders = sorted(path.parent for path in out.glob("*/answers.jsonl"))
    if not folders:
        raise InputError("holds no finished evaluation", where=str(out), fix="run `vision-r1 eval` first")
    for folder in folders:
        plan, about = read_json(folder / "plan.json"), read_json(folder / "about.json")
        benchmark = BENCHMARKS[plan["benchmark"]]
        settings = BenchmarkSettings(
            **plan["settings"], bootstrap=about["bootstrap"], max_pixels=about["max_pixels"]
        )
        place = Path(about["source"]) if is_folder(Path(about["source"])) else None
        loaded = load_benchmark(
            benchmark, place, limit=settings.limit, max_pixels=settings.max_pixels, progress=progress
        )
        if prompts_digest(loaded.items, settings) != plan["prompts"]:
            raise RunStateError(
                "the benchmark's rows or prompts are not those that were asked",
                where=str(folder),
                fix=f"restore the rows of {about['source']}, or evaluate again into another folder",
            )
        yield Finished(folder, benchmark, loaded, plan, about, settings)


def _keep_judged(out: Path, rows: list[dict[str, Any]]) -> None:
    """Carry over what a judge said of these answers in an earlier call; answers never change."""
    if not is_file(out / "scores.jsonl"):
        return
    earlier = {(row["id"], row["sample_index"]): row for _, row in read_jsonl(out / "scores.jsonl")}
    old = [earlier.get((row["id"], row["sample_index"]), {}) for row in rows]
    same = [found.get("stop_reason") == row["stop_reason"] for found, row in zip(old, rows, strict=True)]
    for name in (JUDGED, VLMEVALKIT_JUDGED):
        # An answer that has come since was not judged, and a score of some answers is none.
        if all(same) and all(name in found for found in old):
            for found, row in zip(old, rows, strict=True):
                row[name] = found[name]


def _judge_name(out: Path, judge: Judge | None) -> str | None:
    """The judge's name, or that of the earlier call whose scores were kept."""
    if judge is not None:
        return judge.name
    if not is_file(out / SUMMARY):
        return None
    name = read_json(out / SUMMARY).get("judge")
    return name if isinstance(name, str) else None


def protocol_label(evaluation: Evaluation) -> str:
    """What the figures are; a dial of the paper's protocol that was changed is named."""
    if evaluation.protocol != "paper":
        return evaluation.protocol
    published, own = to_plain(PROTOCOLS["paper"]), to_plain(evaluation.settings)
    dials = ("samples", "temperature", "top_p", "max_new_tokens", "prompt", "instruction", "rerolls")
    changed = [f"{key}={own[key]}" for key in dials if own[key] != published[key]]
    return LABEL + (f"; changed from the paper: {', '.join(changed)}" if changed else "")


def rescore(out: Path, judge: Judge | None, progress: Progress) -> dict[str, Any]:
    """Score a finished evaluation again, with today's grader and rules; nothing is generated.

    The rows are read again from where they came; if they changed since, the folder is refused.

    Raises:
        InputError, RunStateError: see `finished`.
    """
    blocks = {}
    for one in finished(out, progress):
        evaluation = Evaluation(one.settings, one.plan["protocol"], one.plan["seed"], judge)
        blocks[one.benchmark.name] = score_folder(one.benchmark, one.loaded, evaluation, one.folder, progress)
    return write_summary(out, blocks)


def write_summary(out: Path, blocks: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Write `out/summary.json`: the blocks by name, beside those of earlier calls."""
    summary = {"benchmarks": blocks}
    if is_file(out / SUMMARY):
        earlier = read_json(out / SUMMARY)
        known = earlier.get("benchmarks") if isinstance(earlier, dict) else None
        summary = {"benchmarks": {**(known if isinstance(known, dict) else {}), **blocks}}
    write_json(out / SUMMARY, summary)
    return summary


def _hash(plan: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:24]
