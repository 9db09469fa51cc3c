"""The page's score sections: headline, variants, families, length buckets, image use, generalisation."""

from __future__ import annotations

from typing import Any

from vision_r1.report.charts import bucket_chart
from vision_r1.report.figures import (
    COLD_START,
    FINAL,
    better_base,
    decimal,
    gain,
    in_order,
    label,
    margin,
    percent,
    span,
    whole,
)
from vision_r1.report.read import Row, RunRecord, interval, number, table

View = dict[str, Any]


def variants_of(run: RunRecord) -> dict[str, Row]:
    """The measured variants, in the order of the method."""
    variants = {name: row for name, row in table(run.results, "variants").items() if isinstance(row, dict)}
    return {name: variants[name] for name in in_order(variants)}


def headline(run: RunRecord) -> View | None:
    """Bars with intervals for every variant, and the three scores that tell the story."""
    variants = variants_of(run)
    if not variants:
        return None
    bars = [_bar(name, row) for name, row in variants.items() if number(row, "accuracy") is not None]
    base = better_base(variants)
    story = [name for name in (base, COLD_START, FINAL) if name in variants]
    return {
        "bars": bars,
        "story": [bar for name in story for bar in bars if bar["name"] == name],
        "n": whole(next((number(row, "n") for row in variants.values() if number(row, "n")), None)),
        "over_base": gain(variants, run.traces, base, FINAL) if FINAL in variants else None,
        "over_cold": gain(variants, run.traces, COLD_START, FINAL) if FINAL in variants else None,
        "base_label": label(base) if base else "",
    }


def _bar(name: str, row: Row) -> View:
    accuracy = min(1.0, max(0.0, number(row, "accuracy") or 0.0))
    pair = interval(row)
    low, high = (max(0.0, pair[0]), min(1.0, pair[1])) if pair else (accuracy, accuracy)
    return {
        "name": name, "label": label(name), "percent": percent(accuracy), "margin": margin(accuracy, pair),
        "span": span(pair), "width": f"{100 * accuracy:.2f}", "low": f"{100 * low:.2f}",
        "wide": f"{100 * max(0.0, high - low):.2f}", "final": name == FINAL,
    }  # fmt: skip


def variant_table(run: RunRecord) -> View | None:
    """Every greedy and sampled figure of every variant."""
    variants = variants_of(run)
    if not variants:
        return None
    base = better_base(variants)
    rows = [_variant_row(run, variants, name, base) for name in variants]
    sampled = next((number(row, "sampled_n") for row in variants.values() if number(row, "sampled_n")), None)
    return {"rows": rows, "sampled_n": whole(sampled), "base_label": label(base) if base else "the base"}


def _variant_row(run: RunRecord, variants: dict[str, Row], name: str, base: str | None) -> View:
    row = variants[name]
    over_base = gain(variants, run.traces, base, name)
    over_cold = gain(variants, run.traces, COLD_START, name)
    return {
        "name": name, "label": label(name), "final": name == FINAL,
        "accuracy": percent(number(row, "accuracy")), "ci": span(interval(row)),
        "pass_1": percent(number(row, "pass_at_1_sampled")), "pass_8": percent(number(row, "pass_at_8")),
        "pass_8_ci": span(interval(row, "pass_at_8_ci95")), "format": percent(number(row, "format_rate")),
        "truncation": percent(number(row, "truncation_rate")),
        "finished": percent(number(row, "accuracy_finished")),
        "tokens": decimal(number(row, "mean_tokens"), 1), "n": whole(number(row, "n")),
        "over_base": over_base, "over_cold": over_cold,
    }  # fmt: skip


def family_table(run: RunRecord) -> View | None:
    """Accuracy by question family: one row a family, one column a variant."""
    variants = variants_of(run)
    families: dict[str, float] = {}
    for row in variants.values():
        for family in table(row, "by_family"):
            families.setdefault(family, number(row, "by_family", family, "n") or 0)
    if not families:
        return None
    rows = [
        {
            "family": family.replace("_", " "),
            "n": whole(n),
            "cells": [_heat(v, family) for v in variants.values()],
        }
        for family, n in families.items()
    ]
    return {"columns": [label(name) for name in variants], "rows": rows}


