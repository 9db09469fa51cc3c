"""The benchmarks, one file each; `BENCHMARKS` names them."""

from __future__ import annotations

from vision_r1.evals.benchmarks import (
    chartqa,
    dynamath,
    geometry3k,
    hallusionbench,
    logicvista,
    mathverse,
    mathvision,
    mathvista,
    mme,
    mmmath,
    mmstar,
    puzzlevqa,
    tabmwp,
    wemath,
)
from vision_r1.evals.benchmarks.benchmark import Ask, Benchmark, Item, Official

# The paper's own first, then further mathematics and charts, then its general set.
_FILES = (
    *(mathvista, mathverse, mmmath, dynamath, mathvision, wemath),
    *(geometry3k, chartqa, tabmwp, puzzlevqa, logicvista),
    *(mmstar, hallusionbench, mme),
)
_VERSIONS = (mathverse.COT, mathverse.TEXT_ONLY)
BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark for benchmark in (*(file.BENCHMARK for file in _FILES), *_VERSIONS)
}

__all__ = ["BENCHMARKS", "Ask", "Benchmark", "Item", "Official"]
