"""Measure one model on problems: generate, grade, write traces.jsonl, sum up. A killed call continues.

The work is cut into chunks, one generation batch each. A finished chunk is a file below `work/`,
written whole or not at all; the next call reads it instead of generating it again. The cut depends
on problems and settings alone, so an interrupted evaluation ends with the bytes of an uninterrupted
one. What else may change a completion is the numerics of its batch: the padding and the row count of
matrix products differ with `batch_size`, which is therefore part of the plan.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vision_r1.core.errors import InputError
from vision_r1.core.files import read_jsonl, write_jsonl
from vision_r1.core.progress import Progress, Silent
from vision_r1.core.seeds import derive_seed
from vision_r1.evals.claim import claim
from vision_r1.evals.config import EvaluateSettings
from vision_r1.evals.golds import ungradeable
from vision_r1.evals.order import decoding_order
from vision_r1.evals.summary import Row, variant_block
from vision_r1.grading import GradeSpec, Parts, grade_response, split_parts
from vision_r1.problems.problem import Problem
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.engine import Engine
from vision_r1.rollout.request import Request
from vision_r1.rollout.trace import Trace

Prompt = Literal["direct", "think"]
Decoding = Literal["greedy", "sampled"]


def evaluate_variant(
    engine: Engine,
    problems: Sequence[Problem],
    settings: EvaluateSettings,
    cap: int,
    out: Path,
    *,
    name: str,
    prompt: Prompt = "direct",
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure a model; write `out/traces.jsonl` and return the variant's block of results.json.

    Args:
        engine: the model.
        problems: held-out problems with unique ids.
        settings: decoding and statistics; `max_new_tokens` is not looked at.
        cap: completion cap in tokens, the same for every variant that is compared.
        out: folder of this variant. A finished one is read back, an unfinished one continued.
        name: of the variant, for the progress line.
        prompt: "direct" asks the question as it stands, "think" adds `settings.think_instruction`.
        seed: of sampling and bootstrap.
        progress: where to tell how far it is.

    Returns:
        See `summary.variant_block`, and `ungradeable` (see `golds.ungradeable`).

    Raises:
        InputError: no problems, ids that repeat, no gold that can be graded, an image that cannot be
            read, a prompt and cap that exceed the context, or another completion that did not come.
        RunStateError: `out` holds another evaluation.
    """
    _check_ids(problems)
    faults = ungradeable(problems)
    job = _Job(engine, tuple(problems), settings, cap, prompt, seed)
    traces = out / "traces.jsonl"
    claim(out, traces, job.plan())
    if not traces.exists():
        write_jsonl(traces, _run(job, out / "work", name, progress or Silent()))
    shutil.rmtree(out / "work", ignore_errors=True)
    rows = [row for _, row in read_jsonl(traces)]
    block = variant_block(rows, prompt=prompt, cap=cap, bootstrap=settings.bootstrap, seed=seed)
    return {**block, "ungradeable": faults}


