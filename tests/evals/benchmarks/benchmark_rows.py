"""What the benchmark tests share: rows into items, the hand-built cases, the benchmarks by name."""

import importlib
import json
import os
import pkgutil
from pathlib import Path

import pytest

import vision_r1.evals.benchmarks as package
from vision_r1.evals.benchmarks.benchmark import Benchmark, RowReader
from vision_r1.problems.tables import Row

DATA = Path(os.environ.get("VISION_R1_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))


def benchmarks():
    """Name -> benchmark, of every file in the package."""
    found = {}
    for module in pkgutil.iter_modules(package.__path__):
        loaded = importlib.import_module(f"{package.__name__}.{module.name}")
        found.update({b.name: b for b in vars(loaded).values() if isinstance(b, Benchmark)})
    return found


def item_of(benchmark, row, root=Path()):
    return benchmark.read(RowReader(Row("made, row 1", row), root, 10**7))


def notes_of(benchmark, row):
    reader = RowReader(Row("made, row 1", row), Path(), 10**7)
    benchmark.read(reader)
    return reader.notes


def cases(name):
    path = Path(__file__).with_name(name)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def case_name(case):
    return f"{case['benchmark']}-{case.get('rule', 'official')}-{case['fault'] or case['why']}"[:80]


def shared(folder):
    """The folder with real rows; the test is skipped where it is absent."""
    path = DATA / folder
    if not (path / "problems.jsonl").is_file():
        pytest.skip(f"no shared benchmark rows at {path}; set VISION_R1_SHARED_DATA")
    return path
