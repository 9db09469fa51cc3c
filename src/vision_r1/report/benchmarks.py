"""The table that an evaluation on benchmarks ends with; imports no torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from vision_r1.problems.contamination import overlap_line
from vision_r1.report.clean import clean
from vision_r1.report.figures import NONE, percent, points, whole
from vision_r1.report.read import Row, interval, number, table

# Narrow on purpose: the table must stand in a terminal of 80 columns.
_RATES = (("truncation_rate", "cut\noff"), ("format_rate", "for-\nmat"), ("unparseable_rate", "not\nread"))

# What is said of a block where the figure at the key is not 0.
_COUNTS: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "faults.unusable": ("{} rows could not be asked and count as wrong; see faults.jsonl", whole),
    "faults.gold": ("{} golds are not right by some scorer's own rule; see faults.jsonl", whole),
    "error_rate": ("{} of the answers did not come; they count as wrong", percent),
    "judge_failed": ("the judge did not reply to {} answers; its score counts them as wrong", whole),
    "timeout_rate": ("{} of the answers could not be compared in time", percent),
}


def _console() -> Console:
    """Standard output; a log or a pipe has no edge at which figures would be cut."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=140)


def print_benchmarks(summary: Mapping[str, Any], console: Console | None = None) -> None:
    """Print `benchmarks_table` to standard output."""
    (console or _console()).print(benchmarks_table(summary))


def benchmarks_table(summary: Mapping[str, Any]) -> Group:
    """One line a benchmark: every scorer with its interval, beside what chance and one answer give."""
    found = table(dict(summary), "benchmarks")
    blocks = {name: block for name, block in found.items() if isinstance(block, dict)}
    judged = any(table(block, "scorers", "judged") for block in blocks.values())
    names = ("strict", "official", "judged") if judged else ("strict", "official")
    grid = Table(
        title=_title(blocks), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False
    )
    grid.add_column("benchmark")  # the one that gives way where the terminal is narrow
    headings = ("n", *(f"{name}\n(95%)" for name in names), "chance", "one\nansw.", "dif-\nfer")
    for heading in (*headings, *(label for _, label in _RATES)):
        grid.add_column(heading, justify="right", no_wrap=True)
    for block in blocks.values():
        grid.add_row(
            Text(clean(str(block.get("title")))),
            whole(number(block, "n")),
            *(_score(table(block, "scorers", name)) for name in names),
            _bare(number(block, "chance")),
            _bare(number(table(block, "most_frequent"), "accuracy")),
            whole(number(block, "disagreements")),
            *(_bare(number(block, key), 0) for key, _ in _RATES),
        )
    return Group(grid, *(Text(clean(line)) for line in notes(blocks)))


def _title(blocks: Mapping[str, Row]) -> str:
    first = next(iter(blocks.values()), {})
    return clean(f"{first.get('model', '')}: accuracy in %, {_protocol(first)}")


def _protocol(block: Row) -> str:
    settings = table(block, "settings")
    if str(block.get("protocol")) != "plain":
        return str(block.get("protocol"))
    heat = number(settings, "temperature")
    return f"pass@1 over {block.get('samples')} sample(s), " + ("greedy" if not heat else f"T={heat:g}")


def _score(found: Row) -> str:
    if not found:
        return NONE
    low_high = interval(found)
    span = f" ({100 * low_high[0]:.0f}-{100 * low_high[1]:.0f})" if low_high else ""
    return f"{_bare(number(found, 'accuracy'))}{span}"


def _bare(share: float | None, digits: int = 1) -> str:
    """Percent without its sign, which the title has."""
    return percent(share, digits).removesuffix("%")


def notes(blocks: Mapping[str, Row]) -> list[str]:
    """What must be known beside the figures, one line each."""
    lines = [line for name, block in blocks.items() for line in _block_notes(name, block)]
    if any(not table(block, "contamination").get("recorded") for block in blocks.values()):
        lines.append("the model has no record of its training data: contamination cannot be checked")
    lines.append(
        "chance: a random choice among the options, 0 where there are none; one answer: the most frequent"
        " gold given to every question; differ: answers on which the scorers differ"
    )
    return lines


def _block_notes(name: str, block: Row) -> list[str]:
    lines = [
        f"{name}: {text.format(shown)}"
        for key, (text, show) in _COUNTS.items()
        if (found := number(block, *key.split("."))) and (shown := show(found))
    ]
    if block.get("needs_judge") and not block.get("judge"):
        lines.append(f"{name}: the published rule asks a judge model; official is its rule-only part")
    scorers = table(block, "scorers")
    lines += [
        f"{name}: by the rule of {_rule_name(key)} {_score(table(scorers, key))}"
        for key in scorers
        if key not in ("strict", "official", "judged")
    ]
    for scorer in scorers:
        if first := table(scorers, scorer, "first_roll"):
            share = percent(number(first, "value"))
            lines.append(f"{name}: {scorer} of the first roll alone, which is pass@1: {share}")
    for key, found in table(scorers, "strict", "scores").items():
        value = number(found, "value")
        if value is not None:
            lines.append(f"{name}: {key} {_figure(value)} by strict{_official_score(block, key)}")
    known = table(block, "contamination")
    if known.get("recorded") and (line := overlap_line(known, name)):
        lines.append(f"warning: {line}")
    return lines


def _rule_name(scorer: str) -> str:
    harness = scorer.removesuffix("_judged")
    return f"{harness} with the judge" if harness != scorer else f"{harness}, no judge"


def _figure(value: float) -> str:
    """Counts and points without decimals, shares with three."""
    return f"{value:,.0f}" if value > 1 and value.is_integer() else f"{value:.3f}"


def _official_score(block: Row, key: str) -> str:
    value = number(table(block, "scorers", "official", "scores", key), "value")
    return "" if value is None else f", {_figure(value)} by official"


def print_comparison(compared: Mapping[str, Any], console: Console | None = None) -> None:
    """Print `comparison_table` to standard output."""
    (console or _console()).print(comparison_table(compared))
    for note in compared["notes"]:
        (console or _console()).print(Text(clean(note)))


def comparison_table(compared: Mapping[str, Any]) -> Table:
    """One line a benchmark: both accuracies, the paired difference with its interval, the exact test."""
    title = (
        f"{compared['second']} minus {compared['first']}: {compared['scorer']} score in %, paired by problem"
    )
    grid = Table(
        title=clean(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False
    )
    grid.add_column("benchmark")  # the one that gives way where the terminal is narrow
    headings = ("n", "first", "sec-\nond", "dif-\nference", "95%", "first\nbetter", "second\nbetter", "p")
    for heading in headings:
        grid.add_column(heading, justify="right", no_wrap=True)
    for name, row in compared["benchmarks"].items():
        grid.add_row(
            clean(name),
            whole(row["n"]),
            _bare(row["first"]),
            _bare(row["second"]),
            points(row["difference"]),
            " to ".join(points(end) for end in row["ci95"]),
            str(row["first_better"]),
            str(row["second_better"]),
            f"{row['p_value']:.4f}",
        )
    return grid
