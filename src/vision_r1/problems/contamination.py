"""What a model was trained on, kept beside it as fingerprints, and which problems are among it.

Every training stage writes `training_data.parquet` into the model's folder: its own rows and those of
the model that it started from. It holds no text and no image.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from vision_r1.core.errors import InputError
from vision_r1.core.files import atomic_write_bytes, is_file, is_folder
from vision_r1.problems.fingerprints import (
    COLOUR_BYTES,
    HASH_BYTES,
    Fingerprint,
    Look,
    Lookalikes,
    fingerprint,
)
from vision_r1.problems.problem import Problem

FILE = "training_data.parquet"
FORMAT = 1
TELLING_WORDS = 8  # a shorter question may be asked of any image
TEMPLATE_IMAGES = 4  # so is one that stands with as many different images
MOST_ROWS = 20_000_000
SHOWN = 20
_META = b"vision_r1"
_KINDS = ("both", "same_question", "same_image", "near_image")


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """What a model was trained on, as far as it was recorded.

    Attributes:
        rows: distinct, sorted.
        start: name of the first model, whose own training is not on record.
    """

    rows: tuple[Fingerprint, ...]
    start: str


@dataclass(frozen=True, slots=True)
class Match:
    """A problem that is in a training record, wholly or in part.

    Attributes:
        id: of the problem.
        same_question: its text is there; one that any image may have counts only with its image.
        same_image: an image of it is there with the same content.
        near_image: an image of it is there as a copy: encoded again, or of another size.
        both: text and image are there in one row.
        source: the stage that trained on it.
    """

    id: str
    same_question: bool
    same_image: bool
    near_image: bool
    both: bool
    source: str

    @property
    def kind(self) -> str:
        """The strongest of the kinds."""
        return next(kind for kind in _KINDS if getattr(self, kind))


@dataclass(frozen=True, slots=True)
class Overlap:
    """The problems of a benchmark that are in a training record.

    Attributes:
        matches: in the order of the problems.
        problems: how many problems were looked up.
        training_rows: distinct pairs of question and image on record.
    """

    matches: tuple[Match, ...]
    problems: int
    training_rows: int


def inherited_record(model: str) -> TrainingRecord:
    """What a stage that starts from `model` takes over: its record, or none but its name.

    Args:
        model: a model directory, a stage's folder, a hub id or `tiny:base`.

    Raises:
        InputError: see `read_record`.
    """
    folder = Path(model)
    name = folder.resolve().name if is_folder(folder) else model
    return read_record(folder) or TrainingRecord((), name)


def write_record(model_dir: Path, prints: Iterable[Sequence[Fingerprint]], inherited: TrainingRecord) -> None:
    """Write the record of a model, whole or not at all; equal rows in any order give equal bytes.

    Args:
        model_dir: its folder.
        prints: of what the stage trained on, as `fingerprint` gives them.
        inherited: of the model that the stage started from.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    own = chain.from_iterable(prints)
    distinct = {(row.question, row.image, row.source): row for row in (*inherited.rows, *own)}
    rows = [distinct[key] for key in sorted(distinct)]
    looks = [row.look or (None, None) for row in rows]
    columns = [
        [row.question for row in rows],
        [row.words for row in rows],
        [row.image for row in rows],
        [bits for bits, _ in looks],
        [colours for _, colours in looks],
        [row.source for row in rows],
    ]
    meta = json.dumps({"format": FORMAT, "start": inherited.start})
    table = pa.table(columns, schema=_schema().with_metadata({_META: meta}))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    atomic_write_bytes(model_dir / FILE, sink.getvalue().to_pybytes())


def read_record(model_dir: Path) -> TrainingRecord | None:
    """The record in a model's folder or in the `model` below it; None where there is none.

    Raises:
        InputError: the file is damaged, or of a newer format.
    """
    path = next((f / FILE for f in (model_dir, model_dir / "model") if is_file(f / FILE)), None)
    if path is None:
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as handle:
            file = pq.ParquetFile(handle)
            meta = json.loads((file.schema_arrow.metadata or {})[_META])
            if int(meta["format"]) > FORMAT:
                raise InputError("written by a newer version", where=str(path), fix="update vision-r1")
            if file.metadata.num_rows > MOST_ROWS:
                raise ValueError(f"{file.metadata.num_rows:,} rows")
            rows = tuple(_rows(file.read()))
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        detail = " ".join(str(error).split())[:120] or type(error).__name__
        fix = "copy it again, or remove it: contamination can then not be checked"
        raise InputError(
            f"the record of the training data is damaged ({detail})", where=str(path), fix=fix
        ) from None
    return TrainingRecord(rows, str(meta["start"]))


def _schema() -> Any:
    import pyarrow as pa

    looks = {"look_bits": pa.binary(HASH_BYTES), "look_colours": pa.binary(COLOUR_BYTES)}
    names = {
        "question": pa.string(),
        "words": pa.int32(),
        "image": pa.string(),
        **looks,
        "source": pa.string(),
    }
    return pa.schema([pa.field(name, kind, name in looks) for name, kind in names.items()])


