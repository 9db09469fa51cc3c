"""Collecting a whole construction from its log: filter, rewrite, write rows, data set and an export.

    python benchmarks/collect.py [--rows 200000] [--out DIR] [--keep] [--json]

Makes problems with an image of 14 KB each and a log that holds an answer to every request (thoughts of
600 words, nine answers in ten plain and one symbolic; a tenth has a fault, see filtering.py), then runs
the second pass as `vision-r1 construct --collect` does, and exports for LLaMA-Factory. Reading the sets
and looking for duplicates, which happens before the first request, is timed apart, and once more as in a
second call (`again_s`). Exit code 1 where collecting takes over 600 seconds for 200,000 rows (as much less
for fewer), where all processes together take over 2 GiB, or where a row came to something else. The disk
needs about 60 KB a row.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filtering import Memory, row
from outputs import image

from vision_r1.construct.asking import chat_request
from vision_r1.construct.build import LOG, Work, collect, finish, read_sets
from vision_r1.construct.chain import Ask
from vision_r1.construct.config import Construction
from vision_r1.construct.replay import Replayer
from vision_r1.construct.replies import Said
from vision_r1.construct.steps import build_steps
from vision_r1.core.config import validate
from vision_r1.core.progress import Silent
from vision_r1.problems.problem import Problem
from vision_r1.teachers.chat import ChatReply, request_key, request_text
from vision_r1.teachers.prompts import open_prompts
from vision_r1.teachers.request_log import Answered, RequestLog

ROWS, MOST_SECONDS, MOST_MIB = 200_000, 600, 2048
CAPTION = "Caption: A chart with several bars.\nReasoning: I read the values off the axis and compare them."
DESCRIPTION = "The image shows a chart with several bars, their labels and an axis with numbers. " * 8


def write_problems(folder: Path, rows: int) -> Path:
    """Problems as a table of JSON lines, each with an image file of its own."""
    path = folder / "problems.jsonl"
    with path.open("w", encoding="utf-8") as table:
        for index in range(rows):
            spec = row(index)[0].spec
            name = f"images/{index % 100:02d}/{index}.jpg"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(image(index))
            line: dict[str, Any] = {
                "id": f"p{index}", "question": f"What does row {index} of the chart come to?",
                "answer": spec.gold, "image": name,
            }  # fmt: skip
            if spec.options:
                line["options"] = list(spec.options)
            table.write(json.dumps(line) + "\n")
    return path


def construction(table: Path) -> Construction:
    """Settings of a construction of that table; nobody is asked."""
    role = {"endpoints": [{"url": "http://127.0.0.1:9/v1"}]}
    return validate(
        Construction,
        {
            "data": {"made_up": {"kind": "file", "path": str(table)}},
            "mllm": {"model": "eyes", **role},
            "reasoner": {"model": "mind", "max_tokens": 4096, **role},
            "filter": {"max_tokens": 4096},
            "export": ["vision-r1-cold"],
        },
    )


def fill_log(work: Work, log: RequestLog, indices: dict[str, int]) -> dict[str, str]:
    """An answer to every request of every problem; gives what each problem must come to."""
    expected: dict[str, str] = {}
    for start in range(0, len(work.prepared.problems), 2000):
        answers: list[Answered] = []
        for problem in work.prepared.problems[start : start + 2000]:
            expected[problem.id] = answer_chain(work, problem, indices[problem.id], answers)
        log.put(answers)
    return expected


def answer_chain(work: Work, problem: Problem, index: int, answers: list[Answered]) -> str:
    """Drive one chain and note its answers."""
    candidate, rule = row(index)
    texts = {"pseudo_cot": (CAPTION, ""), "describe": (DESCRIPTION, "")}
    chain = work.chain(problem)
    asks: list[Ask] = next(chain)
    try:
        while True:
            said = []
            for ask in asks:
                text, thought = texts.get(ask.step, (candidate.reply, candidate.thought))
                request = chat_request(ask, work.config.roles[ask.role], work.config.seed)
                content = request_text(request)
                reply = ChatReply(text, thought, "stop", 400, 800, request.model)
                answers.append(Answered(request_key(content), request.model, content, reply))
                said.append(Said(text, thought, 800))
            asks = chain.send(said)
    except StopIteration:
        return rule


def measure(rows: int, folder: Path) -> dict[str, Any]:
    """Seconds of every part, peak memory while collecting, and rows that came to something else."""
    table = write_problems(folder, rows)
    config = construction(table)
    out = folder / "out"
    begin = time.monotonic()
    prepared = read_sets(config, out, Silent())
    read = time.monotonic() - begin
    begin = time.monotonic()
    read_sets(config, out, Silent())
    again = time.monotonic() - begin
    indices = {name: int(origin.source_id[1:]) for name, origin in prepared.origins.items()}
    work = Work(config, out, prepared, build_steps(config.steps, open_prompts(config.prompts)), None)
    with RequestLog(out / LOG) as log:
        expected = fill_log(work, log, indices)
        memory = Memory()
        memory.start()
        begin = time.monotonic()
        collect(work, Replayer(log, work.config.roles, config.seed), Silent())
        collected = time.monotonic() - begin
    finish(out, config, Silent(), {"ledger": [], "quarantined": 0, "controls": None, "whole": rows})
    seconds = time.monotonic() - begin
    memory.ended.set()
    memory.join()
    wrong = sum(expected[name] != reason for name, reason in _reasons(out))
    return {
        "rows": rows, "problems_left": len(prepared.problems),
        "read_and_dedupe_s": round(read, 1), "again_s": round(again, 1), "collect_s": round(collected, 1),
        "with_data_and_export_s": round(seconds, 1), "rows_per_s": round(rows / seconds),
        "peak_mib": round(memory.peak / 2**20), "misjudged": wrong,
    }  # fmt: skip


def _reasons(out: Path) -> Iterator[tuple[str, str]]:
    from vision_r1.construct.row_files import read_tables

    for part in read_tables(out / "rows", ["problem", "reason"]):
        yield from zip(part["problem"].to_pylist(), part["reason"].to_pylist(), strict=True)


def main() -> int:
    """Run, print, and say whether the limits were kept."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    folder = given.out or Path(tempfile.mkdtemp(prefix="collect"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        result = measure(given.rows, folder)
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result) if given.json else "\n".join(f"{k:24} {v}" for k, v in result.items()))
    slow = result["with_data_and_export_s"] > MOST_SECONDS * given.rows / ROWS
    return int(slow or result["peak_mib"] > MOST_MIB or bool(result["misjudged"]))


if __name__ == "__main__":
    sys.exit(main())
