"""Problems that a set has twice, and problems that an evaluation set has too.

A problem is a question with its images. The same question about another image is another problem, and so
is another question about the same image. Images are the same by content, or alike (a copy in another size or
encoding, see `problems.fingerprints`); questions by their words and numbers, or near: with images, where
they differ in words that ask nothing, without images, where four in five phrases are the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vision_r1.construct.near_text import NEAR, NearIndex, likeness, near_pairs, numbers_of
from vision_r1.grading import GradeSpec, grade_answer
from vision_r1.grading.text import normalize_text
from vision_r1.problems.contamination import (
    TELLING_WORDS,
    TEMPLATE_IMAGES,
    TrainingRecord,
    overlap_of_prints,
)
from vision_r1.problems.fingerprints import Fingerprint, Look, Lookalikes, question_tokens
from vision_r1.problems.problem import Problem

Kind = Literal["exact", "same", "near", "other_answer"]
_KINDS: tuple[Kind, ...] = ("exact", "same", "near", "other_answer")  # the closest first
Prints = Sequence[Sequence[Fingerprint]]

# Words that ask nothing: two questions about one image that differ in these alone are one question.
_EMPTY_WORDS = """
a an the this that these those of in on at to for from with by and is are was were be do does did it its
please image picture figure diagram shown given above below following provided based according as question
answer find determine calculate compute what whats which tell me us your
"""
_IGNORED = frozenset(_EMPTY_WORDS.split())


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A problem that the set has already.

    Attributes:
        of: index of the one that stays: of those that are the same, the one with the smallest key.
        kind: "exact" is the same content; "same" the same words about the same or a like image; "near"
            nearly the same words; "other_answer" the same words with a gold that the other's gold is not,
            so that one of the two is wrong.
        score: likeness of the questions, 1.0 where they are the same.
    """

    of: int
    kind: Kind
    score: float


@dataclass(frozen=True, slots=True)
class Contaminated:
    """A problem that an evaluation set has too, wholly or in part.

    Attributes:
        benchmark: the evaluation set.
        kind: "both" (question and image), "same_question", "same_image", "near_image" (see
            `problems.contamination.Match`), or "near_question".
    """

    benchmark: str
    kind: str


class _Groups:
    """Things joined step by step, each group named by its smallest member."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def name(self, index: int) -> int:
        """The name of a member's group."""
        while self._parent[index] != index:
            self._parent[index] = self._parent[self._parent[index]]
            index = self._parent[index]
        return index

    def join(self, one: int, other: int) -> None:
        """Make one group of two."""
        low, high = sorted((self.name(one), self.name(other)))
        self._parent[high] = low


def find_duplicates(problems: Sequence[Problem], keys: Sequence[str], prints: Prints) -> dict[int, Duplicate]:
    """Which problems repeat another one of the set.

    Which of several stays depends on their content alone, not on their order.

    Args:
        problems: of the set.
        keys: the content key of each.
        prints: the fingerprints of each, from `problems.fingerprints.fingerprint`.

    Returns:
        Index -> what it repeats. Those that stay are not in it.
    """
    order = sorted(range(len(problems)), key=lambda index: (keys[index], problems[index].id, index))
    found: dict[int, Duplicate] = {}
    first: dict[str, int] = {}
    for index in order:
        if (stays := first.setdefault(keys[index], index)) != index:
            found[index] = Duplicate(stays, "exact", 1.0)
    images = _image_names(prints)
    rest = [index for index in order if index not in found]
    found |= _same(problems, rest, images)
    found |= _near(problems, [index for index in rest if index not in found], images)
    return {index: _settled(index, found) for index in sorted(found)}


def _settled(index: int, found: Mapping[int, Duplicate]) -> Duplicate:
    """With the one that stays in the end: what a problem repeats may itself repeat another."""
    last, chain = found[index], [found[index]]
    while last.of in found:
        last = found[last.of]
        chain.append(last)
    weakest = max(chain, key=lambda each: _KINDS.index(each.kind))
    return Duplicate(last.of, weakest.kind, min(each.score for each in chain))


def _image_names(prints: Prints) -> list[tuple[Hashable, ...]]:
    """For each problem a name of each of its images that is the same for images that look alike."""
    looks: dict[Look, int] = {}
    for own in prints:
        for row in own:
            if row.look is not None:
                looks.setdefault(row.look, len(looks))
    groups, index = _Groups(len(looks)), Lookalikes(list(looks))
    for look, place in looks.items():
        for other in index.find(look) if len(looks) > 1 else ():
            groups.join(place, int(other))
    return [
        tuple(groups.name(looks[row.look]) if row.look is not None else row.image for row in own if row.image)
        for own in prints
    ]


