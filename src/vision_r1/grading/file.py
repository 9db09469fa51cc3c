"""Grade a JSON Lines file of golds and responses."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vision_r1.core.errors import InputError, did_you_mean
from vision_r1.core.files import read_jsonl, write_jsonl
from vision_r1.grading.parallel import map_in_order
from vision_r1.grading.response import grade_response
from vision_r1.grading.spec import GradeSpec
from vision_r1.grading.verdict import Verdict
from vision_r1.problems.columns import cell_options
from vision_r1.problems.tables import Row

SHOWN = 20  # odd rows that are printed one by one
_KEYS = ("id", "gold", "response", "answer_type", "options", "precision", "unit", "benchmark")


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of a graded file.

    Attributes:
        n: rows, the bad ones included.
        statuses: rows by verdict status ("right", "wrong", "unparseable", "timeout").
        reasons: rows by verdict reason.
        benchmarks: (right, rows) by the rows' `benchmark`, where they name one.
        bad: one line for each row that could not be graded: file, line, field, reason.
        noted: one line for each row that was graded and needs a look.
    """

    n: int
    statuses: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    benchmarks: dict[str, tuple[int, int]] = field(default_factory=dict)
    bad: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float:
        """The share of right rows."""
        return self.statuses.get("right", 0) / self.n

    def lines(self) -> list[str]:
        """What a person is told: odd rows first, then the counts."""
        counts = ", ".join(f"{count:,} {name}" for name, count in sorted(self.statuses.items()))
        shown = [*_few(self.bad, "bad row"), *_few(self.noted, "note")]
        for name, (right, n) in self.benchmarks.items():
            shown.append(f"{name}: {right:,} of {n:,} right")
        return [*shown, f"{self.n:,} rows: {counts}" + (f"; {len(self.bad):,} bad" if self.bad else "")]


def _few(lines: Sequence[str], kind: str) -> list[str]:
    more = [f"and {len(lines) - SHOWN:,} more such rows"] if len(lines) > SHOWN else []
    return [*(f"{kind}: {line}" for line in lines[:SHOWN]), *more]


