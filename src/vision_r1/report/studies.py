"""Several runs side by side, as markdown for docs: one row a run, and the mean over them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from vision_r1.core.errors import InputError
from vision_r1.core.files import read_json
from vision_r1.report.clean import clean
from vision_r1.report.figures import (
    COLD_START,
    FINAL,
    better_base,
    duration,
    in_order,
    label,
    percent,
    points,
)
from vision_r1.report.read import Row, interval, number, table

TITLE = "### Runs"
_ESCAPED = str.maketrans({"|": "\\|", "<": "&lt;", ">": "&gt;", "\n": " ", "`": "'"})


def study_table(rows: Sequence[Mapping[str, str]]) -> str:
    """A markdown table: columns in the order of their first appearance, all but the first right-aligned.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("a table needs at least one row")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [
        "| " + " | ".join(_cell(column) for column in columns) + " |",
        "|" + "|".join(["---", *["---:"] * (len(columns) - 1)]) + "|",
    ]
    lines += ["| " + " | ".join(_cell(row.get(column, "–")) for column in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return clean(text).translate(_ESCAPED)


def compare_runs(runs: list[Path]) -> str:
    """Markdown that compares runs: a row each, the mean and spread over them, then every variant.

    Raises:
        InputError: no run is named, or one has no readable results with variants.
    """
    if not runs:
        raise InputError("no run to compare", fix="name at least one run directory")
    results = [_results(run) for run in runs]
    names = [_name(run, result) for run, result in zip(runs, results, strict=True)]
    return "\n".join([
        f"{TITLE}\n",
        study_table([*(_run_row(n, r) for n, r in zip(names, results, strict=True)), _mean_row(results)]),
        "### Variants, mean over the runs (lowest to highest)\n",
        study_table(_variant_rows(results)),
    ])  # fmt: skip


def _results(run: Path) -> Row:
    path = run / "results.json"
    results = read_json(path)
    if not table(results, "variants"):
        raise InputError("holds no variants", where=str(path), fix="finish the run, or leave it out")
    return table(results)


def _name(run: Path, results: Row) -> str:
    seed = results.get("seed")
    return f"{run.resolve().name} (seed {seed})" if isinstance(seed, int) else run.resolve().name


def _accuracy(results: Row, variant: str | None) -> float | None:
    return number(results, "variants", variant, "accuracy") if variant else None


def _over(results: Row, variant: str | None) -> float | None:
    final, other = _accuracy(results, FINAL), _accuracy(results, variant)
    return final - other if final is not None and other is not None else None


def _base(results: Row) -> str | None:
    return better_base(table(results, "variants"))


def _figures(results: Row) -> dict[str, float | None]:
    """What is compared; shares, but for the time."""
    question_only = number(results, "image_use", "question_only", "accuracy")
    final = _accuracy(results, FINAL)
    seconds = [number(value) for value in table(results, "seconds").values()]
    return {
        "better base": _accuracy(results, _base(results)),
        "cold start": _accuracy(results, COLD_START),
        "Vision-R1": final,
        "over base": _over(results, _base(results)),
        "over cold start": _over(results, COLD_START),
        "format": number(results, "variants", FINAL, "format_rate"),
        "over question-only": final - question_only
        if final is not None and question_only is not None
        else None,
        "time": sum(s for s in seconds if s is not None) if seconds else None,
    }


def _shown(name: str, value: float | None) -> str:
    if name == "time":
        return duration(value)
    return points(value) if name.startswith("over") else percent(value)


def _run_row(name: str, results: Row) -> dict[str, str]:
    row = {"run": name}
    for key, value in _figures(results).items():
        pair = interval(table(results, "variants", FINAL)) if key == "Vision-R1" else None
        spread = f" ({100 * pair[0]:.1f}–{100 * pair[1]:.1f})" if pair else ""
        row[key] = _shown(key, value) + spread
    return row


def _mean_row(results: Sequence[Row]) -> dict[str, str]:
    figures = [_figures(result) for result in results]
    row = {"run": f"mean of {len(results)}"}
    for key in figures[0]:
        known = [value for each in figures if (value := each[key]) is not None]
        row[key] = _shown(key, statistics.fmean(known)) if known else "–"
    return row


_COLUMNS = (
    ("accuracy", "accuracy"), ("pass@8", "pass_at_8"),
    ("format", "format_rate"), ("truncated", "truncation_rate"),
)  # fmt: skip


def _variant_rows(results: Sequence[Row]) -> list[dict[str, str]]:
    seen = {name: None for result in results for name in table(result, "variants")}
    rows = []
    for name in in_order(seen):
        row = {"variant": label(name)}
        for title, key in _COLUMNS:
            row[title] = _spread([number(result, "variants", name, key) for result in results])
        tokens = [t for r in results if (t := number(r, "variants", name, "mean_tokens")) is not None]
        row["tokens"] = f"{statistics.fmean(tokens):.1f}" if tokens else "–"
        rows.append(row)
    return rows


def _spread(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    mean = percent(statistics.fmean(known))
    return mean if len(known) == 1 else f"{mean} ({100 * min(known):.1f}–{100 * max(known):.1f})"
