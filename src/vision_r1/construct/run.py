"""Data construction from problems to cold-start rows, with everything it measured on the way.

out/vision_r1_cold.json, images/   kept rows, in the layout of Vision-R1-cold
out/traces.jsonl                   every row with its texts, and why it was kept or dropped
out/examples/                      images of the examples of dropped rows
out/summary.json                   written last
out/work/                          finished chunks; removed when done
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vision_r1.construct import leak
from vision_r1.construct.bridge import Bridged, bridge, plain_captions
from vision_r1.construct.config import ConstructSettings
from vision_r1.construct.fidelity import fidelity
from vision_r1.construct.mllm import Mllm, in_process
from vision_r1.construct.reason import Reasoner, scripted
from vision_r1.construct.rows import Row, finish
from vision_r1.construct.shards import Shards
from vision_r1.construct.summary import example_rows, reasons, summarise
from vision_r1.core.config import to_plain
from vision_r1.core.errors import InputError
from vision_r1.core.files import atomic_write_bytes, read_json, write_json, write_jsonl
from vision_r1.core.progress import Progress, Silent
from vision_r1.problems.chat import ChatRow
from vision_r1.problems.export import write_vision_r1_cold
from vision_r1.problems.problem import Problem
from vision_r1.teachers.prompts import shipped_prompts

SUMMARY, TRACES = "summary.json", "traces.jsonl"


def run_construct(
    settings: ConstructSettings,
    problems: Sequence[Problem],
    out: Path,
    *,
    seed: int,
    progress: Progress | None = None,
    mllm: Mllm | None = None,
) -> dict[str, Any]:
    """Build cold-start rows from problems; a killed call goes on where it was when it is made again.

    Args:
        settings: the switches and thresholds.
        problems: questions about images, with their gold answers.
        out: the folder to write to.
        seed: of the reasoner and of the choice of the leak test's problems.
        progress: told of every chunk.
        mllm: the model that sees the images; None for the one that the settings name.

    Returns:
        The summary, as in summary.json.

    Raises:
        InputError: no problems, ids that occur twice, an answer that cannot be graded, a model that
            cannot be used, or too few rows kept; traces.jsonl then says why for every row.
    """
    _check(problems)
    progress = progress or Silent()
    key = fingerprint(settings, problems, seed)
    done = out / SUMMARY
    if done.exists() and (summary := read_json(done)).get("fingerprint") == key:
        shutil.rmtree(out / "work", ignore_errors=True)
        return dict(summary)
    model = mllm or in_process(settings, seed)
    reasoner = scripted(settings.reasoner, seed)
    shards = Shards(out / "work" / key, settings.batch_size, progress)
    subset, wrong = _leak_problems(settings, problems, seed)
    progress.start("construct", len(problems) + 3 * len(subset), "problem")
    told = [problem.answer if settings.answer_to_mllm else None for problem in problems]
    bridged = shards.make("rows", problems, told, lambda some, answers: bridge(some, answers, model.generate))
    rows = [
        finish(p, b, settings, reasoner, model.count_tokens) for p, b in zip(problems, bridged, strict=True)
    ]
    _refuse_empty(rows, settings, out)
    probes = _probes(
        settings,
        subset,
        wrong,
        dict(zip([p.id for p in problems], bridged, strict=True)),
        shards,
        model,
        reasoner,
    )
    progress.finish()
    summary = {"fingerprint": key, **_write(rows, out, model, probes)}
    write_json(done, summary)
    shutil.rmtree(out / "work", ignore_errors=True)
    return summary


def fingerprint(settings: ConstructSettings, problems: Sequence[Problem], seed: int) -> str:
    """Names what the result depends on: settings, seed, prompts, and every problem with its images."""
    prompts = sorted(template.identity for template in shipped_prompts("tiny").templates.values())
    digest = hashlib.sha256(json.dumps([to_plain(settings), seed, prompts]).encode())
    for problem in problems:
        parts = [problem.id, problem.prompt, problem.answer, *(media.key for media in problem.media)]
        digest.update(json.dumps(parts).encode())
    return digest.hexdigest()[:16]


def _check(problems: Sequence[Problem]) -> None:
    if not problems:
        raise InputError("there are no problems to build from", where="data.construct")
    name, count = Counter(problem.id for problem in problems).most_common(1)[0]
    if count > 1:
        raise InputError(
            f"id {name[:60]!r} occurs {count} times", where="data.construct", fix="make ids unique"
        )


def _leak_problems(
    settings: ConstructSettings, problems: Sequence[Problem], seed: int
) -> tuple[list[Problem], list[str]]:
    """The problems of the leak test with a wrong answer each; those that have none are left out."""
    chosen = leak.choose(problems, settings.leak_test_n, seed)
    wrong = leak.wrong_answers(chosen, problems, seed)
    pairs = [(problem, answer) for problem, answer in zip(chosen, wrong, strict=True) if answer is not None]
    return [problem for problem, _ in pairs], [answer for _, answer in pairs]


def _probes(
    settings: ConstructSettings,
    subset: Sequence[Problem],
    wrong: Sequence[str],
    made: dict[str, Bridged],
    shards: Shards,
    model: Mllm,
    reasoner: Reasoner,
) -> dict[str, Any]:
    """The leak test and the caption control; the arm that the rows themselves are is not made again."""
    if not subset:
        return {"leak_test": None, "caption_control": None, "fidelity": None}
    true = [problem.answer for problem in subset]
    told: dict[str, Sequence[str | None]] = {"wrong": wrong, "right": true, "none": [None] * len(subset)}
    own = "right" if settings.answer_to_mllm else "none"
    arms: dict[str, Sequence[Bridged]] = {own: [made[problem.id] for problem in subset]}
    for arm in leak.ARMS:
        if arm != own:
            arms[arm] = shards.make(
                f"leak_{arm}", subset, told[arm], lambda some, answers: bridge(some, answers, model.generate)
            )
    captions = shards.make(
        "captions", subset, told["none"], lambda some, _: plain_captions(some, model.generate)
    )
    nothing: Sequence[str | None] = told["none"]
    texts = {
        arm: _replies(subset, arms[arm], told[arm] if settings.answer_to_reasoner else nothing, reasoner)
        for arm in leak.ARMS
    }
    return {
        "fidelity": fidelity(
            subset, {"caption": _descriptions(captions), "description": _descriptions(arms["none"])}
        ),
        "leak_test": leak.leak_test(subset, wrong, texts),
        "caption_control": leak.caption_control(
            subset,
            _replies(subset, captions, nothing, reasoner),
            _replies(subset, arms[own], nothing, reasoner),
        ),
    }


def _descriptions(rows: Sequence[Bridged]) -> list[str | None]:
    return [None if row.dropped is not None else row.description for row in rows]


def _replies(
    problems: Sequence[Problem], bridged: Sequence[Bridged], told: Sequence[str | None], reasoner: Reasoner
) -> list[str | None]:
    return [
        None if row.dropped is not None else reasoner(problem, row.description, answer).text
        for problem, row, answer in zip(problems, bridged, told, strict=True)
    ]


def _refuse_empty(rows: Sequence[Row], settings: ConstructSettings, out: Path) -> None:
    kept = sum(row.kept for row in rows)
    if kept >= settings.min_kept:
        return
    write_jsonl(out / TRACES, (row.plain(None) for row in rows))
    counts = ", ".join(f"{rule} {count}" for rule, count in reasons(rows).items())
    raise InputError(
        f"{kept} of {len(rows)} rows were kept, fewer than min_kept {settings.min_kept}; dropped: {counts}",
        where=str(out / TRACES),
        fix="read the reasons there; then change the model, the filter, min_kept or the number of problems",
    )


def _write(rows: Sequence[Row], out: Path, model: Mllm, probes: dict[str, Any]) -> dict[str, Any]:
    kept = [row for row in rows if row.kept]
    export = [ChatRow(row.problem.id, row.problem.prompt, row.final_text, row.problem.media) for row in kept]
    records = read_json(write_vision_r1_cold(export, out))
    images = {record["id"]: _first(record.get("image")) for record in records}
    for group in example_rows(rows).values():
        for row in group:
            if not row.kept and row.problem.media:
                images[row.problem.id] = _write_example(row.problem, out)
    write_jsonl(out / TRACES, (row.plain(images.get(row.problem.id)) for row in rows))
    return summarise(rows, model.count_tokens, probes)


def _first(image: str | list[str] | None) -> str | None:
    return image[0] if isinstance(image, list) else image


def _write_example(problem: Problem, out: Path) -> str:
    # Named by a hash: an id from outside may hold anything.
    name = f"examples/{hashlib.sha256(problem.id.encode()).hexdigest()[:16]}.png"
    buffer = io.BytesIO()
    problem.media[0].load().save(buffer, format="PNG")
    atomic_write_bytes(out / name, buffer.getvalue())
    return name