def _same(
    problems: Sequence[Problem], order: Sequence[int], images: Sequence[tuple[Hashable, ...]]
) -> dict[int, Duplicate]:
    """Problems with the images, words and choices of one before them."""
    first: dict[Hashable, int] = {}
    found: dict[int, Duplicate] = {}
    for index in order:
        problem = problems[index]
        choices = tuple(sorted(normalize_text(option) for option in problem.options))
        words = " ".join(question_tokens(problem.question))
        stays = first.setdefault((images[index], words, choices), index)
        if stays != index:
            kind: Kind = "same" if _same_answer(problem, problems[stays]) else "other_answer"
            found[index] = Duplicate(stays, kind, 1.0)
    return found


def _gold(problem: Problem) -> str:
    """The gold as text: of a choice what stands behind its letter."""
    gold = problem.answer.strip().strip("().").upper()
    if problem.options and len(gold) == 1 and 0 <= ord(gold) - 65 < len(problem.options):
        return normalize_text(problem.options[ord(gold) - 65])
    return normalize_text(problem.answer)


def _same_answer(one: Problem, other: Problem) -> bool:
    first, second = _gold(one), _gold(other)
    if first == second or not (first and second):
        return first == second
    return grade_answer(first, GradeSpec(second)).correct


def _near(
    problems: Sequence[Problem], order: Sequence[int], images: Sequence[tuple[Hashable, ...]]
) -> dict[int, Duplicate]:
    """Problems with nearly the words of one before them, the same images, numbers and answer."""
    alike: defaultdict[Hashable, list[int]] = defaultdict(list)
    for index in order:
        tokens = question_tokens(problems[index].question)
        alike[images[index], numbers_of(tokens), _gold(problems[index])].append(index)
    found: dict[int, Duplicate] = {}
    for members in alike.values():
        if len(members) == 1:
            continue
        texts = [question_tokens(problems[index].question) for index in members]
        groups = _Groups(len(members))
        pairs = _same_question(texts) if images[members[0]] else ((a, b) for a, b, _ in near_pairs(texts))
        for one, other in pairs:
            groups.join(one, other)
        for place, index in enumerate(members):
            if (stays := groups.name(place)) != place:
                score = likeness(texts[stays], texts[place])
                found[index] = Duplicate(members[stays], "near", round(score, 3))
    return found


def _same_question(texts: Sequence[Sequence[str]]) -> Iterable[tuple[int, int]]:
    """Pairs of questions that differ in words that ask nothing; each with the first of its kind."""
    first: dict[tuple[str, ...], int] = {}
    for index, tokens in enumerate(texts):
        asked = tuple(token for token in tokens if token not in _IGNORED)
        stays = first.setdefault(asked, index)
        if stays != index:
            yield stays, index


def find_contaminated(
    problems: Sequence[Problem],
    prints: Prints,
    benchmarks: Mapping[str, tuple[Sequence[Problem], Prints]],
) -> dict[int, Contaminated]:
    """Which problems are in an evaluation set, by question or by image.

    Args:
        problems: of the set to be trained on.
        prints: the fingerprints of each.
        benchmarks: name -> problems of the evaluation set and their fingerprints, taken with that name as
            their source.

    Returns:
        Index -> where it was found; for one that several sets have, in the first by name.
    """
    rows = sorted({row for _, own in benchmarks.values() for each in own for row in each})
    record = TrainingRecord(tuple(rows), "")
    overlap = overlap_of_prints(record, [str(index) for index in range(len(problems))], prints)
    found = {int(match.id): Contaminated(match.source, match.kind) for match in overlap.matches}
    for name, (asked, own) in sorted(benchmarks.items()):
        for index in _near_questions(problems, prints, asked, own):
            found.setdefault(index, Contaminated(name, "near_question"))
    return dict(sorted(found.items()))


def _near_questions(
    problems: Sequence[Problem], prints: Prints, asked: Sequence[Problem], own: Prints
) -> Iterable[int]:
    """Indices of the problems with nearly the words of a question that only few images of the set have."""
    shown_with = Counter(print_.question for print_, *_ in own)
    telling = [
        question_tokens(problem.question)
        for problem, (print_, *_) in zip(asked, own, strict=True)
        if print_.words >= 2 * TELLING_WORDS and shown_with[print_.question] < TEMPLATE_IMAGES
    ]
    if not telling:
        return
    index = NearIndex(telling)
    long = [place for place, (print_, *_) in enumerate(prints) if print_.words >= 2 * TELLING_WORDS]
    texts = (question_tokens(problems[place].question) for place in long)
    for place, likely in zip(long, index.like(texts), strict=True):
        tokens = question_tokens(problems[place].question)
        if any(likeness(tokens, telling[each]) >= NEAR for each in likely):
            yield place
