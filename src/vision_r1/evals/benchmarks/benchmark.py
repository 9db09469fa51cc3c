"""What a benchmark is: where its rows come from, how it asks, and how its own rule scores.

Each benchmark is one short file beside this one that defines a `Benchmark`. `official` reproduces the
published scoring rule, faults included, from its description; the strict score is always
`grading.grade_response` on `Item.problem`, the same function that the reward and the data filter call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Protocol

from vision_r1.grading import GradeSpec, Verdict, grade_response
from vision_r1.models.chat import SPECIAL_MARKS
from vision_r1.problems.columns import cell_text, place_images
from vision_r1.problems.images import BytesImage, FileImage
from vision_r1.problems.problem import Media, Problem
from vision_r1.problems.tables import Row


class Ask(Protocol):
    """A judge: prompt -> reply. It may be called from several threads at once."""

    def __call__(self, prompt: str, /, *, attempt: int = 0) -> str:
        """The reply; another attempt at the same prompt is another sample."""
        ...


_BOX = re.compile(r"\\(?:boxed|fbox)\s?\{(.*)\}\.?", re.DOTALL)


class RowFault(ValueError):  # noqa: N818  (what is at fault is the row)
    """A row that cannot be asked or scored; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows are when no local folder is named.

    Attributes:
        hub: hub id of the release that is read.
        split: its split.
        config: its configuration, where it has several.
        files: names or patterns of the tables of the original release in a local folder, tried in
            order after `problems.jsonl`; all files of the first pattern that matches are read.
        stem: column that the stem of each file is put into, where the file name says something.
        told_by: sets of columns, one of which the rows must have: else the folder holds something else.
    """

    hub: str
    split: str
    config: str | None = None
    files: tuple[str, ...] = ()
    stem: str | None = None
    told_by: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a benchmark.

    Attributes:
        problem: what is graded. Its `meta` has `family` and `level` where the benchmark has subjects
            and levels; its gold is the raw one without markup.
        prompt: what the model is asked, in the benchmark's own words, with `<image>` marks.
        raw: the row as released, for the official rule.
        chance: probability that a random guess is right: 1/options for choices, else 0.
        group: rows that are scored together (sub-questions, variants of a seed) share it.
    """

    problem: Problem
    prompt: str
    raw: Mapping[str, Any] = field(repr=False)
    chance: float = 0.0
    group: str = ""


@dataclass(frozen=True, slots=True)
class Official:
    """What the benchmark's own rule says of one response.

    Attributes:
        correct: the published score of this row, 0 or 1.
        extracted: what the rule took for the answer; None where it found none.
        reason: a short code, such as "equal", "different", "no_answer", "nearest_option".
    """

    correct: bool
    extracted: str | None
    reason: str = ""


# A rule that may use a judge: (item, response, judge or None) -> Official. Without a judge it stops at
# what its rules can tell.
JudgedRule = Callable[[Item, str, Ask | None], Official]

