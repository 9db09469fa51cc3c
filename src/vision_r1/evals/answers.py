"""Ask a model a benchmark's questions: items -> answers.jsonl. A killed call continues.

An answer is never sampled again, except under the paper's protocol, which rolls one without
`</answer>` again; every roll is kept. Finished parts are files of their own, written whole, and the
cut depends on items and settings alone.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vision_r1.core.errors import InputError
from vision_r1.core.files import read_jsonl, write_jsonl
from vision_r1.core.progress import Progress
from vision_r1.core.seeds import derive_seed
from vision_r1.evals.benchmarks import Item
from vision_r1.evals.config import BenchmarkSettings
from vision_r1.evals.order import decoding_order
from vision_r1.evals.paper_protocol import unfinished
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.engine import Engine, OnDone, quiet
from vision_r1.rollout.request import Request
from vision_r1.rollout.trace import Trace

Row = dict[str, Any]


def prompt_of(item: Item, settings: BenchmarkSettings) -> str:
    """What the model is asked."""
    prompt = item.prompt if settings.prompt == "benchmark" else item.problem.prompt
    return f"{prompt}\n{settings.instruction}" if settings.instruction else prompt


def prompts_digest(items: Sequence[Item], settings: BenchmarkSettings) -> str:
    """A name for everything that the model is shown: ids, prompts and images, in order."""
    digest = hashlib.sha256()
    for item in items:
        keys = [media.key for media in item.problem.media]
        digest.update(json.dumps([item.problem.id, prompt_of(item, settings), keys]).encode())
    return digest.hexdigest()[:24]


def collect_answers(
    engine: Engine,
    items: Sequence[Item],
    settings: BenchmarkSettings,
    out: Path,
    *,
    name: str,
    seed: int,
    progress: Progress,
) -> list[Row]:
    """All answers, from `out/answers.jsonl` if it is there, else asked for and written.

    Returns:
        Rows in the order of the items, samples in order: `{"id", "sample_index", "text",
        "stop_reason", "tokens", "prompt_tokens", "error", "rolls"}`; `rolls` holds the earlier rolls
        of an answer, empty but for the paper's protocol.

    Raises:
        InputError: the engine cannot answer at all, or not one prompt; a damaged answers.jsonl.
    """
    path = out / "answers.jsonl"
    requests = [Request(item.problem.id, prompt_of(item, settings), item.problem.media) for item in items]
    if path.exists():
        rows = _completed(engine, [row for _, row in read_jsonl(path)], requests, settings, seed)
    else:
        rows = _ask_all(engine, requests, settings, out / "work", name, seed, progress)
    place = {request.id: index for index, request in enumerate(requests)}
    rows.sort(key=lambda row: (place[row["id"]], row["sample_index"]))
    _refuse_silence(rows, engine)
    write_jsonl(path, rows)
    shutil.rmtree(out / "work", ignore_errors=True)
    return rows


def check_complete(answers: Sequence[Row], items: Sequence[Item], samples: int, where: Path) -> None:
    """Refuse answers that are not one for each sample of each item.

    Raises:
        InputError: naming how many are missing.
    """
    expected = {(item.problem.id, index) for item in items for index in range(samples)}
    keys = [(row.get("id"), row.get("sample_index")) for row in answers]
    if len(set(keys)) != len(keys) or set(keys) != expected:
        missing, strange = len(expected - set(keys)), len(keys) - len(expected & set(keys))
        raise InputError(
            f"{missing} of {len(expected)} answers are missing, {strange} are strange",
            where=str(where),
            fix="run the same `vision-r1 eval` again, which asks for what is missing",
        )


def _ask_all(
    engine: Engine,
    requests: Sequence[Request],
    settings: BenchmarkSettings,
    work: Path,
    name: str,
    seed: int,
    progress: Progress,
) -> list[Row]:
    order = decoding_order(requests)
    size = max(1, settings.batch_size // settings.samples)
    parts = [[requests[index] for index in order[at : at + size]] for at in range(0, len(order), size)]
    progress.start(f"ask {name}", len(requests) * settings.samples, "answer")
    rows: list[Row] = []
    for number, part in enumerate(parts):
        shard = work / f"{number:05d}.jsonl"
        before = len(rows)

        def told(done: int, before: int = before) -> None:
            progress.advance(before + done)

        made = _completed(engine, _readable(shard), part, settings, seed, told)
        write_jsonl(shard, made)
        rows += made
        progress.advance(len(rows), truncation=_share(rows, "length"), errors=_share(rows, "error"))
    progress.finish()
    return rows


def _readable(shard: Path) -> list[Row]:
    """The rows of a part that an earlier call has written; none if it is damaged."""
    try:
        return [row for _, row in read_jsonl(shard)] if shard.exists() else []
    except InputError:
        return []


def _completed(
    engine: Engine,
    rows: Sequence[Row],
    requests: Sequence[Request],
    settings: BenchmarkSettings,
    seed: int,
    told: OnDone = quiet,
) -> list[Row]:
    """The answers that are there, and those that are missing or did not come, asked for (again).

    An answer that came is never sampled again: a question of which some samples are missing is asked as
    a whole, with the same seeds, and only those are taken.
    """
    wanted = {(request.id, index) for request in requests for index in range(settings.samples)}
    came = {
        key: row
        for row in rows
        if (key := (row.get("id"), row.get("sample_index"))) in wanted and row.get("stop_reason") != "error"
    }
    again = [r for r in requests if any((r.id, index) not in came for index in range(settings.samples))]
    made = _ask(engine, again, settings, seed, told) if again else []
    fresh = {(row["id"], row["sample_index"]): row for row in made}
    return [
        came.get((request.id, index)) or fresh[request.id, index]
        for request in requests
        for index in range(settings.samples)
    ]


def _share(rows: Sequence[Row], stop_reason: str) -> float:
    return sum(bool(row["stop_reason"] == stop_reason) for row in rows) / len(rows)


def _ask(
    engine: Engine,
    part: Sequence[Request],
    settings: BenchmarkSettings,
    seed: int,
    told: OnDone = quiet,
) -> list[Row]:
    """One part, with its re-rolls; the last roll is the answer, as in the paper's client."""
    sampling = Sampling(
        max_new_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        n=settings.samples,
        batch_size=settings.batch_size,
    )
    done = 0

    def on_done(more: int) -> None:
        nonlocal done
        done += more
        told(done)

    rows = [_row(trace) for trace in engine.complete(part, sampling, derive_seed(seed, "ask"), on_done)]
    asked = {request.id: request for request in part}
    for roll in range(1, settings.rerolls + 1):
        again = [row for row in rows if unfinished(row)]
        if not again:
            break
        once = sampling.model_copy(update={"n": 1})
        requests = [_numbered(asked[row["id"]], row["sample_index"]) for row in again]
        traces = engine.complete(requests, once, derive_seed(seed, "roll", roll))
        for row, trace in zip(again, traces, strict=True):
            earlier = {key: row[key] for key in ("text", "stop_reason", "tokens")}
            fresh = _row(trace) | {"id": row["id"], "sample_index": row["sample_index"]}
            if trace.stop_reason != "error":  # else the roll before it stands
                row.update(fresh | {"rolls": [*row["rolls"], earlier]})
    return rows


def _numbered(request: Request, sample_index: int) -> Request:
    """Samples of one question that roll again must have ids of their own: the id keys the noise."""
    return Request(f"{request.id}\x1f{sample_index}", request.question, request.media)


def _row(trace: Trace) -> Row:
    return {
        "id": trace.problem_id,
        "sample_index": trace.sample_index,
        "text": trace.text,
        "stop_reason": trace.stop_reason,
        # An endpoint need not count; 0 would be a length.
        "tokens": trace.tokens if trace.tokens or not trace.text else None,
        "prompt_tokens": trace.prompt_tokens,
        "error": trace.error,
        "rolls": [],
    }


def _refuse_silence(rows: Sequence[Row], engine: Engine) -> None:
    """Not one answer is no score of 0: something is wrong with the endpoint, the cap or the images."""
    failed = [row for row in rows if row["stop_reason"] == "error"]
    if len(failed) == len(rows):
        raise InputError(
            f"none of {len(rows)} answers came; the first: {failed[0]['error']}",
            where=engine.name,
            fix="mend that and run the same command again",
        )
