"""The terminal: progress bars (plain lines where there is no terminal) and tables of results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from vision_r1.report.clean import clean
from vision_r1.report.figures import (
    COLD_START,
    FINAL,
    NONE,
    better_base,
    decimal,
    duration,
    in_order,
    label,
    margin,
    percent,
    points,
    span,
    whole,
)
from vision_r1.report.read import Row, interval, number, table

PLAIN_SECONDS = 10.0

# How a field that long work reports is called, and whether it is a share; others show as they are named.
_FIELDS: dict[str, tuple[str, bool]] = {
    "reward": ("reward", False),
    "mean_tokens": ("tokens", False),
    "length": ("tokens", False),
    "truncation_rate": ("truncated", True),
    "truncation": ("truncated", True),
    "errors": ("not answered", True),
    "zero_variance_share": ("zero variance", True),
    "zero_variance": ("zero variance", True),
    "format_rate": ("format", True),
    "accuracy": ("accuracy", True),
    "val_loss": ("val loss", False),
}
_COUNTS = ("answered", "from_log", "failed", "in_flight")


def field_line(fields: Mapping[str, float]) -> str:
    """Fields as one line: "reward 0.43 · tokens 44.1 · truncated 3% · zero variance 21%"."""
    parts = []
    for key, value in fields.items():
        name, share = _FIELDS.get(key, (key.replace("_", " "), False))
        digits = 1 if name == "tokens" else 3 if "loss" in name else 2
        shown = number(value)
        if key in _COUNTS:
            parts.append(f"{name} {whole(shown)}")
            continue
        parts.append(f"{name} {percent(shown, 0) if share else decimal(shown, digits)}")
    return " · ".join(parts)


class _TwoLineBar(Progress):
    """Rich's bar with the stage's fields on a line below it, so that neither is squeezed."""

    below = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar, then the fields."""
        yield from super().get_renderables()
        if self.below:
            yield Text(f"  {self.below}", style="dim", no_wrap=True, overflow="ellipsis")


