"""A small benchmark in PuzzleVQA's layout with pictures of its own, and scripted engines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from vision_r1.core.progress import Silent
from vision_r1.evals.benchmark_run import Evaluation, Judge, run_benchmark
from vision_r1.evals.benchmarks import BENCHMARKS
from vision_r1.evals.benchmarks.load import Loaded, load_benchmark
from vision_r1.evals.config import PROTOCOLS, BenchmarkSettings
from vision_r1.rollout.engine import OnDone, quiet
from vision_r1.rollout.trace import Segment, Trace

PUZZLES = BENCHMARKS["puzzlevqa"]
# (problem number, sample index, how often it was asked before) -> text, or (text, stop reason)
Script = Callable[[int, int, int], str | tuple[str, str]]


def write_puzzles(folder: Path, n: int = 8, **changes: dict[int, dict]) -> Path:
    """Rows 0..n-1: the gold is the row's number, option (B) of three; `rows` changes single ones."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for i in range(n):
        Image.new("RGB", (28, 28), (i * 20, 40, 90)).save(folder / "images" / f"{i}.png")
        row = {
            "image": f"images/{i}.png", "question": f"What is number {i}?", "options": [100 + i, i, 200 + i],
            "answer": str(i), "category": "even" if i % 2 == 0 else "odd",
        }  # fmt: skip
        rows.append(row | changes.get("rows", {}).get(i, {}))
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


class ScriptedEngine:
    """Answers by a script and counts what it is asked."""

    def __init__(self, script: Script, identity: str = "scripted") -> None:
        self.script, self.identity, self.name = script, identity, "scripted"
        self.asked: list[str] = []
        self.calls = 0

    def complete(self, requests, sampling, seed, on_done: OnDone = quiet) -> list[Trace]:
        self.calls += 1
        traces = []
        for request in requests:
            for index in range(sampling.n):
                name, _, sample = request.id.partition("\x1f")
                number = int(Path(name).stem)
                self.asked.append(name)
                found = self.script(number, int(sample or index), self.asked.count(name) - 1)
                text, stop = found if isinstance(found, tuple) else (found, "eos")
                if stop == "error":
                    traces.append(Trace(request.id, index, (), "error", 0, "scripted", error=text))
                else:
                    segment = Segment("model", text, count=len(text.split()))
                    traces.append(Trace(request.id, index, (segment,), stop, 9, "scripted"))
                on_done(1)
        return traces


def settings(protocol: str = "plain", **changes: object) -> BenchmarkSettings:
    plain = PROTOCOLS[protocol].model_dump() | {"bootstrap": 200, "batch_size": 4} | changes
    return BenchmarkSettings.model_validate(plain)


def measure(
    folder: Path,
    out: Path,
    engine: ScriptedEngine,
    *,
    protocol: str = "plain",
    judge: Judge | None = None,
    seed: int = 0,
    **changes: object,
) -> dict:
    evaluation = Evaluation(settings(protocol, **changes), protocol, seed, judge)
    return run_benchmark(engine, PUZZLES, load(folder), evaluation, out / PUZZLES.name, Silent())


def load(folder: Path) -> Loaded:
    return load_benchmark(PUZZLES, folder)