def grade_file(path: Path, out: Path | None) -> Summary:
    """Grade rows of `id`, `gold`, `response` and the optional fields of `GradeSpec`.

    Other keys are passed over. Rows are graded in parallel and keep their order. A row that cannot be
    graded (no gold, an unknown answer type, a repeated id) is "unparseable" with the reason "bad_row".

    Args:
        path: JSON Lines with one row per response.
        out: where the verdict rows go, replaced as a whole; None prints them.

    Raises:
        InputError: a line that is no JSON object, no rows, not one good row, an unwritable file, or one
            that holds something else. Nothing is written then.
    """
    if out is not None and out.exists() and out.samefile(path):
        raise InputError(
            "the verdicts would overwrite their input", where=str(out), fix="choose another file"
        )
    if out is not None and out.exists() and not (out.is_file() and _holds_verdicts(out)):
        raise InputError("is another file, not one of verdicts", where=str(out), fix="choose another file")
    rows: list[dict[str, Any]] = []
    bad: list[str] = []
    noted: list[str] = []
    benchmarks: dict[str, list[bool]] = {}
    for row, verdict in map_in_order(_graded, _rows(path)):
        rows.append(_verdict_row(row.key, verdict))
        bad += [row.fault] if row.fault else []
        noted += [f"{row.where}: options repeat"] if row.repeats else []
        noted += [f"{row.where}: {note}" for note in row.strange]
        if verdict.reason == "gold_outside_options":
            noted.append(f"{row.where}: the gold is outside the options, so no answer is right")
        if row.benchmark is not None:
            benchmarks.setdefault(row.benchmark, []).append(verdict.correct)
    if len(bad) == len(rows):
        what = f"not one of {len(rows)} rows can be graded; the first: {bad[0]}" if rows else "holds no rows"
        raise InputError(what, where=str(path), fix='rows like {"id": 1, "gold": "4", "response": "4"}')
    _write(rows, out)
    return Summary(
        len(rows),
        dict(Counter(row["status"] for row in rows)),
        dict(Counter(row["reason"] for row in rows)),
        {name: (sum(right), len(right)) for name, right in sorted(benchmarks.items())},
        tuple(bad),
        tuple(noted),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the file; `spec` is None, and `fault` says why, where it cannot be graded."""

    key: Any
    where: str
    response: str = ""
    spec: GradeSpec | None = None
    benchmark: str | None = None
    fault: str = ""
    strange: tuple[str, ...] = ()

    @property
    def repeats(self) -> bool:
        """Whether an option stands there twice."""
        return self.spec is not None and len(set(self.spec.options)) < len(self.spec.options)


def _graded(row: _Row) -> tuple[_Row, Verdict]:
    if row.spec is None:
        return row, Verdict("unparseable", None, "", None, "bad_row")
    return row, grade_response(row.response, row.spec)


def _rows(path: Path) -> Iterator[_Row]:
    lines: dict[str, int] = {}
    told = set(_KEYS)
    for line, row in read_jsonl(path):
        where = f"{path}, line {line}"
        try:
            key = _text(row, "id", where)
            if key in lines:
                what = f"id {key!r} stands on line {lines[key]} already"
                raise InputError(what, where=f"{where}, field id")
            lines[key] = line
            named = row.get("benchmark") is not None
            benchmark = _text(row, "benchmark", where) if named else None
            strange = tuple(note for name in row.keys() - told if (note := _misspelt(name)))
            told |= row.keys()
            text, spec = _text(row, "response", where), _spec(row, where)
            yield _Row(row["id"], where, text, spec, benchmark, strange=strange)
        except InputError as error:
            yield _Row(row.get("id"), where, fault=error.line())


def _misspelt(name: str) -> str:
    """A note on a key that is nearly one of ours, which would be passed over in silence."""
    guess = did_you_mean(name, _KEYS)
    return f"unknown key {name!r}, {guess}" if guess else ""


def _holds_verdicts(path: Path) -> bool:
    """Whether a file begins like one that an earlier call wrote, which may be replaced."""
    try:
        with path.open(encoding="utf-8") as handle:
            row = json.loads(handle.readline())
    except (OSError, ValueError):
        return False
    return isinstance(row, dict) and {"id", "correct", "status", "extracted"} <= row.keys()


def _verdict_row(key: Any, verdict: Verdict) -> dict[str, Any]:
    return {
        "id": key,
        "correct": verdict.correct,
        "status": verdict.status,
        "extracted": verdict.extracted,
        "normalized_gold": verdict.normalized_gold,
        "normalized_answer": verdict.normalized_answer,
        "reason": verdict.reason,
    }


def _write(rows: list[dict[str, Any]], out: Path | None) -> None:
    if out is None:
        for row in rows:
            # ASCII escapes: a model's control characters must not reach the terminal.
            sys.stdout.write(json.dumps(row) + "\n")
        return
    try:
        write_jsonl(out, rows)
    except UnicodeEncodeError:
        raise InputError("a response holds half a surrogate pair", where=str(out)) from None
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(out)) from None


def _spec(row: dict[str, Any], where: str) -> GradeSpec:
    options = cell_options(Row(where, row), "options")
    precision = row.get("precision")
    if precision is not None and (isinstance(precision, bool) or precision != _whole(precision)):
        raise InputError(f"{precision!r} is not a whole number", where=f"{where}, field precision")
    optional = {
        name: _text(row, name, where) for name in ("answer_type", "unit") if row.get(name) is not None
    }
    try:
        return GradeSpec(
            _text(row, "gold", where),
            optional.get("answer_type", "auto"),
            options,
            _whole(precision),
            optional.get("unit"),
        )
    except InputError as error:
        if error.where.startswith(str(where)):
            raise
        raise InputError(error.what, where=f"{where}, field {error.where}", fix=error.fix) from None


def _whole(value: Any) -> int | None:
    """A whole number as an int (benchmarks write precision as 1.0), anything else as None."""
    if isinstance(value, (int, float)) and float(value).is_integer():
        return int(value)
    return None


def _text(row: dict[str, Any], name: str, where: str) -> str:
    """A field as text; numbers are written as they stand, because golds often are numbers."""
    if name not in row:
        raise InputError("is missing", where=f"{where}, field {name}", fix=f"add {name!r} to the row")
    value = row[name]
    if name == "response" and value is None:
        return ""  # a call that failed: there is no answer
    if name == "gold" and isinstance(value, list) and all(isinstance(v, (str, int, float)) for v in value):
        return ", ".join(map(str, value))
    if (isinstance(value, bool) and name != "gold") or not isinstance(value, (str, int, float)):
        raise InputError(f"is {type(value).__name__}, not text", where=f"{where}, field {name}")
    return str(value)
