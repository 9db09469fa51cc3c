"""Problems that a set has twice, and problems that an evaluation set has too.

A problem is a question with its images. The same question about another image is another problem, and so
is another question about the same image. Images are the same by content, or copies in another size or
encoding: those that look alike (`problems.fingerprints`) are compared by their pixels (`construct.copies`).
Questions are the same by their words and numbers, or near: with images, where they have the same words but
for some that ask nothing (see `construct.rephrased`), without images, where four in five phrases are the
same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from vision_r1.construct.copies import Copies, Sameness
from vision_r1.construct.near_text import NEAR, NearIndex, likeness, near_pairs, numbers_of
from vision_r1.construct.rephrased import asking_words, rephrased
from vision_r1.core.progress import Progress, Silent
from vision_r1.grading import GradeSpec, grade_answer
from vision_r1.grading.text import normalize_text
from vision_r1.problems.contamination import (
    TELLING_WORDS,
    TEMPLATE_IMAGES,
    TrainingRecord,
    overlap_of_prints,
)
from vision_r1.problems.fingerprints import Fingerprint, Look, Lookalikes, question_tokens
from vision_r1.problems.problem import Media, Problem

Kind = Literal["exact", "same", "near", "other_answer"]
_KINDS: tuple[Kind, ...] = ("exact", "same", "near", "other_answer")  # the closest first
Prints = Sequence[Sequence[Fingerprint]]

# With so many of those that stay, the nearest first, are the images of a problem compared by all pixels. A
# copy is among the first; thousands of drawings that differ in a label too small for a thumbnail are not
# worth a comparison of each with each.
_MOST_COMPARED = 4


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A problem that the set has already.

    Attributes:
        of: index of the one that stays: of those that are the same, the one with the smallest key. Of an
            "exact" one, the first with its content, which may itself repeat another.
        kind: "exact" is the same content; "same" the same words about the same image or a copy of it;
            "near" nearly the same words; "other_answer" the same words about the same pixels with a gold
            that the other's gold is not, so that one of the two is wrong.
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


class _Asked(NamedTuple):
    """What a problem asks, made comparable.

    Attributes:
        words: its words, numbers and signs.
        choices: sorted.
        gold: of a choice what stands behind its letter.
        asking: those of the words that ask something, sorted: near questions have the same.
    """

    words: str
    choices: tuple[str, ...]
    gold: str
    asking: tuple[str, ...]

    def same(self, other: _Asked) -> bool:
        """Whether both have the same words and choices."""
        return (self.words, self.choices) == (other.words, other.choices)

    def near(self, other: _Asked) -> bool:
        """Whether both ask one thing in other words, and have one answer."""
        return self.gold == other.gold and rephrased(self.words.split(), other.words.split())


def _asked(problem: Problem) -> _Asked:
    tokens = question_tokens(problem.question)
    choices = tuple(sorted(normalize_text(option) for option in problem.options))
    return _Asked(" ".join(tokens), choices, _gold(problem), tuple(sorted(asking_words(tokens))))


def exact_doubles(keys: Sequence[str], order: Sequence[int]) -> dict[int, Duplicate]:
    """Which problems, gone through in an order, have the content key of one before them."""
    first: dict[str, int] = {}
    doubles = ((index, first.setdefault(keys[index], index)) for index in order)
    return {index: Duplicate(of, "exact", 1.0) for index, of in doubles if of != index}


def find_duplicates(
    problems: Sequence[Problem], keys: Sequence[str], prints: Prints, progress: Progress | None = None
) -> dict[int, Duplicate]:
    """Which problems repeat another one of the set.

    Which of several stays depends on their content alone, not on their order. A problem with images goes
    only where its images and those of the very one that stays were compared.

    Args:
        problems: of the set.
        keys: the content key of each.
        prints: the fingerprints of each, from `problems.fingerprints.fingerprint`. Images without a look
            are the same by content alone.
        progress: told of every look-alike that is decoded.

    Returns:
        Index -> what it repeats.

    Raises:
        InputError: an image that looks like another one cannot be read.
    """
    order = sorted(range(len(problems)), key=lambda index: (keys[index], problems[index].id, index))
    exact = exact_doubles(keys, order)
    rest = [index for index in order if index not in exact]
    asked = {index: _asked(problems[index]) for index in rest}
    found = _Shown(problems, prints, asked, progress or Silent()).repeated()
    texts = [index for index in rest if not problems[index].media]
    same = _same(problems, texts, asked)
    near = _near([index for index in texts if index not in same], asked)
    found |= {index: _settled(index, same | near) for index in (*same, *near)}
    return dict(sorted((exact | found).items()))


def _settled(index: int, found: Mapping[int, Duplicate]) -> Duplicate:
    """With the one that stays in the end: what a problem repeats may itself repeat another."""
    last, chain = found[index], [found[index]]
    while last.of in found:
        last = found[last.of]
        chain.append(last)
    weakest = max(chain, key=lambda each: _KINDS.index(each.kind))
    return Duplicate(last.of, weakest.kind, min(each.score for each in chain))


class _Shown:
    """The problems with images, found again by what they ask and how their first image looks.

    Args:
        problems: of the set.
        prints: the fingerprints of each.
        asked: what those ask that are compared, in the order in which they may stay.
        progress: told of every look-alike that is decoded.
    """

    def __init__(
        self, problems: Sequence[Problem], prints: Prints, asked: Mapping[int, _Asked], progress: Progress
    ) -> None:
        self._problems, self._asked = problems, asked
        self._images = {
            index: tuple(row.image for row in prints[index]) for index in asked if problems[index].media
        }
        self._looks: dict[str, Look] = {}
        media: dict[str, Media] = {}
        for index in self._images:
            for row, image in zip(prints[index], problems[index].media, strict=True):
                if row.look is not None:
                    self._looks[row.image], media[row.image] = row.look, image
        names = {look: name for name, look in enumerate(dict.fromkeys(self._looks.values()))}
        self._names: dict[str, Hashable] = {image: names[look] for image, look in self._looks.items()}
        self._alike = Lookalikes(list(names))
        self._asking = Counter((len(own), asked[index].asking) for index, own in self._images.items())
        self._places: defaultdict[Hashable, list[int]] = defaultdict(list)
        for index, own in self._images.items():
            name = self._names.get(own[0], own[0])
            self._places[len(own), asked[index].asking, name].append(index)
        self._copies = Copies(media)
        self._look_at_likely(progress)

    def _look_at_likely(self, progress: Progress) -> None:
        wanted: dict[str, None] = {}
        for index, own in self._images.items():
            if any(self._images[other] != own for other in self._likely(index)):
                wanted |= dict.fromkeys(image for image in own if image in self._looks)
        if wanted:
            self._copies.look_at(wanted, progress)

    def _likely(self, index: int) -> Iterator[int]:
        """The problems with the same words, but for empty ones, whose first image looks alike."""
        own, asking = self._images[index], self._asked[index].asking
        if self._asking[len(own), asking] == 1:
            return
        look = self._looks.get(own[0])
        names: Iterable[Hashable] = [own[0]] if look is None else map(int, self._alike.find(look))
        for name in names:
            yield from self._places.get((len(own), asking, name), ())

    def repeated(self) -> dict[int, Duplicate]:
        """Index -> what it repeats, of those that stay; each is compared with those that stay only."""
        found: dict[int, Duplicate] = {}
        stay: set[int] = set()
        for index in self._images:
            twin = self._twin(index, stay)
            if twin is None:
                stay.add(index)
            else:
                found[index] = twin
        return found

    def _twin(self, index: int, stay: set[int]) -> Duplicate | None:
        near = [
            (distance, place, other)
            for place, other in enumerate(self._likely(index))
            if other in stay and (distance := self._distance(index, other)) is not None
        ]
        for _, _, other in sorted(near)[:_MOST_COMPARED]:
            if kind := self._kind(index, other):
                one, two = (self._asked[each].words.split() for each in (other, index))
                return Duplicate(other, kind, round(likeness(one, two), 3) if kind == "near" else 1.0)
        return None

    def _distance(self, index: int, other: int) -> float | None:
        """How far apart the images are at a glance, where what is asked may be the same."""
        one, two = self._asked[index], self._asked[other]
        if not one.same(two) and not one.near(two):
            return None
        farthest = 0.0
        for image, its in zip(self._images[index], self._images[other], strict=True):
            apart = self._copies.distance(image, its)
            if apart is None:
                return None
            farthest = max(farthest, apart)
        return farthest

    def _kind(self, index: int, other: int) -> Kind | None:
        pairs = zip(self._images[index], self._images[other], strict=True)
        sameness: set[Sameness] = {self._copies.compare(image, its) for image, its in pairs}
        if "other" in sameness:
            return None
        if not self._asked[index].same(self._asked[other]):
            return "near"
        if _same_answer(self._problems[index], self._problems[other]):
            return "same"
        # A copy may differ in what the question is about; the same pixels do not.
        return "other_answer" if sameness == {"identical"} else None


def _same(
    problems: Sequence[Problem], order: Sequence[int], asked: Mapping[int, _Asked]
) -> dict[int, Duplicate]:
    """Problems without images that have the words and choices of one before them."""
    first: dict[Hashable, int] = {}
    found: dict[int, Duplicate] = {}
    for index in order:
        stays = first.setdefault((asked[index].words, asked[index].choices), index)
        if stays != index:
            kind: Kind = "same" if _same_answer(problems[index], problems[stays]) else "other_answer"
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


def _near(order: Sequence[int], asked: Mapping[int, _Asked]) -> dict[int, Duplicate]:
    """Problems without images with nearly the words of one before them, the same numbers and answer."""
    alike: defaultdict[Hashable, list[int]] = defaultdict(list)
    for index in order:
        alike[numbers_of(asked[index].words.split()), asked[index].gold].append(index)
    found: dict[int, Duplicate] = {}
    for members in alike.values():
        texts = [asked[index].words.split() for index in members]
        groups = _Groups(len(members))
        for one, other, _ in near_pairs(texts):
            groups.join(one, other)
        for place, index in enumerate(members):
            if (stays := groups.name(place)) != place:
                score = likeness(texts[stays], texts[place])
                found[index] = Duplicate(members[stays], "near", round(score, 3))
    return found


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
