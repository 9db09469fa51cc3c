"""A construction's summary as lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vision_r1.report.clean import clean


def summary_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """What was kept, why the rest was not, and what it took."""
    rate = summary["keep_rate"]
    low, high = (100 * end for end in rate["ci95"])
    yield (
        f"kept {summary['kept']:,} of {summary['n']:,} rows "
        f"({100 * (rate['share'] or 0):.1f}%, 95% {low:.1f}-{high:.1f})"
    )
    problems = summary["problems_kept"]
    yield f"problems with a row: {problems['count']:,} of {problems['n']:,}"
    for reason, count in summary["reasons"].items():
        yield f"  {clean(str(reason)):<24} {count:>9,}"
    if scaled := summary["scaled_images"]["images"]:
        yield f"images scaled down before they were sent: {scaled:,} (see image_sizes in the rows)"
    if shared := summary["shared_images"]["images"]:
        yield f"images that several kept problems show: {shared:,}"
    if summary["ledger"]:
        yield "in the log, of all settings so far:"
    for step in summary["ledger"]:
        yield (
            f"  {clean(step['step']):<12} {clean(step['model'])}: {step['replies']:,} replies, "
            f"{step['prompt_tokens']:,} + {step['completion_tokens']:,} tokens, cost {step['cost']:.2f}"
        )
    if summary.get("tokens_estimated"):
        count = summary["tokens_estimated"]
        yield f"{count:,} rows have an estimated length: the reasoner's endpoint counts no tokens"
    if summary.get("quarantined"):
        count = summary["quarantined"]
        yield f"{count:,} requests brought no answer: see quarantine.jsonl in its folder; run again to ask"


def projection_lines(projection: Mapping[str, Any]) -> Iterator[str]:
    """What the whole set will come to."""
    kept = projection["kept"]
    low, high = (end * projection["problems"] for end in kept["ci95"])
    hours = projection["hours"]
    yield f"the whole set: {projection['problems']:,} problems, if it is like these {projection['sample']:,}"
    with_row = round((kept["share"] or 0) * projection["problems"])
    yield f"  problems with a row  {with_row:,} (95% {low:,.0f}-{high:,.0f})"
    yield f"  rows                 {projection['rows']:,}"
    yield f"  requests             {projection['requests']:,}"
    yield f"  tokens               {projection['prompt_tokens']:,} + {projection['completion_tokens']:,}"
    yield f"  cost                 {projection['cost']:,.2f}"
    if projection["uncounted"]:
        share = f"{projection['uncounted']:.0%}" if projection["uncounted"] >= 0.005 else "<1%"
        yield f"  tokens and cost are too low: {share} of answers were not counted by their endpoint"
    at_least = f"at least {hours:,.2f}" if hours is not None else "unknown: all answers came from the log"
    yield f"  hours                {at_least}"


def join_lines(name: str, joined: Mapping[str, Any]) -> Iterator[str]:
    """What became of one published file."""
    yield f"{name}: {joined['joined']:,} of {joined['rows']:,} rows have their images"
    for folder, count in joined["misses"].items():
        yield f"  no image below {clean(str(folder))}: {count:,}"
    for fault, count in joined["faults"].items():
        yield f"  {clean(str(fault))}: {count:,}"


def mixture_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What every source gave."""
    yield f"{report['rows']:,} problems"
    for name, source in report["sources"].items():
        bad, near = sum(source["bad"].values()), sum(source["near"].values())
        twice = source["repeated"] + near
        yield (
            f"  {clean(name):<16} {source['drawn']:>7,} drawn of {source['problems']:,}; "
            f"set aside {bad:,}, repeated {twice:,}, in an evaluation set {source['left_out']:,}"
        )
