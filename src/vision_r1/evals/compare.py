"""Two variants on the same problems: the paired difference, its interval and an exact test."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from vision_r1.core.errors import InputError
from vision_r1.core.files import is_file, is_folder, read_json, read_jsonl
from vision_r1.evals.statistics import paired_difference

Decoding = Literal["greedy", "sampled"]


def compare_traces(
    first: Path, second: Path, *, decoding: Decoding = "greedy", resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Second minus first, paired by problem.

    Args:
        first: traces.jsonl of the variant that is compared against.
        second: traces.jsonl of the variant that should be better.
        decoding: greedy rows, or the mean over each problem's samples (pass@1).
        resamples: of the paired bootstrap over problems.
        seed: of the bootstrap.

    Returns:
        `{"n", "first", "second", "difference", "ci95", "p_value", "first_better", "second_better"}`;
        `first` and `second` are accuracies, `p_value` the exact two-sided sign test over the problems
        that differ (for greedy rows McNemar's).

    Raises:
        InputError: a file cannot be read, has no rows of this decoding, or the problems differ.
    """
    one, two = _scores(first, decoding), _scores(second, decoding)
    return _paired(one, two, first, second, resamples, seed)


def compare_evaluations(
    first: Path, second: Path, scorer: str = "strict", *, resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Two evaluations on benchmarks, paired by problem, for every benchmark that both have.

    Args:
        first: folder of the evaluation that is compared against.
        second: folder of the other.
        scorer: "strict", "official" or "judged".
        resamples: of the paired bootstrap over problems.
        seed: of the bootstrap.

    Returns:
        `{"first", "second", "scorer", "notes", "benchmarks": {name: as compare_traces}}`. A problem's
        score is averaged over its samples; problems that the benchmark scores together are drawn and tested
        together.

    Raises:
        InputError: no benchmark in common, a scorer that was not run, or other problems.
    """
    for place in (first, second):
        if not is_folder(place):
            raise InputError("no such folder", where=str(place), fix="name what `vision-r1 eval` wrote")
    folders = [{path.parent.name for path in place.glob("*/scores.jsonl")} for place in (first, second)]
    common = sorted(folders[0] & folders[1])
    if not common:
        raise InputError("no benchmark is in both", where=f"{first} and {second}", fix="evaluate both on one")
    files = [(name, first / name / "scores.jsonl", second / name / "scores.jsonl") for name in common]
    return {
        "first": str(first),
        "second": str(second),
        "scorer": scorer,
        "notes": [
            *(f"{name}: only in one of them, left out" for name in sorted(folders[0] ^ folders[1])),
            *(note for name in common if (note := _unlike(first / name, second / name))),
        ],
        "benchmarks": {
            name: _paired(_scored(a, scorer), _scored(b, scorer), a, b, resamples, seed)
            for name, a, b in files
        },
    }


# problem id -> (gold, score, group)
Scored = dict[str, tuple[Any, float, str]]


def _unlike(one: Path, other: Path) -> str:
    """What differs in how two evaluations asked, which a difference may come from; empty if nothing does."""
    plans = [read_json(place / "plan.json") if is_file(place / "plan.json") else {} for place in (one, other)]
    flat = [{**plan.get("settings", {}), "protocol": plan.get("protocol")} for plan in plans]
    keys = [key for key in flat[0] if flat[0][key] != flat[1].get(key)]
    shown = ", ".join(f"{key} {flat[0][key]} and {flat[1].get(key)}" for key in keys)
    return f"{one.name}: asked in different ways: {shown}" if keys else ""


def _scored(path: Path, scorer: str) -> Scored:
    """Problem id -> (gold, share of its answers that this scorer finds right)."""
    found: dict[str, tuple[Any, str, list[bool]]] = {}
    for number, row in read_jsonl(path):
        if not isinstance(row.get(scorer), dict) or "correct" not in row[scorer]:
            known = ", ".join(
                key for key, value in row.items() if isinstance(value, dict) and "correct" in value
            )
            raise InputError(f"no score by {scorer!r}", where=f"{path}, line {number}", fix=f"one of {known}")
        entry = found.setdefault(row["id"], (row["gold"], row.get("group") or row["id"], []))
        entry[2].append(row[scorer]["correct"] is True)
    return {name: (gold, sum(right) / len(right), group) for name, (gold, group, right) in found.items()}


def _paired(one: Scored, two: Scored, first: Path, second: Path, resamples: int, seed: int) -> dict[str, Any]:
    _check_same(one, two, first, second)
    ids = list(one)
    a, b = [one[name][1] for name in ids], [two[name][1] for name in ids]
    paired = paired_difference(a, b, resamples, seed, [one[name][2] for name in ids])
    return {
        "n": paired.n,
        "first": sum(a) / len(a),
        "second": sum(b) / len(b),
        "difference": paired.difference.mean,
        "ci95": paired.difference.ci95,
        "p_value": paired.p_value,
        "first_better": paired.first_better,
        "second_better": paired.second_better,
    }


def _scores(path: Path, decoding: Decoding) -> Scored:
    """Problem id -> (gold, share of its completions that are right)."""
    found: dict[str, tuple[Any, list[bool]]] = {}
    for number, row in read_jsonl(path):
        missing = [key for key in ("problem_id", "answer", "decoding", "correct") if key not in row]
        if missing:
            raise InputError(f"the row has no {missing[0]!r}", where=f"{path}, line {number}")
        if row["decoding"] == decoding:
            found.setdefault(row["problem_id"], (row["answer"], []))[1].append(row["correct"] is True)
    if not found:
        raise InputError(f"no {decoding} completions", where=str(path))
    return {name: (gold, sum(right) / len(right), name) for name, (gold, right) in found.items()}


def _check_same(one: Scored, two: Scored, first: Path, second: Path) -> None:
    fix = "evaluate both on the same problems (limit, versions)"
    for name in sorted(one.keys() ^ two.keys()):
        place = second if name in one else first
        raise InputError(f"problem {name!r} is not among its traces", where=str(place), fix=fix)
    for name, (gold, _, _) in one.items():
        if two[name][0] != gold:
            raise InputError(f"problem {name!r} has another gold than in {first}", where=str(second), fix=fix)
