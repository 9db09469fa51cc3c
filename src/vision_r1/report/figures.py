"""Numbers as people read them, the names of variants, and differences with their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vision_r1.report.read import Row, number

NONE = "–"
BASES = ("base", "base_think")
COLD_START = "cold_start"
FINAL = "vision_r1"
ORDER = (*BASES, COLD_START, "ptst_1", "ptst_2", FINAL)
LABELS = {
    "base": "Base, direct",
    "base_think": "Base, asked to think",
    COLD_START: "Cold start",
    FINAL: "Vision-R1",
}


def label(variant: str) -> str:
    """A variant's name in words."""
    if variant in LABELS:
        return LABELS[variant]
    stem, _, count = variant.partition("_")
    return f"PTST stage {count}" if stem == "ptst" and count.isdigit() else variant.replace("_", " ")


def in_order(variants: Mapping[str, object]) -> list[str]:
    """Variants in the order of the method; unknown ones last."""
    rank = {name: place for place, name in enumerate(ORDER)}
    return sorted(variants, key=lambda name: rank.get(name, len(rank)))


def better_base(variants: Mapping[str, Row]) -> str | None:
    """The base variant with the higher accuracy."""
    known = [name for name in BASES if number(variants.get(name), "accuracy") is not None]
    return max(known, key=lambda name: number(variants[name], "accuracy") or 0.0, default=None)


def percent(value: float | None, digits: int = 1) -> str:
    """0.6123 as "61.2%"."""
    return NONE if value is None else f"{100 * value:.{digits}f}%"


def points(value: float | None) -> str:
    """0.123 as "+12.3" percentage points."""
    return NONE if value is None else f"{100 * value:+.1f}".replace("-", "−")


def span(pair: tuple[float, float] | None) -> str:
    """(0.58, 0.64) as "58.0–64.0"."""
    return NONE if pair is None else f"{100 * pair[0]:.1f}–{100 * pair[1]:.1f}"


def margin(value: float | None, pair: tuple[float, float] | None) -> str:
    """How far an interval reaches from the figure at most, in points: "±3.1"; near 0 it is one-sided."""
    if value is None or pair is None:
        return ""
    return f"±{100 * max(pair[1] - value, value - pair[0]):.1f}"


def whole(value: float | None) -> str:
    """1234.4 as "1,234"."""
    return NONE if value is None else f"{value:,.0f}"


def decimal(value: float | None, digits: int = 2) -> str:
    """A plain number; very small ones in scientific notation."""
    if value is None:
        return NONE
    small = value != 0 and abs(value) < 10**-digits
    return f"{value:.1e}" if small else f"{value:,.{digits}f}"


def duration(seconds: float | None) -> str:
    """75.2 as "1 min 15 s"."""
    if seconds is None:
        return NONE
    total = max(0, round(seconds))
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"


@dataclass(frozen=True, slots=True)
class Gain:
    """A difference of two accuracies on the same problems, with its paired 95% interval where known."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def points(self) -> str:
        """For example "+12.3"."""
        return points(self.value)

    @property
    def span(self) -> str:
        """For example "+8.1 to +16.5"; empty where no interval is known."""
        return "" if self.low is None else f"{points(self.low)} to {points(self.high)}"

    @property
    def text(self) -> str:
        """For example "+12.3 (+8.1 to +16.5)"."""
        return f"{self.points} ({self.span})" if self.span else self.points


def paired_gain(before: Sequence[bool], after: Sequence[bool]) -> Gain:
    """Mean of the per-problem differences with the normal 95% interval of a paired mean.

    Args:
        before: whether each problem was right, one variant.
        after: the same problems in the same order, another variant; at least one.
    """
    differences = [int(b) - int(a) for a, b in zip(before, after, strict=True)]
    count = len(differences)
    mean = sum(differences) / count
    variance = sum((d - mean) ** 2 for d in differences) / max(count - 1, 1)
    half = 1.96 * math.sqrt(variance / count)
    return Gain(mean, mean - half, mean + half)


def gain(
    variants: Mapping[str, Row], traces: Mapping[str, Mapping[str, Row]], before: str | None, after: str
) -> Gain | None:
    """Accuracy of `after` less that of `before`; paired over common problems if traces hold all of them."""
    if before is None or before == after:
        return None
    low, high = number(variants.get(before), "accuracy"), number(variants.get(after), "accuracy")
    if low is None or high is None:
        return None
    ours, theirs = traces.get(after, {}), traces.get(before, {})
    count = number(variants[after], "n")
    if not ours or ours.keys() != theirs.keys() or count != len(ours):
        return Gain(high - low)
    return paired_gain(
        [theirs[key].get("correct") is True for key in ours],
        [ours[key].get("correct") is True for key in ours],
    )
