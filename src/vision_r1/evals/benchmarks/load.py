"""Rows of a benchmark -> items, with every row that cannot be used or scored listed by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Literal

from vision_r1.core.errors import InputError
from vision_r1.core.files import is_folder
from vision_r1.core.progress import Progress, Silent
from vision_r1.evals.benchmarks.benchmark import Benchmark, Item, RowFault, RowReader, Source
from vision_r1.problems.config import DEFAULT_MAX_PIXELS
from vision_r1.problems.image_checks import image_fault
from vision_r1.problems.images import FileImage
from vision_r1.problems.problem import Media
from vision_r1.problems.tables import Row, column_names, read_dataset, read_table

ROWS = "problems.jsonl"
# Between them the published rules read these: bare, in brackets, stated, boxed.
GOLD_FORMS = ("{}", "({})", "The answer is {}.", "\\boxed{{{}}}", "Answer: {}")
_JSON_FORM = '{{"short answer": "{}"}}'  # what DynaMath asks for
_DATASET_MARKS = ("dataset_dict.json", "state.json")


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that cannot be asked, or whose score needs a second look.

    Attributes:
        kind: "unusable" rows are not asked and count as wrong; "gold" rows are asked although their
            own gold is not graded as right; "noted" rows are asked and scored.
        id: of the problem; empty where the row has none.
        where: file and row.
        reason: one line.
    """

    kind: Literal["unusable", "gold", "noted"]
    id: str
    where: str
    reason: str

    def plain(self) -> dict[str, str]:
        """As results are written."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A benchmark's rows.

    Attributes:
        items: what is asked.
        faults: what is odd, in the order of the rows.
        source: the folder or hub id that was read.
    """

    items: tuple[Item, ...]
    faults: tuple[Fault, ...]
    source: str

    @property
    def rows(self) -> int:
        """How many rows there were, the unusable ones included."""
        return len(self.items) + self.unusable

    @property
    def unusable(self) -> int:
        """Rows that are not asked."""
        return sum(fault.kind == "unusable" for fault in self.faults)


def load_benchmark(
    benchmark: Benchmark,
    folder: Path | None = None,
    *,
    limit: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
) -> Loaded:
    """Read, check and self-grade the rows of a benchmark.

    Every image is decoded once, and every gold is graded against itself, by the strict grader and by
    the benchmark's own rule.

    Args:
        benchmark: which.
        folder: a local copy: a saved data set, parquet, `problems.jsonl`, or the original release's
            files. None loads it from the hub.
        limit: the first so many usable rows, and the rest of their groups.
        max_pixels: larger images make a row unusable.
        progress: told how many rows are read.

    Raises:
        InputError: no such folder or data set, no table in it, or more than half of its rows unusable.
    """
    rows, root = _rows(benchmark.source, folder)
    source = str(folder) if folder is not None else benchmark.source.hub
    _refuse_other(benchmark, rows, source)
    reading = _Reading(benchmark, root, max_pixels, limit)
    shown = progress or Silent()
    shown.start(f"read {benchmark.name}", len(rows), "row")
    for number, row in enumerate(rows, start=1):
        reading.take(row)
        shown.advance(number)
    shown.finish()
    result = Loaded(tuple(reading.items), tuple(reading.faults), source)
    _refuse_broken(benchmark, result)
    return result


@dataclass(slots=True)
class _Reading:
    """Rows on their way to items and faults."""

    benchmark: Benchmark
    root: Path
    max_pixels: int
    limit: int | None
    items: list[Item] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)
    decoded: dict[object, InputError | None] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)

    def take(self, row: Row) -> None:
        """Read one row. Beyond the limit only rows of groups that are begun count."""
        full = self.limit is not None and len(self.items) >= self.limit
        reader = RowReader(row, self.root, self.max_pixels)
        try:
            item = self.benchmark.read(reader)
            if full and item.group not in self.groups:
                return
            _check_unique(item, row, self.seen)
            _check_images(item.problem.media, self.decoded)
        except (RowFault, InputError) as error:
            if not full:
                reason = error.what if isinstance(error, InputError) else str(error)
                self.faults.append(Fault("unusable", "", row.where, reason))
            return
        self.items.append(item)
        self.groups.add(item.group)
        self.faults += [Fault("noted", item.problem.id, row.where, note) for note in reader.notes]
        self.faults += _gold_faults(self.benchmark, item, row.where)


