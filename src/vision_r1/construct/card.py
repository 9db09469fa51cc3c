"""The dataset card of OUT/data: what it holds and how it came about, in counts."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#!|~&$:])")
_LONGEST_NAME = 80
_MOST_LINES = 50


@dataclass
class Counts:
    """What the card says, counted row by row.

    Attributes:
        rows: rows that were made, kept or not.
        kept: rows in the set.
        problems: problems of the kept rows.
        made: rows by source.
        kept_by_source: kept rows by source.
        rewritten: kept rows whose thought was rewritten.
        requests: (step, model, template) by number of kept rows that rest on them.
    """

    rows: int = 0
    kept: int = 0
    problems: int = 0
    rewritten: int = 0
    made: Counter[str] = field(default_factory=Counter)
    kept_by_source: Counter[str] = field(default_factory=Counter)
    requests: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _last_problem: str = ""

    def add(self, row: dict[str, Any]) -> None:
        """Count a row; rows come in the order of their ids, so those of a problem are neighbours."""
        self.rows += 1
        self.made[row["source"]] += 1
        if not row["kept"]:
            return
        self.kept += 1
        self.kept_by_source[row["source"]] += 1
        self.rewritten += row["rewritten"]
        self.problems += row["problem"] != self._last_problem
        self._last_problem = row["problem"]
        self.requests.update({(note["step"], note["model"], note["template"]) for note in row["requests"]})


def card(counts: Counts) -> str:
    """The text of README.md, with the front matter that `datasets` and the hub read."""
    made = [(source, counts.kept_by_source[source], n) for source, n in sorted(counts.made.items())]
    asked = [(*key, n) for key, n in sorted(counts.requests.items())]
    return "\n".join([
        "---",
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: train",
        "    path: train-*.parquet",
        "task_categories:",
        "- image-text-to-text",
        "---",
        "",
        "# Reasoning about images, built by modality bridging",
        "",
        f"{counts.kept:,} rows of {counts.problems:,} problems; {counts.rows:,} rows were made, and those",
        f"that a filter dropped are not here. The thought of {counts.rewritten:,} rows was rewritten to",
        "speak of the image.",
        "",
        "`images` and `question` are what is asked (one `<image>` mark an image), `response` is what is",
        "to be learned, `answer` the gold answer. `caption`, `pseudo_cot` and `description` are the steps",
        "on the way, `requests` names the models, prompts and log entries that the row rests on, and",
        "`extracted`, `verdict` and `fired` what the filter saw. Questions and images keep the licences",
        "of their sources.",
        "",
        *_table(("source", "rows", "made"), made),
        "",
        *_table(("step", "model", "prompt", "rows"), asked),
        "",
    ])  # fmt: skip


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    lines = [f"| {' | '.join(map(_cell, row))} |" for row in rows[:_MOST_LINES]]
    more = [f"| {len(rows) - _MOST_LINES:,} more{' |' * len(head)}"] if len(rows) > _MOST_LINES else []
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines, *more]


def _cell(value: str | int) -> str:
    """A name from outside as plain text: it may hold markup."""
    if isinstance(value, int):
        return f"{value:,}"
    printable = "".join(character if character.isprintable() else " " for character in value)
    return _MARKUP.sub(r"\\\1", " ".join(printable.split())[:_LONGEST_NAME])