class RichProgress:
    """A `core.progress.Progress` for people: stage, step, elapsed, time left, and how training goes.

    In a terminal it is a bar; elsewhere (a log of CI) a plain line every 10 seconds and one at the end.

    Args:
        console: where to write; standard error by default, so that output can be piped.
        clock: seconds, for tests.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._bar: _TwoLineBar | None = None
        self._task = TaskID(0)
        self._stage, self._unit = "", "step"
        self._total = self._done = 0
        self._started = self._shown = 0.0
        self._first: tuple[int, float] | None = None
        self._fields: dict[str, float] = {}
        self._open = False

    def __enter__(self) -> RichProgress:
        """The progress itself; leaving the block gives the terminal back, also after an error."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close what is open; after an error nothing is called done."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        elif self._open and kind is None:
            self.finish()
        self._open = False

    def start(self, stage: str, total: int, unit: str = "step") -> None:
        """Begin `stage`; one that is still open is finished first."""
        self.finish()
        self._stage, self._unit, self._total, self._done = clean(stage), clean(unit), total, 0
        self._started = self._shown = self._clock()
        self._first, self._fields, self._open = None, {}, True
        if self._console.is_terminal:
            self._start_bar()
        else:
            self._print(f"{self._stage}: {total:,} {self._unit}s to go")

    def _start_bar(self) -> None:
        self._bar = _TwoLineBar(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn(self._unit + "s", style="dim", markup=False),
            TimeElapsedColumn(),
            TextColumn("left", style="dim"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            expand=True,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task(self._stage, total=self._total)
        self._bar.start()

    def advance(self, done: int, **fields: float) -> None:
        """`done` units are finished; fields that are not given again keep their last value."""
        if not self._open:
            return
        now = self._clock()
        if self._first is None:
            # A continued stage starts in the middle: its speed is judged from here on.
            self._first = (done, now) if done > 1 else (0, self._started)
        self._done = done
        self._fields.update(fields)
        if self._bar is not None:
            self._bar.below = field_line(self._fields)
            self._bar.update(self._task, completed=done)
        elif now - self._shown >= PLAIN_SECONDS:
            self._shown = now
            self._print(self.line())

    def finish(self) -> None:
        """End the stage; its last line stays."""
        if not self._open:
            return
        self._open = False
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        else:
            self._print(f"{self.line()} -- done")

    def say(self, text: str) -> None:
        """Print one line that stays, above a running bar."""
        self._print(text)

    def line(self) -> str:
        """The current state as one plain line."""
        now = self._clock()
        share = f" ({self._done / self._total:.0%})" if self._total else ""
        parts = [
            f"{self._stage}: {self._unit} {self._done:,}/{self._total:,}{share}",
            duration(now - self._started),
        ]
        left = self._seconds_left(now)
        if left is not None:
            parts.append(f"{duration(left)} left")
        if self._fields:
            parts.append(field_line(self._fields))
        return " · ".join(parts)

    def _seconds_left(self, now: float) -> float | None:
        if self._first is None or not self._open or self._done <= self._first[0]:
            return None
        pace = (now - self._first[1]) / (self._done - self._first[0])
        return max(0, self._total - self._done) * pace

    def _print(self, text: str) -> None:
        target = self._bar.console if self._bar is not None else self._console
        target.print(Text(clean(text)), soft_wrap=True)


def results_table(results: dict[str, Any]) -> Group:
    """Tables of a `results.json`: variants, image use, generalisation, seconds; absent parts are left out."""
    variants = {name: row for name, row in table(results, "variants").items() if isinstance(row, dict)}
    parts: list[RenderableType] = [_variant_table(variants)] if variants else []
    parts += [Text(line) for line in _image_lines(table(results, "image_use"))]
    if held_out := table(results, "generalisation"):
        parts.append(_generalisation_table(held_out))
    if seconds := table(results, "seconds"):
        spent = [f"{clean(name)} {duration(number(value))}" for name, value in seconds.items()]
        total = sum(number(value) or 0.0 for value in seconds.values())
        parts.append(Text(f"Time: {', '.join(spent)}; {duration(total)} in all"))
    return Group(*parts) if parts else Group(Text("no results yet"))


def print_results(results: dict[str, Any], console: Console | None = None) -> None:
    """Print `results_table` to standard output."""
    (console or Console()).print(results_table(results))


def print_variant(name: str, block: Row, console: Console | None = None) -> None:
    """Print the figures of one evaluated model."""
    (console or Console()).print(_variant_table({name: block}))


def _variant_table(variants: Mapping[str, Row]) -> Table:
    # Narrow on purpose: it must stand in a terminal of 80 columns.
    grid = Table(
        title="Greedy accuracy on held-out problems, 95% intervals",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    grid.add_column("variant", min_width=20)
    for name in ("accuracy", "pass@8", "format", "cut off", "tokens", "over\nbase", "over\ncold"):
        grid.add_column(name, justify="right", no_wrap=True)
    base = number(variants.get(better_base(variants) or ""), "accuracy")
    cold = number(variants.get(COLD_START), "accuracy")
    for name in in_order(variants):
        row = variants[name]
        accuracy = number(row, "accuracy")
        grid.add_row(
            Text(clean(label(name))),
            f"{percent(accuracy)} {margin(accuracy, interval(row))}".strip(),
            percent(number(row, "pass_at_8")),
            percent(number(row, "format_rate")),
            percent(number(row, "truncation_rate")),
            whole(number(row, "mean_tokens")),
            points(accuracy - base if accuracy is not None and base is not None else None),
            points(accuracy - cold if accuracy is not None and cold is not None else None),
            style="bold" if name == FINAL else None,
        )
    return grid


def _image_lines(found: Row) -> list[str]:
    lines = []
    if blank := table(found, "blank"):
        lines.append(f"Blank image: {percent(number(blank, 'accuracy'))} right")
    if swapped := table(found, "swapped"):
        follows, keeps = number(swapped, "follows_new"), number(swapped, "keeps_old")
        lines.append(
            f"Swapped image: {percent(follows)} follow the new image, {percent(keeps)} keep the old answer"
        )
    if alone := table(found, "question_only"):
        accuracy, pair = number(alone, "accuracy"), interval(alone)
        lines.append(f"Question only: {percent(accuracy)} right ({span(pair)})")
    return lines


def _generalisation_table(held_out: Row) -> Table:
    sets = [name for name, rows in held_out.items() if isinstance(rows, dict)]
    grid = Table(title="Generalisation: held out of all training", title_justify="left")
    grid.add_column("variant")
    for name in sets:
        count = next((number(row, "n") for row in table(held_out, name).values()), None)
        grid.add_column(Text(f"{clean(name.replace('_', ' '))} (n={whole(count)})"), justify="right")
    seen = {variant: None for name in sets for variant in table(held_out, name)}
    for variant in in_order(seen):
        cells = [table(held_out, name, variant) for name in sets]
        shares = [(number(cell, "accuracy"), interval(cell)) for cell in cells]
        shown = [f"{percent(share)} {margin(share, pair)}".strip() for share, pair in shares]
        grid.add_row(Text(clean(label(variant))), *shown)
    return grid


def print_study(rows: Sequence[Mapping[str, Any]], console: Console | None = None) -> None:
    """Print the arms of a study beside what the final model has over each, paired by problem."""
    table = Table(title="Control arms (accuracy, %), and what the final model has over each, with 95%")
    sampled = "sampled, families alike: final - arm"
    for heading in ("arm", "steps", "seconds", "n", "greedy", "final - arm", "n", sampled):
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    for row in rows:
        table.add_row(
            str(row["arm"]),
            str(row["steps"]),
            f"{row['seconds']:.0f}",
            str(row["n"]),
            "{:.1f} ({:.1f} to {:.1f})".format(*(100 * x for x in (row["accuracy"], *row["ci95"]))),
            _paired(row["final_minus_arm"]),
            str(row.get("final_minus_arm_sampled", {}).get("n", NONE)),
            _paired(row.get("final_minus_arm_sampled")),
        )
    (console or Console()).print(table)


def _paired(compared: Mapping[str, Any] | None) -> str:
    """`+6.1 (2.0 to 10.2)`, in points."""
    if compared is None:
        return NONE
    return "{:+.1f} ({:+.1f} to {:+.1f})".format(
        *(100 * x for x in (compared["difference"], *compared["ci95"]))
    )