def _refuse_other(benchmark: Benchmark, rows: Sequence[Row], where: str) -> None:
    """Rows of another benchmark have questions and answers, too, and would be asked and scored."""
    names, known = set(column_names(rows)), benchmark.source.told_by
    if known and not any(columns <= names for columns in known):
        wanted = " or ".join(" and ".join(sorted(columns)) for columns in known)
        raise InputError(
            f"these are no rows of {benchmark.title}: columns {', '.join(sorted(names))[:120]}",
            where=where,
            fix=f"its rows have {wanted}",
        )


def _refuse_broken(benchmark: Benchmark, loaded: Loaded) -> None:
    """More than half of the rows unusable means another data set or lost images, not odd rows."""
    if 2 * loaded.unusable > loaded.rows or not loaded.items:
        bad = [fault for fault in loaded.faults if fault.kind == "unusable"]
        first = f"; first {bad[0].where}: {bad[0].reason}" if bad else ""
        raise InputError(
            f"{loaded.unusable} of {loaded.rows} rows cannot be used as {benchmark.title}{first}",
            where=loaded.source,
            fix="check that the folder holds this benchmark with its images",
        )


def _rows(source: Source, folder: Path | None) -> tuple[list[Row], Path]:
    """The rows, and the folder that image paths start from."""
    if folder is None:
        name = source.hub if source.config is None else f"{source.hub}:{source.config}"
        return read_dataset(source.hub, source.split, config=source.config), Path(name)
    if not is_folder(folder):
        raise InputError("no such folder", where=str(folder), fix="give the folder with the benchmark's rows")
    if any((folder / name).exists() for name in _DATASET_MARKS):
        return read_dataset(str(folder), source.split), folder
    for pattern in (ROWS, *source.files):
        if found := sorted(folder.glob(pattern)):
            return [row for path in found for row in _table(path, source.stem)], folder
    if any(folder.rglob("*.parquet")):
        return read_dataset(str(folder), source.split), folder
    expected = ", ".join((ROWS, *source.files, f"{source.split}*.parquet"))
    raise InputError("holds no rows of this benchmark", where=str(folder), fix=f"one of {expected}")


def _table(path: Path, stem: str | None) -> list[Row]:
    rows = read_table(path)
    if stem is None:
        return rows
    return [Row(row.where, {stem: path.stem, **row.values}) for row in rows]


def _check_unique(item: Item, row: Row, seen: dict[str, str]) -> None:
    other = seen.setdefault(item.problem.id, row.where)
    if other is not row.where:
        raise RowFault(f"id {item.problem.id[:60]!r} is already that of {other}")


def _check_images(media: Sequence[Media], decoded: dict[object, InputError | None]) -> None:
    """Decode each image; a file that several rows share is decoded once."""
    for image in media:
        if isinstance(image, FileImage):
            if image.source not in decoded:
                decoded[image.source] = image_fault(image)
            fault = decoded[image.source]
        else:
            # Not remembered: the next row's image may get the address of one that was refused.
            fault = image_fault(image)
        if fault is not None:
            raise RowFault(fault.what)


def _gold_faults(benchmark: Benchmark, item: Item, where: str) -> list[Fault]:
    """What is wrong with a gold that is no right answer to its own question."""
    gold = item.problem.answer
    faults = []
    verdict = benchmark.strict(item, f"<answer> Final Answer:{gold} </answer>")
    if not verdict.correct:
        reason = f"the strict grader does not find {gold[:60]!r} equal to itself: {verdict.reason}"
        faults.append(Fault("gold", item.problem.id, where, reason))
    responses = [form.format(name) for name in _names(item) for form in (*GOLD_FORMS, _JSON_FORM)]
    if not any(benchmark.official(item, response).correct for response in responses):
        why = benchmark.official(item, responses[0]).reason
        reason = f"the official rule accepts its own gold {gold[:60]!r} in no form: {why}"
        faults.append(Fault("gold", item.problem.id, where, reason))
    return faults


def _names(item: Item) -> tuple[str, ...]:
    """The gold as written, and as the other of letter and option text."""
    gold, options = item.problem.answer, item.problem.options
    letter = gold.strip("(). ").upper()
    if gold in options:
        return gold, ascii_uppercase[options.index(gold)]
    if len(letter) == 1 and letter in ascii_uppercase[: len(options)]:
        return gold, options[ascii_uppercase.index(letter)]
    return (gold,)


def fault_counts(faults: Sequence[Fault]) -> dict[str, Any]:
    """Counts by kind."""
    return {kind: sum(fault.kind == kind for fault in faults) for kind in ("unusable", "gold", "noted")}
