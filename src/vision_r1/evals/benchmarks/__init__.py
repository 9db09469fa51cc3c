"""The benchmarks, one file each; `BENCHMARKS` names them."""

from __future__ import annotations

from vision_r1.evals.benchmarks import puzzlevqa
from vision_r1.evals.benchmarks.benchmark import Ask, Benchmark, Item, Official

BENCHMARKS: dict[str, Benchmark] = {b.name: b for b in (puzzlevqa.BENCHMARK,)}

__all__ = ["BENCHMARKS", "Ask", "Benchmark", "Item", "Official"]
