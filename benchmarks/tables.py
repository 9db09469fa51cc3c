"""The tables of docs/results.md, as Markdown, from finished runs and their control studies.

    python benchmarks/tables.py RUN [RUN ...]

A run is made by `vision-r1 run vision-r1 --seed S --out RUN`, its controls by `vision-r1 study controls RUN`.
Shares are in percent, with 95% intervals in brackets; differences are paired by problem.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from vision_r1.core.files import read_json
from vision_r1.evals.compare import compare_traces
from vision_r1.report.figures import in_order, label

Row = Sequence[object]
WORDS = ("Wait", "Hmm")
PICTURES = {"blank": "blank picture", "no_image": "no picture", "question_only": "the question alone"}
ARMS = {
    "answers_only": "answers only",
    "more_sft": "more SFT",
    "short_sft": "more SFT, shorter half of the rows",
}


def percent(share: float | None, ci: Sequence[float] | None = None) -> str:
    """`78.9 (75.2-82.1)`."""
    if share is None:
        return "-"
    span = f" ({100 * ci[0]:.1f}-{100 * ci[1]:.1f})" if ci else ""
    return f"{100 * share:.1f}{span}"


def points(paired: dict[str, Any]) -> str:
    """`+10.1 (6.1 to 14.1)`."""
    low, high = paired["ci95"]
    return f"{100 * paired['difference']:+.1f} ({100 * low:.1f} to {100 * high:.1f})"


def table(head: Row, rows: Sequence[Row]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def variants(run: Path) -> str:
    """Every variant of one run."""
    rows = [
        (
            label(name),
            percent(block["accuracy"], block["ci95"]),
            percent(block["pass_at_1_sampled"], block["pass_at_1_sampled_ci95"]),
            percent(block["pass_at_8"]),
            percent(block["format_rate"]),
            percent(block["truncation_rate"]),
            percent(block["accuracy_finished"]),
            f"{block['mean_tokens']:.0f}",
        )
        for name, block in read_json(run / "results.json")["variants"].items()
    ]
    head = (
        "variant",
        "accuracy",
        "pass@1, T = 0.6",
        "pass@8",
        "format",
        "cut off",
        "right if whole",
        "tokens",
    )
    return table(head, rows)


def differences(runs: Sequence[Path]) -> str:
    """The final model against the base, the cold start and the control arms, a column a run."""
    against = [(label(name), _greedy(name)) for name in ("base", "cold_start")]
    against.append((f"{label('cold_start')}, T = 0.6", _sampled("cold_start")))
    for arm in ARMS if any(map(_study, runs)) else ():
        against.append((ARMS[arm], _arm(arm, "final_minus_arm")))
        against.append((f"{ARMS[arm]}, T = 0.6", _arm(arm, "final_minus_arm_sampled")))
    rows = [(name, *(cell(run) for run in runs)) for name, cell in against]
    return table(("Vision-R1 minus", *_seeds(runs)), rows)


def arms(runs: Sequence[Path]) -> str:
    """The control arms themselves."""
    rows = [
        (
            f"{ARMS[row['arm']]}, {seed}",
            row["steps"],
            percent(row["accuracy"], row["ci95"]),
            percent(row["pass_at_1_sampled"], row["pass_at_1_sampled_ci95"]),
            percent(row["pass_at_8"]),
            percent(row["truncation_rate"]),
            f"{row['mean_tokens']:.0f}",
        )
        for run, seed in zip(runs, _seeds(runs), strict=True)
        for row in _study(run)
    ]
    return table(("arm", "steps", "accuracy", "pass@1, T = 0.6", "pass@8", "cut off", "tokens"), rows)


def families(runs: Sequence[Path]) -> str:
    """Accuracy by family, mean over the runs (they share their test problems); then all families alike."""
    results = [read_json(run / "results.json")["variants"] for run in runs]
    names = [name for name in in_order(results[0]) if name != "base_think"]
    counts = {family: block["n"] for family, block in results[0]["base"]["by_family"].items()}
    means = {
        family: [
            statistics.fmean(r[name]["by_family"][family]["accuracy"] for r in results) for name in names
        ]
        for family in counts
    }
    rows: list[Row] = [(family, counts[family], *_whole(means[family])) for family in counts]
    alike = (statistics.fmean(column) for column in zip(*means.values(), strict=True))
    rows.append(("mean of the families", sum(counts.values()), *_whole(alike)))
    return table(("family", "n", *(label(name) for name in names)), rows)


def _whole(shares: Iterable[float]) -> list[str]:
    return [f"{100 * share:.0f}" for share in shares]


def elsewhere(runs: Sequence[Path]) -> str:
    """What was held out of all training, and what the final model does without its picture."""
    results = [read_json(run / "results.json") for run in runs]
    rows: list[Row] = []
    for part, block in results[0]["generalisation"].items():
        for name in block:
            shares = (percent(r["generalisation"][part][name]["accuracy"]) for r in results)
            rows.append((f"{part.replace('_', ' ')}, {label(name)}", *shares))
    use = [result["image_use"] for result in results if result.get("image_use")]
    if len(use) < len(runs):
        return table(("held out", *_seeds(runs)), rows)
    for key, picture in PICTURES.items():
        rows.append((picture, *(percent(u[key]["accuracy"]) for u in use)))
    rows.append(("another picture: follows it", *(percent(u["swapped"]["follows_new"]) for u in use)))
    rows.append(("another picture: keeps the old answer", *(percent(u["swapped"]["keeps_old"]) for u in use)))
    return table(("held out, and image use", *_seeds(runs)), rows)


def construction(runs: Sequence[Path]) -> str:
    """What data construction made and dropped, and how its filter and its leak test came out."""
    found = [read_json(run / "stages" / "construct" / "summary.json") for run in runs]
    words = [f["reflection_words"] for f in found]
    wrong = [[f["leak_test"]["arms"][arm]["returns_wrong"] for arm in ("wrong", "none")] for f in found]
    control = [f["caption_control"] for f in found]
    rows: list[Row] = [
        ("problems", *(f["n"] for f in found)),
        ("kept", *(f["kept"] for f in found)),
        ("descriptions that are exact", *(_counted(f["description"]["exact"]) for f in found)),
        ("filter: rows with a known fault", *(f["filter"]["faulty"] for f in found)),
        ("filter: precision", *(f"{f['filter']['precision']:.2f}" for f in found)),
        ("filter: recall", *(f"{f['filter']['recall']:.2f}" for f in found)),
        ("told a wrong answer: returned", *(_counted(told) for told, _ in wrong)),
        ("told none: that answer returned", *(_counted(none) for _, none in wrong)),
        ("right from a plain caption", *(_counted(c["caption"]) for c in control)),
        ("right from the description", *(_counted(c["description"]) for c in control)),
    ]
    rows += [
        (f"{word} a kept trace", *(f"{w['counts'][word] / w['rows']:.2f}" for w in words)) for word in WORDS
    ]
    return table(("data construction", *_seeds(runs)), rows)


def _counted(share: dict[str, Any]) -> str:
    return percent(share["share"], share["ci95"])


def cost(runs: Sequence[Path]) -> str:
    """Seconds a stage, and memory."""
    results = [read_json(run / "results.json") for run in runs]
    rows: list[Row] = [
        (stage, *(f"{r['seconds'][stage]:.0f}" for r in results)) for stage in results[0]["seconds"]
    ]
    rows.append(("all", *(f"{sum(r['seconds'].values()):.0f}" for r in results)))
    rows.append(("peak memory, MB", *(f"{r['peak_rss_mb']:.0f}" for r in results)))
    return table(("seconds", *_seeds(runs)), rows)


def _seeds(runs: Sequence[Path]) -> list[str]:
    return [f"seed {read_json(run / 'run.json')['seed']}" for run in runs]


def _traces(run: Path, variant: str) -> Path:
    return run / "stages" / "evaluate" / variant / "traces.jsonl"


def _greedy(variant: str) -> Callable[[Path], str]:
    return lambda run: points(compare_traces(_traces(run, variant), _traces(run, "vision_r1")))


def _sampled(variant: str) -> Callable[[Path], str]:
    return lambda run: points(
        compare_traces(_traces(run, variant), _traces(run, "vision_r1"), decoding="sampled")
    )


def _study(run: Path) -> list[dict[str, Any]]:
    path = run / "studies" / "controls" / "results.json"
    return list(read_json(path)) if path.exists() else []


def _arm(arm: str, key: str) -> Callable[[Path], str]:
    return lambda run: next(
        (points(row[key]) for row in _study(run) if row["arm"] == arm and key in row), "-"
    )


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    runs: list[Path] = parser.parse_args().runs
    for run, seed in zip(runs, _seeds(runs), strict=True):
        print(f"{seed}\n\n{variants(run)}")
    parts = [differences, families, elsewhere, construction, cost]
    if any(map(_study, runs)):
        parts.insert(1, arms)
    for part in parts:
        print(part(runs))


if __name__ == "__main__":
    main()