# Extra headline figures of a benchmark: items and, by problem id, whether each is right -> name -> value.
Scores = Callable[[Sequence[Item], Mapping[str, bool]], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: short name on the command line.
        title: as its authors write it.
        paper: arXiv id or address.
        source: where rows come from.
        read: one row -> an item. Raises RowFault for a row that cannot be used.
        official: the published rule without any model: (item, response) -> Official.
        judged: the published rule with its judge model, for benchmarks that have one.
        vlmeval: VLMEvalKit's rule, with or without a judge, where it differs from the authors' and may
            ask one. Vision-R1's own figures were made with it.
        other_rules: rules of other harnesses that ask no judge, by the harness's name.
        unwrap: where the prompt asks for a wrapping of its own (JSON, `<Answer>: <<B>>`), response ->
            the answer in it, for the strict grader; a response without the wrapping comes back whole.
        scores: further figures over the whole set (four-way score, worst case, sums by task).
        vlmevalkit: the data set's name in VLMEvalKit, for exported predictions; None if it has none.
        notes: what a reader of the official score must know.
    """

    name: str
    title: str
    paper: str
    source: Source
    read: Callable[[RowReader], Item]
    official: Callable[[Item, str], Official]
    judged: Callable[[Item, str, Ask], Official] | None = None
    vlmeval: JudgedRule | None = None
    other_rules: Mapping[str, Callable[[Item, str], Official]] = field(default_factory=dict)
    unwrap: Callable[[str], str] | None = None
    scores: Scores | None = None
    vlmevalkit: str | None = None
    notes: tuple[str, ...] = ()

    def strict(self, item: Item, response: str) -> Verdict:
        """What the one grader says of a response."""
        text = self.unwrap(response) if self.unwrap else response
        return grade_response(text, GradeSpec.of(item.problem))


@dataclass(slots=True)
class RowReader:
    """Reads the cells of one row and collects what is odd about it.

    Attributes:
        row: the row.
        root: folder that image paths start from.
        max_pixels: larger images are refused.
        notes: oddities that do not make the row unusable; listed beside the results.
    """

    row: Row
    root: Path
    max_pixels: int
    notes: list[str] = field(default_factory=list)

    def text(self, *columns: str) -> str:
        """The first of these columns that has something, as text; empty if none has."""
        return next((text for name in columns if (text := cell_text(self.row.values.get(name)))), "")

    def texts(self, column: str) -> tuple[str, ...]:
        """A list column as texts; empty for null or an empty list.

        Raises:
            RowFault: the cell is something else.
        """
        value = self.row.values.get(column)
        if value is None or value == "":
            return ()
        if not isinstance(value, list):
            raise RowFault(f"{column!r} is not a list")
        return tuple(cell_text(item) for item in value)

    def images(self, *columns: str) -> tuple[Media, ...]:
        """The images of the first of these columns that holds any: paths, bytes, `{bytes, path}`, lists.

        Raises:
            RowFault: a cell of another kind.
        """
        for name in columns:
            value = self.row.values.get(name)
            items = value if isinstance(value, list) else [value]
            found = [media for item in items if (media := self._image(item, name)) is not None]
            if found:
                return tuple(found)
        return ()

    def first_file(self, *relative: str) -> tuple[Media, ...]:
        """The first of these image files that exists below the root; empty if none does."""
        for name in relative:
            if (self.root / name).is_file():
                return (FileImage(self.root, name, self.row.where, self.max_pixels),)
        return ()

    def _image(self, value: Any, column: str) -> Media | None:
        if isinstance(value, dict):
            value = value.get("bytes") if value.get("bytes") is not None else value.get("path")
        if value is None or value == "":
            return None
        if isinstance(value, bytes):
            return BytesImage(value, self.row.where, self.max_pixels)
        if isinstance(value, str):
            return FileImage(self.root, value.strip(), self.row.where, self.max_pixels)
        raise RowFault(f"{column!r} holds {type(value).__name__}, not an image")

    def item(
        self,
        *,
        id: str,
        question: str,
        gold: str,
        prompt: str,
        media: tuple[Media, ...],
        needs_image: bool = True,
        needs_options: bool = False,
        options: tuple[str, ...] = (),
        answer_type: str = "auto",
        precision: int | None = None,
        unit: str | None = None,
        family: str = "",
        level: str | int | None = None,
        chance: float | None = None,
        group: str = "",
    ) -> Item:
        """Check what every benchmark's rows must have, and make the item.

        Args:
            id: of the row, unique in the benchmark.
            question: as released, for grading and contamination checks.
            gold: as released; markup round it is removed and noted. With options it may be a letter
                or the text of an option.
            prompt: what the model is asked; marks need not be there, images then lead.
            media: the images.
            needs_image: whether a row without images is a fault.
            needs_options: whether a row with fewer than two options is a fault.
            options: texts in order of their letters.
            answer_type: see `grading.spec.ANSWER_TYPES`.
            precision: decimals that numbers are compared to.
            unit: of the gold.
            family: what results are broken down by: subject, task, category.
            level: difficulty, grade or split.
            chance: of a random guess; by default 1/(different options), else 0.
            group: rows scored together.

        Raises:
            RowFault: no id, question or gold; no image though it needs one; a gold letter outside the
                options, or a gold that is none of them; marks and images that do not fit.
        """
        for name, value in (("id", id), ("question", question), ("gold", gold)):
            if not value.strip():
                raise RowFault(f"no {name}")
        if needs_image and not media:
            raise RowFault("no image")
        if needs_options and len(options) < 2:
            raise RowFault(f"{len(options)} options")
        if mark := next((mark for mark in SPECIAL_MARKS if mark in prompt), None):
            raise RowFault(f"the question contains the control token {mark}")
        clean = self._clean(gold)
        if len(set(options)) < len(options):
            self.notes.append("options repeat")
        if options:
            self._check_gold(clean, options)
        try:
            marked, order = place_images(prompt, len(media), "one_image", self.row.where)
        except ValueError as error:
            raise RowFault(str(error)) from None
        meta = {"family": family, "level": level, "group": group}
        problem = Problem(
            id=id, question=question, answer=clean, media=tuple(media[index] for index in order),
            answer_type="choice" if options else answer_type, options=options, precision=precision, unit=unit,
            meta={key: value for key, value in meta.items() if value not in ("", None)},
        )  # fmt: skip
        if chance is None:
            chance = 1 / len(set(options)) if options else 0.0
        return Item(problem, marked, self.row.values, chance, group or id)

    def _clean(self, gold: str) -> str:
        """The gold without box, dollars and control characters; each kind is noted."""
        text = gold
        if "\x0c" in text:
            # A form feed is what "\f" of an unescaped "\frac" became.
            self.notes.append("gold has a form feed, read as \\f")
            text = text.replace("\x0c", "\\f")
        if "$" in text:
            self.notes.append("gold has dollar signs")
        if box := _BOX.fullmatch(text.strip().strip("$").strip()):
            self.notes.append("gold is in a box")
            text = box[1]
        elif "boxed" in text:
            self.notes.append("gold has a box inside")
        return text.strip()

    def _check_gold(self, gold: str, options: tuple[str, ...]) -> None:
        letter = gold.strip("(). ").upper()
        if len(letter) == 1 and letter in ascii_uppercase[len(options) :] and gold not in options:
            raise RowFault(f"gold letter {letter} is outside the {len(options)} options")


def choices_of(options: Sequence[str]) -> str:
    """`(A) first`, one line each, as MathVista, Geometry3K and others write choices."""
    return "\n".join(f"({letter}) {text}" for letter, text in zip(ascii_uppercase, options, strict=False))
