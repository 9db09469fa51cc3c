"""Curves as inline SVG that takes its colours from the page, so that one drawing fits light and dark.

Matplotlib draws in placeholder colours; each is then replaced by a CSS variable. Its writer escapes
all text, and what a browser does not need (XML head, metadata, style sheet) is taken out.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from vision_r1.report.clean import clean

# Placeholder colours of the drawing and what the page calls them; series colours first.
_COLOURS = {
    "#010101": "var(--s1)", "#020202": "var(--s2)", "#030303": "var(--s3)", "#040404": "var(--s4)",
    "#050505": "var(--s5)", "#0a0a0a": "var(--ink)", "#0b0b0b": "var(--muted)", "#0c0c0c": "var(--line)",
    "#0d0d0d": "var(--warn)",
}  # fmt: skip
_SERIES = list(_COLOURS)[:5]
_MUTED, _LINE, _WARN = "#0b0b0b", "#0c0c0c", "#0d0d0d"
_WIDTH, _HEIGHT, _DPI = 5.0, 2.9, 72  # inches at 72 px: SVG user units are CSS pixels
_MOST_POINTS = 300
_SMOOTH_FROM = 20

_STYLE = {
    "svg.fonttype": "none", "text.parse_math": False, "font.family": "sans-serif", "font.size": 12,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": _LINE, "axes.linewidth": 1.0,
    "xtick.color": _LINE, "ytick.color": _LINE, "xtick.labelcolor": _MUTED, "ytick.labelcolor": _MUTED,
    "axes.labelcolor": _MUTED, "axes.grid": True, "axes.grid.axis": "y", "grid.color": _LINE,
    "grid.linewidth": 0.8, "axes.axisbelow": True, "figure.facecolor": "none", "axes.facecolor": "none",
    "legend.frameon": False, "legend.labelcolor": _MUTED, "legend.fontsize": 11,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart.

    Attributes:
        name: for the legend.
        x: steps, rising.
        y: one value a step.
        colour: which of the five series colours, from 0.
        dots: draw a dot at every point and join them, without smoothing.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """A dashed horizontal line from one step to another, with a word at it (a cap, say)."""

    name: str
    start: float
    end: float
    y: float


def line_chart(
    curves: Sequence[Curve],
    *,
    title: str,
    share: bool = False,
    levels: Sequence[Level] = (),
    dividers: Sequence[float] = (),
    legend: bool = False,
    log: bool = False,
) -> Markup:
    """Curves over steps; long ones faint, with a running mean on top.

    Args:
        curves: lines to draw; empty ones are passed over.
        title: for screen readers; the page sets its own caption.
        share: values are shares, drawn on a 0-100% axis.
        levels: dashed lines.
        dividers: steps at which one stage ends and the next begins.
        legend: whether the names of the curves are shown.
        log: logarithmic value axis, for losses that fall by orders of magnitude.
    """
    with rc_context({**_STYLE, "svg.hashsalt": _salt(title)}):
        figure, axes = _axes()
        for curve in curves:
            _draw(axes, curve)
        for place in dividers:
            axes.axvline(place, color=_MUTED, linewidth=1, linestyle=(0, (1, 3)))
        for level in levels:
            _level(axes, level)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if log:
            _log_axis(axes)
        else:
            _value_axis(axes, share)
        if legend and any(curve.x for curve in curves):
            axes.legend(loc="best", handlelength=1.4, borderaxespad=0.2)
        return _svg(figure, title)


def bucket_chart(
    names: Sequence[str], shares: Sequence[float], accuracies: Sequence[float | None], title: str
) -> Markup:
    """Bars of the share of completions in each length bucket, and dots of their accuracy."""
    with rc_context({**_STYLE, "svg.hashsalt": _salt(title)}):
        figure, axes = _axes()
        places = list(range(len(names)))
        axes.bar(places, shares, width=0.72, color=_SERIES[0], alpha=0.28, linewidth=0)
        known = [(x, y) for x, y in zip(places, accuracies, strict=True) if y is not None]
        axes.plot(
            [x for x, _ in known],
            [y for _, y in known],
            color=_SERIES[4],
            linewidth=1.8,
            marker="o",
            markersize=5,
        )
        axes.set_xticks(places, [clean(name) for name in names])
        axes.tick_params(axis="x", length=0, labelsize=11 if len(names) <= 6 else 9)
        axes.set_xlim(-0.6, max(len(names), 4) - 0.4)
        _value_axis(axes, share=True)
        return _svg(figure, title)


def _salt(title: str) -> str:
    """Ids inside a drawing derive from this; two drawings of one page must not share any."""
    return hashlib.sha256(title.encode("utf-8", "replace")).hexdigest()


def _axes() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, _HEIGHT), dpi=_DPI)
    FigureCanvasSVG(figure)
    axes = figure.add_axes((0.115, 0.11, 0.87, 0.855))
    axes.tick_params(length=3, pad=4)
    return figure, axes


def _draw(axes: Axes, curve: Curve) -> None:
    if not curve.x:
        return
    colour = _SERIES[curve.colour % len(_SERIES)]
    x, y = thin(curve.x, curve.y)
    if curve.dots or len(x) < _SMOOTH_FROM:
        size = 4 if len(x) <= 40 else 0
        axes.plot(x, y, color=colour, linewidth=1.8, marker="o", markersize=size, label=_legend_name(curve))
        return
    axes.plot(x, y, color=colour, linewidth=1, alpha=0.3)
    axes.plot(x, running_mean(y, max(5, len(y) // 15)), color=colour, linewidth=2, label=_legend_name(curve))


def _legend_name(curve: Curve) -> str:
    """Matplotlib leaves names that start with an underscore out of a legend."""
    return clean(curve.name).lstrip("_") or "–"


def _level(axes: Axes, level: Level) -> None:
    axes.plot([level.start, level.end], [level.y, level.y], color=_WARN, linewidth=1.3, linestyle=(0, (5, 3)))
    axes.annotate(
        clean(level.name), (level.end, level.y), xytext=(-2, 4), textcoords="offset points", ha="right",
        color=_WARN, fontsize=11,
    )  # fmt: skip


def _value_axis(axes: Axes, share: bool) -> None:
    if share:
        axes.set_ylim(-0.02, 1.02)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}%"))
        return
    low, high = axes.get_ylim()
    axes.set_ylim(min(0.0, low), high + 0.08 * (high - min(0.0, low)))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _log_axis(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_tick_params(which="minor", length=0)


def thin(x: Sequence[float], y: Sequence[float], most: int = _MOST_POINTS) -> tuple[list[float], list[float]]:
    """At most `most` points: means of equal runs of neighbours."""
    if len(x) <= most:
        return list(x), list(y)
    size = -(-len(x) // most)
    runs = range(0, len(x), size)
    mean = [
        (sum(x[i : i + size]) / len(x[i : i + size]), sum(y[i : i + size]) / len(y[i : i + size]))
        for i in runs
    ]
    return [a for a, _ in mean], [b for _, b in mean]


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """The mean over `window` values around each, fewer at the ends."""
    half = window // 2
    spans = [values[max(0, i - half) : i + half + 1] for i in range(len(values))]
    return [sum(span) / len(span) for span in spans]


def _svg(figure: Figure, title: str) -> Markup:
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # The reader's fonts draw the text, so glyphs that Matplotlib's own font lacks do not matter.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'<style type="text/css">.*?</style>', "", body, flags=re.DOTALL)
    body = re.sub(r"\n\s*", "\n", body).replace("xlink:href", "href")
    # Ids that nothing points at would stand on the page once a chart.
    wanted = set(re.findall(r'(?:href="|url\()#([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in wanted else "", body)
    for placeholder, variable in _COLOURS.items():
        body = body.replace(placeholder, variable)
    width, height = _WIDTH * _DPI, _HEIGHT * _DPI
    head = f'<svg role="img" aria-label="{escape(clean(title))}" viewBox="0 0 {width:g} {height:g}">'
    return Markup(head + body)  # noqa: S704  (matplotlib escapes all text of its drawings)