def _heat(variant: Row, family: str) -> View:
    value = number(variant, "by_family", family, "accuracy")
    return {"text": percent(value), "heat": f"{45 * min(1.0, max(0.0, value or 0.0)):.0f}"}


def length_charts(run: RunRecord) -> View | None:
    """Share and accuracy by completion length, one chart a variant (the paper's overthinking)."""
    charts = []
    for name, row in variants_of(run).items():
        given = row.get("by_length")
        buckets = [b for b in given if isinstance(b, dict)] if isinstance(given, list) else []
        if not buckets:
            continue
        names = [_bucket(b) for b in buckets]
        shares = [number(b, "share") or 0.0 for b in buckets]
        accuracies = [number(b, "accuracy") for b in buckets]
        rows = [
            {"name": n, "share": percent(s), "accuracy": percent(a)}
            for n, s, a in zip(names, shares, accuracies, strict=True)
        ]
        chart = bucket_chart(names, shares, accuracies, f"{label(name)}: share and accuracy by length")
        charts.append({"label": label(name), "svg": chart, "rows": rows})
    return {"charts": charts} if charts else None


def _bucket(bucket: Row) -> str:
    low, high = number(bucket, "from"), number(bucket, "to")
    return f"{whole(low)}–{whole(high)}" if high is not None else f"{whole(low)}+"


def image_use(run: RunRecord) -> View | None:
    """What the final model answers without its image, with another one, and from the question alone."""
    found = table(run.results, "image_use")
    accuracy = number(table(run.results, "variants", FINAL), "accuracy")
    rows = []
    if accuracy is not None:
        final = table(run.results, "variants", FINAL)
        rows.append(
            _control(
                "The right image", "accuracy of Vision-R1", accuracy, interval(final), number(final, "n")
            )
        )
    if blank := table(found, "blank"):
        rows.append(
            _control(
                "Blank image", "accuracy", number(blank, "accuracy"), interval(blank), number(blank, "n")
            )
        )
    if none := table(found, "no_image"):
        rows.append(
            _control("No image", "accuracy", number(none, "accuracy"), interval(none), number(none, "n"))
        )
    if swapped := table(found, "swapped"):
        n = number(swapped, "n")
        follows = number(swapped, "follows_new")
        rows.append(
            _control("Another problem's image", "answers for the new image", follows, interval(swapped), n)
        )
        pair = interval(swapped, "keeps_old_ci95")
        rows.append(_control("", "keeps the old image's answer", number(swapped, "keeps_old"), pair, n))
    if alone := table(found, "question_only"):
        how = alone.get("how")
        what = f"accuracy ({how})" if isinstance(how, str) and how else "accuracy"
        rows.append(
            _control("Question only", what, number(alone, "accuracy"), interval(alone), number(alone, "n"))
        )
    if not found:
        return None
    alone_accuracy = number(found, "question_only", "accuracy")
    lead = accuracy - alone_accuracy if accuracy is not None and alone_accuracy is not None else None
    return {"rows": rows, "lead": None if lead is None else f"{100 * lead:+.1f}".replace("-", "−")}


def _control(
    name: str, what: str, value: float | None, pair: tuple[float, float] | None, n: float | None
) -> dict[str, str]:
    width = f"{100 * min(1.0, max(0.0, value or 0.0)):.2f}"
    return {
        "name": name,
        "what": what,
        "value": percent(value),
        "ci": span(pair),
        "n": whole(n),
        "width": width,
    }


_SETS = {
    "held_out_family": (
        "A family never trained on",
        "the same kind of pictures, a question that no training step saw",
    ),
    "larger": ("Larger pictures", "more numbers in a picture than in any training step"),
}


def generalisation(run: RunRecord) -> View | None:
    """Accuracy on what was held out of all training."""
    sets = []
    for key, rows in table(run.results, "generalisation").items():
        if not isinstance(rows, dict) or not rows:
            continue
        title, what = _SETS.get(key, (key.replace("_", " "), ""))
        bars = [_bar(name, table(rows, name)) for name in in_order(rows)]
        n = next((number(row, "n") for row in rows.values() if number(row, "n")), None)
        sets.append({"title": title, "what": what, "bars": bars, "n": whole(n)})
    return {"sets": sets} if sets else None
