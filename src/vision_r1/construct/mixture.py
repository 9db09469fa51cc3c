"""The problems for RL: a mixture of published sets, with the rows left out that evaluation sets hold.

out/train.parquet    the layout of Vision-R1-rl and EasyR1: `images`, `problem`, `answer`, and how to grade
out/mixture.json     what became of every source, written last
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vision_r1.construct.dedupe import find_duplicates
from vision_r1.construct.sources import Loading, load_evaluation, load_source
from vision_r1.core.errors import InputError
from vision_r1.core.files import is_file, reported_writes, write_json
from vision_r1.core.progress import Progress, Silent
from vision_r1.problems.chat import explicit_marks
from vision_r1.problems.config import RlMixture
from vision_r1.problems.contamination import Match, TrainingRecord, overlap_of_prints
from vision_r1.problems.faults import BadRow
from vision_r1.problems.fingerprints import Fingerprint, fingerprint
from vision_r1.problems.problem import Problem, content_key
from vision_r1.problems.split import position
from vision_r1.teachers.chat import encode_picture

TABLE, REPORT = "train.parquet", "mixture.json"
ROWS_AT_ONCE = 100
SHOWN = 20


@dataclass(slots=True)
class SourceReport:
    """What became of the rows of a source.

    Attributes:
        problems: rows that are problems which can be graded.
        bad: rows set aside, by reason.
        repeated: problems that are in this source, or in one before it, already.
        near: problems that say the same as another one of the mixture, by kind (see `construct.dedupe`).
        fell: problems that are in an evaluation set: its name -> kind of match -> how many; one that is
            in two sets is counted for both.
        left_out: problems that are in any evaluation set.
        drawn: rows of the mixture.
        answer_types: drawn rows by how they are graded.
        examples: the first rows that were set aside.
    """

    problems: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    near: Counter[str] = field(default_factory=Counter)
    fell: dict[str, Counter[str]] = field(default_factory=dict)
    left_out: int = 0
    drawn: int = 0
    answer_types: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)

    def note_bad(self, rows: Sequence[BadRow]) -> None:
        """Count rows that were set aside."""
        self.bad.update(row.reason for row in rows)
        self.examples += [
            {"row": row.row, "id": row.source_id, "reason": row.reason, "detail": row.detail} for row in rows
        ][:SHOWN]

    def plain(self) -> dict[str, Any]:
        """As mixture.json has it."""
        return {
            "problems": self.problems,
            "bad": dict(sorted(self.bad.items())),
            "repeated": self.repeated,
            "near": dict(sorted(self.near.items())),
            "fell": {name: dict(sorted(kinds.items())) for name, kinds in self.fell.items()},
            "left_out": self.left_out,
            "drawn": self.drawn,
            "answer_types": dict(sorted(self.answer_types.items())),
            "examples": self.examples,
        }


def build_rl_mixture(config: RlMixture, out: Path, progress: Progress | None = None) -> dict[str, Any]:
    """Draw the problems of a mixture and write them as one table.

    Args:
        config: the sets, how many problems of each, and the evaluation sets to keep clear of.
        out: the folder to write to.
        progress: told of each set that is read.

    Returns:
        What is in mixture.json: `rows`, the `seed`, the rows of each set in `against`, and a block for
        each of the `sources` (see `SourceReport`).

    Raises:
        InputError: a set that cannot be read, fewer problems than are to be drawn, or a full disk.
    """
    progress = progress or Silent()
    if is_file(out / TABLE) and not is_file(out / REPORT):
        raise InputError(f"holds a {TABLE} that no mixture wrote", where=str(out), fix="name a new folder")
    with reported_writes(out):
        out.mkdir(parents=True, exist_ok=True)
        reports = {name: SourceReport() for name in config.sources}
        loading = Loading(progress, out)
        sets = _read(config, reports, loading)
        evaluation = {name: load_evaluation(name, data, loading)[0] for name, data in config.against.items()}
        prints = _prints(sets, progress) if config.near_duplicates or evaluation else {}
        if config.near_duplicates:
            sets = _once_each(sets, prints, reports, progress)
        sets = _clean(sets, prints, evaluation, reports)
        drawn = list(_drawn(config, sets, reports))
        _write(drawn, out / TABLE, progress)
        against = {name: len(problems) for name, problems in evaluation.items()}
        sources = {name: report.plain() for name, report in reports.items()}
        report = {"rows": len(drawn), "seed": config.seed, "against": against, "sources": sources}
        write_json(out / REPORT, report)
    return report


def _read(
    config: RlMixture, reports: Mapping[str, SourceReport], loading: Loading
) -> dict[str, list[Problem]]:
    """The problems of each source under their content keys; the first of equal ones stays."""
    sets: dict[str, list[Problem]] = {}
    seen: set[str] = set()
    for name, source in config.sources.items():
        problems, bad = load_source(name, source.data, loading)
        report = reports[name]
        report.problems = len(problems)
        report.note_bad(bad)
        sets[name] = []
        for problem in problems:
            key = content_key(problem)
            if key not in seen:
                seen.add(key)
                sets[name].append(replace(problem, id=key, meta={**problem.meta, "source_id": problem.id}))
        report.repeated = len(problems) - len(sets[name])
    return sets


def _prints(sets: Mapping[str, list[Problem]], progress: Progress) -> dict[str, list[Fingerprint]]:
    """The fingerprints of every problem by its id; every image is looked at once."""
    problems = [problem for each in sets.values() for problem in each]
    found = fingerprint(problems, "", progress)
    return {problem.id: own for problem, own in zip(problems, found, strict=True)}


def _once_each(
    sets: Mapping[str, list[Problem]],
    prints: Mapping[str, list[Fingerprint]],
    reports: Mapping[str, SourceReport],
    progress: Progress,
) -> dict[str, list[Problem]]:
    """The problems that say nothing that another one of any source says; see `dedupe.find_duplicates`."""
    named = [(name, problem) for name, problems in sets.items() for problem in problems]
    problems = [problem for _, problem in named]
    keys = [problem.id for problem in problems]
    found = find_duplicates(problems, keys, [prints[key] for key in keys], progress)
    rest: dict[str, list[Problem]] = {name: [] for name in sets}
    for index, (name, problem) in enumerate(named):
        if index in found:
            reports[name].near[found[index].kind] += 1
        else:
            rest[name].append(problem)
    return rest


def _clean(
    sets: Mapping[str, list[Problem]],
    prints: Mapping[str, list[Fingerprint]],
    evaluation: Mapping[str, list[Problem]],
    reports: Mapping[str, SourceReport],
) -> dict[str, list[Problem]]:
    """The problems that no evaluation set holds, by question, by image, or by a copy of an image."""
    if not evaluation:
        return dict(sets)
    ids = [problem.id for problems in sets.values() for problem in problems]
    own = [prints[name] for name in ids]
    overlaps = {}
    for name, problems in evaluation.items():
        rows = [row for each in fingerprint(problems, name) for row in each]
        overlaps[name] = overlap_of_prints(TrainingRecord(tuple(rows), name), ids, own)
    found: defaultdict[str, dict[str, Match]] = defaultdict(dict)
    for name, overlap in overlaps.items():
        for match in overlap.matches:
            found[match.id][name] = match
    for name, problems in sets.items():
        report = reports[name]
        report.fell = {evaluated: Counter() for evaluated in evaluation}
        for problem in problems:
            for evaluated, match in found[problem.id].items() if problem.id in found else ():
                report.fell[evaluated][match.kind] += 1
        report.left_out = sum(problem.id in found for problem in problems)
    return {name: [each for each in problems if each.id not in found] for name, problems in sets.items()}


def _drawn(
    config: RlMixture, sets: Mapping[str, list[Problem]], reports: Mapping[str, SourceReport]
) -> Iterator[tuple[str, Problem]]:
    """The drawn problems with their sources, in the order of a hash: that of no source."""
    chosen = []
    for name, problems in sets.items():
        count = config.sources[name].count
        if count is not None and count > len(problems):
            raise InputError(
                f"{count:,} problems are to be drawn, but only {len(problems):,} can be used",
                where=f"sources.{name}",
                fix="lower its count, or leave it out to take all",
            )
        ordered = sorted(problems, key=lambda problem: position(problem.id, config.seed))[:count]
        reports[name].drawn = len(ordered)
        reports[name].answer_types = Counter(problem.answer_type for problem in ordered)
        chosen += [(name, problem) for problem in ordered]
    return iter(sorted(chosen, key=lambda each: position(each[1].id, config.seed)))


def _write(drawn: Sequence[tuple[str, Problem]], path: Path, progress: Progress) -> None:
    """The table, whole or not at all, a hundred rows in memory at a time."""
    import pyarrow.parquet as pq

    if not drawn:
        raise InputError("no problem is left", where=str(path.parent), fix="name more sources")
    scratch = path.with_name(f".{path.name}.tmp")
    progress.start("write", len(drawn), "row")
    try:
        with pq.ParquetWriter(scratch, _schema(), compression="zstd") as writer:
            for start in range(0, len(drawn), ROWS_AT_ONCE):
                rows = drawn[start : start + ROWS_AT_ONCE]
                writer.write_batch(_batch([_row(name, problem) for name, problem in rows]))
                progress.advance(start + len(rows))
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    progress.finish()


def _batch(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    return pa.RecordBatch.from_pylist(rows, schema=_schema())


def _schema() -> Any:
    import pyarrow as pa

    text = pa.string()
    picture = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", text)])
    kinds = {
        "images": pa.list_(picture), "problem": text, "answer": text, "id": text, "source": text,
        "source_id": text, "answer_type": text, "options": pa.list_(text), "precision": pa.int32(),
        "unit": text, "family": text,
    }  # fmt: skip
    # What `datasets` needs to know that the structs are images.
    string = {"dtype": "string", "_type": "Value"}
    features: dict[str, Any] = {name: string for name, kind in kinds.items() if kind == text}
    features |= {
        "images": {"feature": {"_type": "Image"}, "_type": "List"},
        "options": {"feature": string, "_type": "List"},
        "precision": {"dtype": "int32", "_type": "Value"},
    }
    ordered = {name: features[name] for name in kinds}
    meta = {b"huggingface": json.dumps({"info": {"features": ordered}}).encode()}
    return pa.schema([pa.field(name, kind) for name, kind in kinds.items()], metadata=meta)


def _row(source: str, problem: Problem) -> dict[str, Any]:
    family = problem.meta.get("family")
    pictures = [encode_picture(image) for image in problem.media]
    return {
        "images": [{"bytes": each.data, "path": f"{each.name}.{each.suffix}"} for each in pictures],
        "problem": explicit_marks(problem.prompt, len(problem.media)),
        "answer": problem.answer,
        "id": problem.id,
        "source": source,
        "source_id": str(problem.meta["source_id"]),
        "answer_type": problem.answer_type,
        "options": list(problem.options),
        "precision": problem.precision,
        "unit": problem.unit,
        "family": None if family is None else str(family),
    }
