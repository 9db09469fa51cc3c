"""What a construction did, counted row by row, so that no more than one row is in memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vision_r1.analysis.intervals import share_of
from vision_r1.analysis.reflection import WORDS, reflection_counts
from vision_r1.construct.processes import processes
from vision_r1.construct.record import Record
from vision_r1.construct.row_files import count_rows, read_rows
from vision_r1.construct.summary import length_quantiles

EXAMPLES = 3
_MANY = 20_000  # rows, from which on a process of its own is worth its start


@dataclass(slots=True)
class Tally:
    """Counts over rows.

    Attributes:
        n, kept, answered, rewritten: rows; those kept; those that a reasoner answered; kept ones whose
            thought was rewritten.
        problems, solved: problems, and those with a kept row.
        scaled: images that the MLLM got smaller than their set has them, and rows with one.
        shown: how many problems with a kept row show each image.
    """

    n: int = 0
    kept: int = 0
    answered: int = 0
    rewritten: int = 0
    problems: int = 0
    solved: int = 0
    scaled: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    _problem: str = ""
    _solved: str = ""
    reasons: Counter[str] = field(default_factory=Counter)
    fired: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    by_source: dict[str, Counter[str]] = field(default_factory=dict)
    words: dict[str, Counter[str]] = field(default_factory=lambda: {"before": Counter(), "after": Counter()})
    lengths: dict[str, array[int]] = field(
        default_factory=lambda: {"before": array("l"), "after": array("l")}
    )
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, row: Record) -> None:
        """Count one row; rows of one problem come one after the other."""
        self.n += 1
        if row.problem != self._problem:
            self.problems, self._problem = self.problems + 1, row.problem
        if row.kept and row.problem != self._solved:
            self.solved, self._solved = self.solved + 1, row.problem
            self.shown.update(set(row.images))
        scaled = sum(size is not None and size.scaled for size in row.image_sizes)
        self.scaled.update(images=scaled, rows=int(scaled > 0))
        self.kept += row.kept
        self.rewritten += row.kept and row.rewritten
        source = self.by_source.setdefault(row.source, Counter())
        source["rows"] += 1
        source["kept"] += row.kept
        if row.verdict:
            self.verdicts[row.verdict] += 1
        if row.kept:
            self._text("after", row.final_text, row.tokens)
        else:
            self.reasons[row.reason] += 1
            self.fired.update(set(row.fired))
        if row.thought or row.reply:
            self.answered += 1
            self._text("before", row.thought, row.tokens)
        examples = self.examples.setdefault(row.reason, [])
        if len(examples) < EXAMPLES:
            examples.append(row.id)

    def _text(self, when: str, text: str, tokens: int) -> None:
        self.words[when].update(reflection_counts([text]))
        self.lengths[when].append(tokens)

    def _shared(self) -> dict[str, int]:
        """Images that several problems with kept rows show, and how often they are shown by those."""
        several = [count for count in self.shown.values() if count > 1]
        return {"images": len(several), "shown": sum(several)}

    def summary(self) -> dict[str, Any]:
        """Plain data for summary.json."""
        return {
            "n": self.n,
            "answered": self.answered,
            "kept": self.kept,
            "keep_rate": share_of(self.kept, self.n),
            "problems": self.problems,
            "problems_kept": share_of(self.solved, self.problems),
            "rewritten": self.rewritten,
            "reasons": dict(self.reasons.most_common()),
            "fired": dict(self.fired.most_common()),
            "verdicts": dict(self.verdicts.most_common()),
            "sources": {name: dict(counts) for name, counts in sorted(self.by_source.items())},
            "reflection_words": {
                when: {word: self.words[when][word] for word in WORDS} for when in ("before", "after")
            },
            "tokens": {when: length_quantiles(self.lengths[when]) for when in ("before", "after")},
            "scaled_images": {name: self.scaled[name] for name in ("images", "rows")},
            "shared_images": self._shared(),
            "examples": dict(sorted(self.examples.items())),
        }


@contextmanager
def counted(folder: Path) -> Iterator[Callable[[], Tally]]:
    """What gives the tally of a folder of rows; many are counted in a process beside this one meanwhile."""
    if count_rows(folder) < _MANY:
        yield lambda: _count(folder)
        return
    with processes(1, "counts rows") as pool:
        yield pool.submit(_count, folder).result


def _count(folder: Path) -> Tally:
    tally = Tally()
    for row in read_rows(folder):
        tally.add(row)
    return tally
