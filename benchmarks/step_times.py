"""GRPO steps of both sides: seconds, ratio, tokens, memory, phases, and whether they compute the same."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from side import Job, Logps, Steps, alternate
from workloads import Workload

CLOSE = 1e-4  # between the sides' log-probabilities of the same completions


def measure(workload: Workload, rounds: int, folder: Path, threads: int) -> dict[str, Any]:
    """One workload: a warm-up step and `rounds` timed ones of each side, in turns.

    Raises:
        RuntimeError: the sides trained on different numbers of tokens, or do not agree on the first step.
    """
    (steps,) = run((workload,), rounds, folder, threads)
    return summary(workload, steps)


def run(workloads: tuple[Workload, ...], rounds: int, folder: Path, threads: int) -> list[Steps]:
    """What each step of each side did, for every workload."""
    ours, peer = (Job(side, "grpo", workloads, 1 + rounds, folder, threads) for side in ("ours", "peer"))
    return list(alternate(ours, peer))


def summary(workload: Workload, steps: Steps) -> dict[str, Any]:
    """The figures of one workload."""
    tokens = check_tokens(workload, steps)
    agreement = agree(steps["ours"][0], steps["peer"][0])
    timed = {side: reports[1:] for side, reports in steps.items()}
    seconds = {side: [report["seconds"] for report in reports] for side, reports in timed.items()}
    return {
        "workload": workload.name,
        "goal": workload.goal,
        **ratios(seconds),
        "cpu_seconds": cpu_seconds(timed),
        "completion_tokens": tokens,
        "tokens_per_s": {side: rate(tokens[side], seconds[side]) for side in seconds},
        "memory_mib": {side: round(most(reports) / 2**20) for side, reports in steps.items()},
        "phases": {side: phases(reports) for side, reports in timed.items()},
        "agreement": agreement,
    }


def ratios(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Medians of both sides, and the peer's time by ours: of each round the least, median and largest."""
    found = sorted(peer / ours for ours, peer in zip(seconds["ours"], seconds["peer"], strict=True))
    return {
        "seconds": {side: round(statistics.median(values), 3) for side, values in seconds.items()},
        "ratio": round(statistics.median(found), 3),
        "ratio_spread": [round(found[0], 3), round(found[-1], 3)],
        "rounds": len(found),
    }


def cpu_seconds(timed: Steps) -> dict[str, float]:
    """Median processor seconds of a step, all threads together.

    With one thread a busy machine disturbs them less than seconds; several may spin while they wait.
    """
    return {
        side: round(statistics.median(report["cpu_seconds"] for report in reports), 3)
        for side, reports in timed.items()
    }


def rate(tokens: Sequence[int], seconds: Sequence[float]) -> float:
    """Tokens a second, the median of the rounds."""
    return round(statistics.median(t / s for t, s in zip(tokens, seconds, strict=True)), 1)


def most(reports: Sequence[dict[str, Any]]) -> int:
    """The high-water mark of memory above the level before the first step, in bytes."""
    return max(report["memory"] for report in reports)


def phases(reports: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Median seconds of each phase."""
    return {
        name: round(statistics.median(report["phases"][name] for report in reports), 3)
        for name in reports[0]["phases"]
    }


def check_tokens(workload: Workload, steps: Steps) -> dict[str, list[int]]:
    """Completion tokens of each timed step of each side, which must be the table's and equal."""
    seen = {side: [report["logs"]["num_tokens"] for report in reports] for side, reports in steps.items()}
    if seen["ours"] != seen["peer"]:
        raise RuntimeError(f"{workload.name}: tokens of prompts and completions differ: {seen}")
    found = {
        side: [round(report["logs"]["completions/mean_length"] * workload.rows) for report in reports]
        for side, reports in steps.items()
    }
    wanted = [int(workload.lengths(number).sum()) for number in range(len(seen["ours"]))]
    for side, tokens in found.items():
        if tokens != wanted:
            raise RuntimeError(
                f"{workload.name}: {side} made {tokens} tokens a step, the table says {wanted}"
            )
    return {side: tokens[1:] for side, tokens in found.items()}


def agree(ours: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """How far apart the sides are on the first step, whose completions are the same on both.

    `logps` and `reference_logps` are the largest |difference| of a token's log-probability, `kl` that of the
    mean k3 term (TRL's own log weighs it by micro-batch); `loss` and `grad_norm` are of TRL's log.
    """
    found: dict[str, Any] = {"tokens": sum(map(len, ours["logps"]["policy"].values()))}
    for name, key in (("policy", "logps"), ("reference", "reference_logps")):
        mine, theirs = ours["logps"][name], peer["logps"][name]
        if mine.keys() != theirs.keys():
            raise RuntimeError(f"the sides scored different completions ({name}): the rule was not obeyed")
        found[key] = max(abs(a - b) for row in mine for a, b in zip(mine[row], theirs[row], strict=True))
    found["kl"] = abs(mean_kl(ours["logps"]) - mean_kl(peer["logps"]))
    for key in ("loss", "grad_norm"):
        found[key] = abs(ours["logs"][key] - peer["logs"][key])
    if not found["logps"] <= CLOSE or not found["reference_logps"] <= CLOSE:
        raise RuntimeError(f"the sides disagree by more than {CLOSE}: {found}")
    return found


def mean_kl(logps: Logps) -> float:
    """The k3 estimate of the KL term, the mean over all tokens."""
    terms = [
        math.expm1(reference - policy) - (reference - policy)
        for row, values in logps["policy"].items()
        for policy, reference in zip(values, logps["reference"][row], strict=True)
    ]
    return sum(terms) / len(terms)