def _check_ids(problems: Sequence[Problem]) -> None:
    twice = [name for name, count in Counter(problem.id for problem in problems).items() if count > 1]
    if twice:
        raise InputError(f"two problems share the id {twice[0][:60]!r}", fix="make ids unique")


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One generation batch: indices of problems, decoded in one way."""

    decoding: Decoding
    number: int
    members: tuple[int, ...]

    @property
    def file(self) -> str:
        return f"{self.decoding}-{self.number:05d}.jsonl"


@dataclass(frozen=True, slots=True)
class _Job:
    """Everything that decides the traces."""

    engine: Engine
    problems: tuple[Problem, ...]
    settings: EvaluateSettings
    cap: int
    prompt: Prompt
    seed: int

    def plan(self) -> dict[str, Any]:
        """The job as plain data, to tell whether a folder belongs to it."""
        settings = self.settings
        return {
            "model": self.engine.identity,
            "problems": _problems_digest(self.problems),
            "cap": self.cap,
            "seed": self.seed,
            "prompt": settings.think_instruction if self.prompt == "think" else "direct",
            "sampled_problems": settings.sampled_problems,
            "samples": settings.samples,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "batch_size": settings.batch_size,
        }

    def sampling(self, decoding: Decoding) -> Sampling:
        settings, greedy = self.settings, decoding == "greedy"
        return Sampling(
            max_new_tokens=self.cap,
            temperature=0.0 if greedy else settings.temperature,
            top_p=1.0 if greedy else settings.top_p,
            n=1 if greedy else settings.samples,
            batch_size=settings.batch_size,
        )

    def chunks(self) -> list[_Chunk]:
        """All work, longest prompts first, so that what does not fit shows at once."""
        order = decoding_order([self._request(problem) for problem in self.problems])
        chosen = set(spread(self.problems, self.settings.sampled_problems))
        work: list[tuple[Decoding, list[int], int]] = [
            ("greedy", order, 1),
            ("sampled", [index for index in order if index in chosen], self.settings.samples),
        ]
        chunks = []
        for decoding, indices, n in work:
            size = max(1, self.settings.batch_size // n)
            groups = [tuple(indices[start : start + size]) for start in range(0, len(indices), size)]
            chunks += [_Chunk(decoding, number, members) for number, members in enumerate(groups)]
        return chunks

    def rows(self, chunk: _Chunk) -> list[Row]:
        """Generate and grade one chunk."""
        members = [self.problems[index] for index in chunk.members]
        requests = [self._request(problem) for problem in members]
        seed = derive_seed(self.seed, "evaluate", chunk.decoding)
        traces = self.engine.complete(requests, self.sampling(chunk.decoding), seed)
        _refuse_errors(traces)
        by_id = {problem.id: problem for problem in members}
        return [trace_row(by_id[trace.problem_id], trace, chunk.decoding) for trace in traces]

    def _request(self, problem: Problem) -> Request:
        think = f"\n{self.settings.think_instruction}" if self.prompt == "think" else ""
        return Request(problem.id, problem.prompt + think, problem.media)


def _run(job: _Job, work: Path, name: str, progress: Progress) -> list[Row]:
    chunks = job.chunks()
    total = sum(len(chunk.members) * job.sampling(chunk.decoding).n for chunk in chunks)
    progress.start(f"evaluate {name}", total, "completion")
    rows: list[Row] = []
    for chunk in chunks:
        shard = work / chunk.file
        if not shard.exists():
            write_jsonl(shard, job.rows(chunk))
        rows += [row for _, row in read_jsonl(shard)]
        progress.advance(
            len(rows),
            accuracy=sum(row["correct"] for row in rows) / len(rows),
            truncation=sum(row["stop_reason"] == "length" for row in rows) / len(rows),
        )
    progress.finish()
    place = {problem.id: index for index, problem in enumerate(job.problems)}
    return sorted(rows, key=lambda r: (r["decoding"] == "sampled", place[r["problem_id"]], r["sample_index"]))


def _refuse_errors(traces: Sequence[Trace]) -> None:
    """A completion that did not come is no wrong answer; finished parts are kept for the next call."""
    failed = [trace for trace in traces if trace.stop_reason == "error"]
    if failed:
        what = failed[0].error if len(failed) == 1 else f"{failed[0].error} ({len(failed)} such completions)"
        raise InputError(
            what, where=f"problem {failed[0].problem_id}", fix="mend it and run the command again"
        )


def trace_row(problem: Problem, trace: Trace, decoding: Decoding) -> Row:
    """Grade one completion and make its row of traces.jsonl.

    The format is HFRRF's (the whole completion is one thought and one answer); a truncated
    completion has not got it. The answer is graded apart, by the tolerant extraction.
    """
    verdict = grade_response(trace.text, GradeSpec.of(problem))
    ended = trace.stop_reason not in ("length", "error")
    level = problem.meta.get("level")
    return {
        "problem_id": problem.id,
        "family": str(problem.meta.get("family", "all")),
        "level": level if level is None or isinstance(level, int) else str(level),
        "question": problem.prompt,
        "answer": problem.answer,
        "decoding": decoding,
        "sample_index": trace.sample_index,
        "text": trace.text,
        "stop_reason": trace.stop_reason,
        "tokens": trace.tokens,
        "correct": verdict.correct,
        "status": verdict.status,
        "extracted": verdict.extracted,
        "format_ok": ended and isinstance(split_parts(trace.text), Parts),
        "image_key": " ".join(media.key for media in problem.media),
    }


def spread(problems: Sequence[Problem], count: int) -> list[int]:
    """Indices of the first `count` problems when families take turns, each in its own order."""
    turns: Counter[str] = Counter()
    ranked = []
    for index, problem in enumerate(problems):
        family = str(problem.meta.get("family", "all"))
        ranked.append((turns[family], index))
        turns[family] += 1
    return sorted(index for _, index in sorted(ranked)[:count])


def _problems_digest(problems: Sequence[Problem]) -> str:
    contents = [
        [p.id, p.question, p.answer, p.answer_type, p.options, p.precision, p.unit, [m.key for m in p.media]]
        for p in problems
    ]
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest()[:24]
