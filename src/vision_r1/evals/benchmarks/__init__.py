"""The benchmarks, one file each; `BENCHMARKS` names them."""

from __future__ import annotations

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
from vision_r1.evals.benchmarks.benchmark import Ask, Benchmark, Item, Official

_FILES = (
    *(geometry3k, chartqa, tabmwp, puzzlevqa, logicvista),
    *(mmstar, hallusionbench, mme),
)
BENCHMARKS: dict[str, Benchmark] = {file.BENCHMARK.name: file.BENCHMARK for file in _FILES}

__all__ = ["BENCHMARKS", "Ask", "Benchmark", "Item", "Official"]
