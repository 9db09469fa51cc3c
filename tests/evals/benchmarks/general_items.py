"""Items made from raw rows for the tests of the second half of the benchmarks."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vision_r1.core.files import write_jsonl
from vision_r1.evals.benchmarks import (
    chartqa,
    geometry3k,
    hallusionbench,
    logicvista,
    mme,
    mmstar,
    puzzlevqa,
    tabmwp,
)
from vision_r1.evals.benchmarks.benchmark import Benchmark, Item, RowReader
from vision_r1.evals.benchmarks.load import GOLD_FORMS, Loaded, load_benchmark
from vision_r1.grading import GradeSpec, grade_response
from vision_r1.problems.tables import Row

MODULES = {
    module.BENCHMARK.name: module
    for module in (chartqa, geometry3k, hallusionbench, logicvista, mme, mmstar, puzzlevqa, tabmwp)
}
CASES = Path(__file__).parent / "cases_b.jsonl"
DATA = Path(os.environ.get("VISION_R1_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))


def picture(colour: tuple[int, int, int] = (200, 40, 40)) -> bytes:
    """A small PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


def item_of(benchmark: Benchmark, row: dict[str, Any], where: str = "rows, row 1") -> Item:
    """The item of a raw row, which gets an image unless it names its own."""
    return benchmark.read(RowReader(Row(where, {"image": picture(), **row}), Path("/nowhere"), 10**6))


def strict(item: Item, response: str) -> bool:
    """What the strict grader says."""
    return grade_response(response, GradeSpec.of(item.problem)).correct


def cases() -> list[dict[str, Any]]:
    """The hand-built cases."""
    return [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]


def folder_of(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A folder with `problems.jsonl` and one image, which every row names that names none."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "images" / "1.png").write_bytes(picture())
    write_jsonl(folder / "problems.jsonl", [{"image": "images/1.png", **row} for row in rows])
    return folder


def real(benchmark: Benchmark, name: str) -> Loaded:
    """The shared rows of a benchmark; the test is skipped where they are absent."""
    if not (DATA / name / "problems.jsonl").is_file():
        pytest.skip(f"no shared benchmark rows at {DATA / name}; set VISION_R1_SHARED_DATA")
    return load_benchmark(benchmark, DATA / name)


def right_golds(name: str, loaded: Loaded, gold_of: Any = None) -> dict[str, tuple[int, int]]:
    """How many golds are right in each form: by the official rule, and by the strict one."""
    module = MODULES[name]
    golds = [(item, gold_of(item) if gold_of else item.problem.answer) for item in loaded.items]
    return {
        form: (
            sum(module.official(item, form.format(gold)).correct for item, gold in golds),
            sum(strict(item, form.format(gold)) for item, gold in golds),
        )
        for form in (*GOLD_FORMS, "**{}**", "<answer>{}</answer>")
    }