def _rows(table: Any) -> Iterable[Fingerprint]:
    """The rows of a table of the right columns; ValueError for any other."""
    if not table.schema.equals(_schema()):
        raise ValueError("other columns")
    table.validate(full=True)
    question, words, image, bits, colours, source = (column.to_pylist() for column in table.columns)
    looks = [None if b is None or c is None else Look(b, c) for b, c in zip(bits, colours, strict=True)]
    return map(Fingerprint, question, words, image, looks, source)


class _Index:
    """A training record, to be asked for questions and images."""

    def __init__(self, record: TrainingRecord) -> None:
        self.pairs: dict[tuple[str, str], str] = {}
        self.questions: dict[str, str] = {}
        self.images: dict[str, str] = {}
        alike: defaultdict[Look, list[str]] = defaultdict(list)
        for row in record.rows:
            self.pairs.setdefault((row.question, row.image), row.source)
            self.questions.setdefault(row.question, row.source)
            if row.image and row.image not in self.images:
                self.images[row.image] = row.source
                if row.look is not None:
                    alike[row.look].append(row.image)
        self.shown_with = Counter(question for question, _ in self.pairs)
        self._looks, self._alike = list(alike), alike
        self._near = Lookalikes(self._looks)

    def near(self, look: Look | None) -> list[str]:
        """The recorded images that look like this one."""
        if look is None or not self._looks:
            return []
        return [image for at in self._near.find(look) for image in self._alike[self._looks[at]]]

    def match(self, name: str, prints: Sequence[Fingerprint], template: bool) -> Match | None:
        """What of a problem is on record."""
        question = prints[0].question
        exact = [row.image for row in prints if row.image in self.images]
        near = [image for row in prints if row.image not in self.images for image in self.near(row.look)]
        # Without an image, the text is the whole problem.
        shown = [*exact, *near] if prints[0].image else [""]
        both = next((pair for image in shown if (pair := (question, image)) in self.pairs), None)
        alone = prints[0].words >= TELLING_WORDS and not template
        told = both is not None or (alone and question in self.questions)
        if not (told or exact or near):
            return None
        if both is not None:
            source = self.pairs[both]
        else:
            source = self.questions[question] if told else self.images[[*exact, *near][0]]
        return Match(name, told, bool(exact), bool(near), both is not None, source)


def find_overlap(record: TrainingRecord, problems: Sequence[Problem]) -> Overlap:
    """Which problems are in a training record.

    Raises:
        InputError: an image of a problem cannot be read.
    """
    return find_overlaps({"": record}, problems)[""]


def find_overlaps(records: Mapping[str, TrainingRecord], problems: Sequence[Problem]) -> dict[str, Overlap]:
    """Which problems are in each of several records; every image is looked at once. See `find_overlap`."""
    prints = fingerprint(problems, "")
    ids = [problem.id for problem in problems]
    return {name: overlap_of_prints(record, ids, prints) for name, record in records.items()}


def overlap_of_prints(
    record: TrainingRecord, ids: Sequence[str], prints: Sequence[Sequence[Fingerprint]]
) -> Overlap:
    """As `find_overlap`, of problems whose fingerprints were taken before."""
    index = _Index(record)
    asked_with = Counter(question for question, _ in {(own[0].question, own[0].image) for own in prints})
    matches = []
    for name, own in zip(ids, prints, strict=True):
        question = own[0].question
        most = max(asked_with[question], index.shown_with[question])
        matches.append(index.match(name, own, template=most >= TEMPLATE_IMAGES))
    found = tuple(match for match in matches if match is not None)
    return Overlap(found, len(ids), len(index.pairs))


def overlap_block(model: str, problems: Sequence[Problem]) -> dict[str, Any]:
    """What is recorded of a model's training and how much of it is asked, as plain data.

    Args:
        model: a model directory, a stage's folder, or any name; a name has no record.
        problems: of a benchmark.

    Returns:
        `{"recorded": False}`, or besides `recorded` the number of `training_rows` (distinct pairs of
        question and image), the `start` whose own training is not on record, the `problems` asked, how
        many of them were `found`, how many by each kind (a problem may be of several), and `examples`.

    Raises:
        InputError: the record is damaged or newer; an image of a problem cannot be read.
    """
    record = read_record(Path(model))
    if record is None:
        return {"recorded": False}
    overlap = find_overlap(record, problems)
    return {
        "recorded": True,
        "training_rows": overlap.training_rows,
        "start": record.start,
        "problems": overlap.problems,
        "found": len(overlap.matches),
        **{kind: sum(getattr(match, kind) for match in overlap.matches) for kind in _KINDS},
        "examples": [{"id": m.id, "kind": m.kind, "source": m.source} for m in overlap.matches[:SHOWN]],
    }


def overlap_line(block: dict[str, Any], name: str) -> str | None:
    """The warning for a benchmark's results; None where the record is there and holds none of it."""
    if not block["recorded"]:
        return f"{name}: the model has no record of its training data: contamination cannot be checked"
    if not block["found"]:
        return None
    return (
        f"{name}: {block['found']:,} of {block['problems']:,} problems are in the model's recorded training"
        f" data (question and image {block['both']:,}, question {block['same_question']:,},"
        f" image {block['same_image']:,}, copy of an image {block['near_image']:,})"
    )
