"""Tables of hundreds of thousands of problems, where some rows are bad: those are set aside, each with
its reason, and the others go on. `load.load_problems` is the strict one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from vision_r1.core.errors import InputError
from vision_r1.problems.columns import cell_options, cell_text
from vision_r1.problems.config import DatasetData, FileData, ProblemsConfig, TinyWorldData
from vision_r1.problems.faults import BadRow, Reason, RowError, reason_of
from vision_r1.problems.image_checks import ImageCallback, image_error, image_faults
from vision_r1.problems.images import BytesImage, FileImage, Spill
from vision_r1.problems.layouts import ALWAYS_ILLUSTRATED
from vision_r1.problems.load import Reader, Source, cell_images, open_source, split_keys, with_content_ids
from vision_r1.problems.problem import Media, Problem
from vision_r1.problems.scaling import within_limit
from vision_r1.problems.split import taken
from vision_r1.problems.tables import Row

ImageCheck = Callable[[Sequence[Media]], Iterator[RowError | None]]

_PICTURE = r"(?:image|picture|photo(?:graph)?|figure|diagram|graph|chart|plot|drawing|map|illustration)s?"
_NEEDS_IMAGE = re.compile(
    rf"\b(?:in|from|on|of|to|by|using|see) (?:the|this|that|these|above|below|following|given)"
    rf"(?: (?:above|below|following|given|attached))? {_PICTURE}\b"
    rf"|\b(?:this|the|above|following|attached) {_PICTURE} (?:shows?|depicts?|below|above|is shown)\b"
    rf"|\bas shown\b|\bshown (?:above|below|here|in)\b|<image",
    re.IGNORECASE,
)


class _Read(NamedTuple):
    """A problem, where it is, and what was read for it."""

    number: int
    label: str
    problem: Problem


def load_problems_leniently(
    config: ProblemsConfig,
    progress: ImageCallback | None = None,
    spill: Path | None = None,
    check: ImageCheck = image_faults,
) -> tuple[list[Problem], list[BadRow]]:
    """The problems that a data section describes, and the rows that are none, in the order of the rows.

    The table is read row by row and its images are decoded in threads, one at a time each; nothing
    decoded is kept. On a table without bad rows the problems are those of `load_problems`. Where a row
    is: `meta["row"]`.

    Args:
        config: a tiny world, a file, or a data set.
        progress: called with (images checked, images in all).
        spill: a folder for one nameless file that holds the images that come inside the table, so that
            they take no memory; None keeps them in memory, encoded.
        check: why each of many images cannot be decoded, None where it can.

    Returns:
        The problems, and what was set aside: no question, answer or image where one is needed, an image
        that is missing, corrupt or over `PIXEL_CEILING` (one over `max_pixels` is scaled down), an id that
        occurred before, a gold that is none of its choices, choices or marks that cannot be read.

    Raises:
        InputError: no such table, one that is broken (a line that is no JSON, say), without rows or
            without the needed columns.
    """
    return _load(config, progress, spill, check, golds=True)


def load_questions(
    config: ProblemsConfig,
    progress: ImageCallback | None = None,
    spill: Path | None = None,
    check: ImageCheck = image_faults,
) -> tuple[list[Problem], list[BadRow]]:
    """What a data section asks, as problems without golds and choices, under ids made from the content.

    As `load_problems_leniently`, but nothing is wrong with a row, or with a table, without answers, with
    golds or choices that cannot be read, with repeated ids, or with a text that speaks of an image and
    has none: it can still be found again in another set.
    """
    return _load(config, progress, spill, check, golds=False)


def _load(
    config: ProblemsConfig,
    progress: ImageCallback | None,
    spill: Path | None,
    check: ImageCheck,
    *,
    golds: bool,
) -> tuple[list[Problem], list[BadRow]]:
    if isinstance(config, TinyWorldData):
        from vision_r1.problems.tiny_world import make_problems

        return make_problems(config), []
    loading = _Loading(open_source(config), Spill(spill) if spill is not None else None, golds)
    read = loading.check_images(loading.read(), progress, check)
    read = loading.with_ids(read)
    bad = [row for _, row in sorted(loading.bad, key=lambda each: each[0])]
    return _share(config, read), bad


def _share(config: FileData | DatasetData, read: Sequence[_Read]) -> list[Problem]:
    problems = [replace(each.problem, meta={**each.problem.meta, "row": each.label}) for each in read]
    if config.take is None:
        return problems
    keys = [split_keys(problem.media, problem.question) for problem in problems]
    return [problems[index] for index in taken(keys, config.take)][: config.limit]


class _Loading:
    """The rows of a source on their way to problems."""

    def __init__(self, source: Source, spill: Spill | None, golds: bool) -> None:
        self.source, self.spill, self.golds = source, spill, golds
        self.reader: Reader = source.reader(golds=golds)
        self.bad: list[tuple[int, BadRow]] = []
        self._scaled: dict[str, Media] = {}

    def read(self) -> list[_Read]:
        """The problems of the table, images not yet opened."""
        config = self.source.config
        limit = config.limit if config.take is None else None
        found = []
        for number, row in enumerate(islice(self._rows(), limit)):
            if isinstance(row, RowError):
                self._set_aside(number, row)
                continue
            try:
                problem = self._problem(row)
            except InputError as error:
                self._set_aside(number, error, row)
            else:
                found.append(_Read(number, self._label(row.where), self._spilled(problem)))
        return found

    def _rows(self) -> Iterator[Row | RowError]:
        for raw in self.source.table.rows():
            try:
                yield from self.source.adapt(raw)
            except RowError as error:
                yield error

    def _problem(self, row: Row) -> Problem:
        if not self.golds:
            return self.reader.question(row)
        problem = self.reader.problem(row)
        self._check_illustrated(problem, row)
        return problem

    def _check_illustrated(self, problem: Problem, row: Row) -> None:
        if problem.media:
            return
        if self.source.config.layout in ALWAYS_ILLUSTRATED or _NEEDS_IMAGE.search(problem.question):
            raise RowError("the question needs an image", where=row.where, reason="no_image")

    def _spilled(self, problem: Problem) -> Problem:
        return replace(problem, media=self._away(problem.media))

    def _away(self, media: Sequence[Media]) -> tuple[Media, ...]:
        """The images, out of memory where there is a place for them."""
        spill = self.spill
        return tuple(
            spill.keep(image) if spill is not None and isinstance(image, BytesImage) else image
            for image in media
        )

    def _images(self, row: Row) -> tuple[Media, ...]:
        """The images of a row that is no problem, as far as its cell can be read."""
        config = self.source.config
        try:
            media = cell_images(row, self.reader.columns.get("image"), self.source.root, config.max_pixels)
        except InputError:
            return ()
        return self._away(media)

    def check_images(
        self, read: Sequence[_Read], progress: ImageCallback | None, check: ImageCheck
    ) -> list[_Read]:
        """Those whose images can all be decoded."""
        images = [image for each in read for image in each.problem.media]
        verdicts = check(images)
        good, done = [], 0
        for each in read:
            checked = [self._checked(image, next(verdicts)) for image in each.problem.media]
            done += len(each.problem.media)
            if progress is not None and each.problem.media:
                progress(done, len(images))
            faults = [result for result in checked if isinstance(result, RowError)]
            if faults:
                self._refuse(each, faults[0].reason, faults[0].what)
            else:
                media = tuple(result for result in checked if not isinstance(result, RowError))
                good.append(each._replace(problem=replace(each.problem, media=media)))
        return good

    def _checked(self, image: Media, fault: RowError | None) -> Media | RowError:
        """The image, scaled down where it is over `max_pixels`; else what is wrong with it."""
        if fault is None:
            return image
        if fault.reason != "image_too_large" or not isinstance(image, FileImage | BytesImage):
            return fault
        try:
            if image.key not in self._scaled:  # many rows may show it
                self._scaled[image.key] = self._away([within_limit(image)])[0]
        except InputError as error:
            return image_error(error)
        return self._scaled[image.key]

    def with_ids(self, read: Sequence[_Read]) -> list[_Read]:
        """Those whose ids are unique; made from the content where there is no id column."""
        if not self.golds or "id" not in self.reader.columns:
            named = with_content_ids([each.problem for each in read])
            return [each._replace(problem=problem) for each, problem in zip(read, named, strict=True)]
        first: dict[str, _Read] = {}
        for each in read:
            other = first.setdefault(each.problem.id, each)
            if other is not each:
                self._refuse(each, "repeated_id", f"the id is already that of {other.label}")
        return list(first.values())

    def _refuse(self, each: _Read, reason: Reason, what: str) -> None:
        problem = each.problem
        answer = str(problem.meta.get("gold", problem.answer))
        row = BadRow(
            problem.id, each.label, reason, self._local(what), problem.question, problem.options, answer,
            problem.media,
        )  # fmt: skip
        self.bad.append((each.number, row))

    def _set_aside(self, number: int, error: InputError, row: Row | None = None) -> None:
        texts = {} if row is None else _texts(row, self.reader.columns)
        label = self._label(error.where.rpartition(", field ")[0] if row is None else row.where)
        bad = BadRow(
            texts.get("id", ""),
            label,
            reason_of(error, "bad_cell"),
            self._local(error.what),
            texts.get("question", ""),
            () if row is None else _options(row, self.reader.columns),
            texts.get("answer", ""),
            () if row is None else self._images(row),
        )
        self.bad.append((number, bad))

    def _label(self, where: str) -> str:
        """Where a row is in its table, without the place of the table on this machine."""
        return where.removeprefix(self.source.name).lstrip("/, ")

    def _local(self, what: str) -> str:
        """A message without the place of the image folder on this machine."""
        root = self.source.root
        for name in sorted({str(root), str(root.resolve())} - {"."}, key=len, reverse=True):
            what = what.replace(f" in {name}", "").replace(f" {name}", " of images").replace(f"{name}/", "")
        return what[:300]


def _texts(row: Row, columns: dict[str, str]) -> dict[str, str]:
    return {
        key: cell_text(row.values.get(columns[key])) for key in ("id", "question", "answer") if key in columns
    }


def _options(row: Row, columns: dict[str, str]) -> tuple[str, ...]:
    try:
        return cell_options(row, columns["options"]) if "options" in columns else ()
    except InputError:
        return ()
