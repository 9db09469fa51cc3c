"""Before anything is asked: problems named by their content, and those that are not worth asking.

Everything here is decided from the whole set, so every shard of a construction decides alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from vision_r1.construct.dedupe import exact_doubles, find_contaminated, find_duplicates
from vision_r1.construct.record import Record
from vision_r1.core.errors import InputError
from vision_r1.core.progress import Progress
from vision_r1.problems.faults import BadRow
from vision_r1.problems.fingerprints import Look, fingerprint
from vision_r1.problems.problem import Problem, content_key

# How a row is counted that says the same as another one.
_DOUBLE = {
    "exact": "duplicate",
    "same": "near_duplicate",
    "near": "near_duplicate",
    "other_answer": "other_answer",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a problem is from: the name of the set, and what that set calls it."""

    source: str
    source_id: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that no teacher is asked about.

    Attributes:
        key: the problem's content key; of a row that is no problem, a name of its own.
        origin: where it is from.
        reason: short name to count by.
        detail: what exactly is wrong.
        row: the problem, or what could be read of one.
    """

    key: str
    origin: Origin
    reason: str
    detail: str
    row: Problem | BadRow

    def record(self, images: tuple[str, ...]) -> Record:
        """Its row; the id holds where it is from, as duplicates have one key."""
        name = hashlib.sha256(f"{self.origin.source}\0{self.origin.source_id}".encode()).hexdigest()[:8]
        problem = self.row if isinstance(self.row, Problem) else None
        return Record(
            id=f"{self.key}-x{name}",
            problem=self.key,
            source=self.origin.source,
            source_id=self.origin.source_id,
            sample_index=0,
            question=problem.prompt if problem else self.row.question,
            options=self.row.options,
            answer=self.row.answer,
            answer_type=problem.answer_type if problem else "",
            family=family_of(problem) if problem else None,
            images=images,
            reason=self.reason,
            detail=self.detail,
            fired=(self.reason,),
        )


def family_of(problem: Problem) -> str | None:
    """What figures are broken down by, where the set says it."""
    family = problem.meta.get("family")
    return None if family is None else str(family)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a construction starts from.

    Attributes:
        problems: sorted by their ids, which are their content keys.
        origins: of each id.
        rejected: sorted by key.
        unread: of each evaluation set, how many rows could not be read, by reason.
    """

    problems: tuple[Problem, ...]
    origins: Mapping[str, Origin]
    rejected: tuple[Rejected, ...]
    unread: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def part(self, index: int, of: int) -> Prepared:
        """Part `index` (from 1) of `of`: a problem belongs to one part by its key alone."""
        mine = [problem for problem in self.problems if _part(problem.id, of) == index]
        rejected = tuple(row for row in self.rejected if _part(row.key, of) == index)
        return replace(self, problems=tuple(mine), rejected=rejected)

    def first(self, n: int) -> Prepared:
        """The first `n` problems by key; keys are hashes, so that is a sample without favour."""
        return replace(self, problems=self.problems[:n], rejected=())


def _part(key: str, of: int) -> int:
    return int(key[:8], 16) % of + 1


def prepare(
    sets: Mapping[str, tuple[Sequence[Problem], Sequence[BadRow]]],
    evaluation: Mapping[str, Sequence[Problem]],
    near: bool,
    progress: Progress,
    looks: Mapping[str, Look | None] | None = None,
    *,
    text_only: bool = False,
) -> Prepared:
    """Name problems by their content and set aside what is bad, double or in an evaluation set.

    Args:
        sets: by name, the problems that could be read and the rows that could not.
        evaluation: by name, problems that must not be learned from.
        near: leave out near duplicates too; exact ones always are.
        progress: told of the search.
        looks: by the keys of images: those that are known already.
        text_only: keep problems without an image, of which an MLLM can describe nothing.

    Raises:
        InputError: no problem is left.
    """
    rejected = [
        Rejected(bad.key(name), Origin(name, bad.source_id or bad.row), bad.reason, bad.detail, bad)
        for name, (_, faults) in sets.items()
        for bad in faults
    ]
    found = sorted(
        (
            (content_key(problem), Origin(name, problem.id), problem)
            for name, (problems, _) in sets.items()
            for problem in problems
        ),
        key=lambda each: (each[0], each[1].source, each[1].source_id),
    )
    problems = [replace(problem, id=key) for key, _, problem in found]
    origins = [origin for _, origin, _ in found]
    why = {} if text_only else _without_image(problems)
    for index, found_out in _not_worth_asking(problems, origins, evaluation, near, progress, looks).items():
        why.setdefault(index, found_out)
    rejected += [
        Rejected(problems[index].id, origins[index], reason, detail, problems[index])
        for index, (reason, detail) in why.items()
    ]
    rest = [index for index in range(len(problems)) if index not in why]
    if not rest:
        raise InputError(
            f"no problem is left of {len(rejected)}; the first reason: "
            + (f"{rejected[0].reason}: {rejected[0].detail}" if rejected else "the sets are empty"),
            where="data",
        )
    rejected.sort(key=lambda row: (row.key, row.origin.source, row.origin.source_id))
    kept = {problems[index].id: origins[index] for index in rest}
    return Prepared(tuple(problems[index] for index in rest), kept, tuple(rejected))


def _without_image(problems: Sequence[Problem]) -> dict[int, tuple[str, str]]:
    detail = "nothing to describe; text_only: true asks such problems too"
    return {index: ("no_image", detail) for index, problem in enumerate(problems) if not problem.media}


def _not_worth_asking(
    problems: Sequence[Problem],
    origins: Sequence[Origin],
    evaluation: Mapping[str, Sequence[Problem]],
    near: bool,
    progress: Progress,
    looks: Mapping[str, Look | None] | None,
) -> dict[int, tuple[str, str]]:
    """Index -> reason and detail, of problems that are double or in an evaluation set. See `prepare`."""
    progress.say(f"looking for duplicates among {len(problems):,} problems")
    prints = fingerprint(problems, "", known=looks) if near or evaluation else []
    keys = [problem.id for problem in problems]
    double = (
        find_duplicates(problems, keys, prints, progress)
        if near
        else exact_doubles(keys, range(len(problems)))
    )
    why: dict[int, tuple[str, str]] = {}
    for index, twin in double.items():
        first = origins[twin.of]
        why[index] = (_DOUBLE[twin.kind], f"{twin.kind} as {first.source}: {first.source_id}")
    if evaluation:
        known = {name: (each, fingerprint(each, name, known=looks)) for name, each in evaluation.items()}
        for index, match in find_contaminated(problems, prints, known).items():
            why.setdefault(index, ("contaminated", f"{match.kind} in {match.benchmark}"))
    return why
