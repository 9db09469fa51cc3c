"""From replies to rows: filter, rewrite, choose among the samples, and write down why.

Pure and in order: problems by their content keys, samples by their numbers. The same answers give the
same rows, whoever asked for them, in how many parts and after how many kills.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from vision_r1.construct.chain import Made, Sample, further_notes
from vision_r1.construct.filters import Candidate
from vision_r1.construct.judge import Judgement
from vision_r1.construct.keep import KeepRule, chosen
from vision_r1.construct.known import KnownImage
from vision_r1.construct.prepare import Origin, family_of
from vision_r1.construct.record import Images, Record
from vision_r1.construct.replies import Dropped
from vision_r1.construct.steps import OWN_NOTES
from vision_r1.grading import GradeSpec
from vision_r1.problems.problem import Problem

Judge = Callable[[Iterable[Candidate]], Iterator[Judgement]]


@dataclass(frozen=True, slots=True)
class Item:
    """One row before it is judged.

    Attributes:
        problem: the problem, its id the content key.
        made: what became of it.
        sample: one of its samples; None where no reasoner was asked.
    """

    problem: Problem
    made: Made
    sample: Sample | None

    @property
    def dropped(self) -> Dropped | None:
        """Why it is dropped before any filter."""
        return self.made.dropped if self.sample is None else self.sample.dropped

    def candidate(self) -> Candidate | None:
        """What the filter sees of it; None where there is nothing to see."""
        if self.sample is None or self.sample.dropped is not None:
            return None
        said = self.sample.said
        return Candidate(
            thought=self.sample.thought,
            reply=self.sample.reply,
            spec=GradeSpec.of(self.problem),
            tokens=said.tokens,
            stopped=said.stop_reason != "length",
            hidden=said.hidden,
            facts=KnownImage.of(self.problem),
            question=self.problem.prompt,
        )


def items_of(problem: Problem, made: Made) -> list[Item]:
    """The rows of a problem: one a sample, or one that says why there is none."""
    return [Item(problem, made, sample) for sample in made.samples] or [Item(problem, made, None)]


def records(
    items: Iterable[Item],
    judge: Judge,
    origins: Mapping[str, Origin],
    images: Callable[[Problem], Images],
    rule: KeepRule,
    at_most: int | None,
) -> Generator[Record]:
    """The rows of all items, in order.

    Args:
        items: by problem and sample.
        judge: the filter and the rewriting, in order.
        origins: where each problem is from.
        images: stores a problem's images and says what they are called.
        rule: which samples are kept, see `keep.chosen`.
        at_most: of one problem.
    """
    for _, group in groupby(_judged(items, judge), key=lambda pair: pair[0].problem.id):
        pairs = list(group)
        good = [judgement is not None and judgement.kept for _, judgement in pairs]
        tokens = [item.sample.said.tokens if item.sample else 0 for item, _ in pairs]
        right = [None if judgement is None else judgement.verdict.correct for _, judgement in pairs]
        keep = chosen(good, right, tokens, rule, at_most)
        kept = images(pairs[0][0].problem)
        for place, (item, judgement) in enumerate(pairs):
            why = item.dropped
            if good[place] and place not in keep:
                why = Dropped("not_chosen", f"{rule} keeps others of {sum(good)} right in {len(good)}")
            yield record(item, judgement, why, origins[item.problem.id], kept)


def _judged(items: Iterable[Item], judge: Judge) -> Iterator[tuple[Item, Judgement | None]]:
    """Each item with its judgement; None for one that was dropped before."""
    waiting: deque[tuple[Item, bool]] = deque()

    def candidates() -> Iterator[Candidate]:
        for item in items:
            candidate = item.candidate()
            waiting.append((item, candidate is not None))
            if candidate is not None:
                yield candidate

    for judgement in judge(candidates()):
        while not waiting[0][1]:
            yield waiting.popleft()[0], None
        yield waiting.popleft()[0], judgement
    while waiting:
        yield waiting.popleft()[0], None


def record(
    item: Item, judgement: Judgement | None, why: Dropped | None, origin: Origin, images: Images
) -> Record:
    """One row.

    Args:
        item: what was asked and said.
        judgement: on it; None where there was nothing to judge.
        why: what drops it whatever the judgement says.
        origin: where its problem is from.
        images: its images.
    """
    problem, made, sample = item.problem, item.made, item.sample
    dropped = (why,) if why is not None else judgement.dropped if judgement is not None else ()
    index = sample.index if sample is not None else 0
    return Record(
        id=f"{problem.id}-{index:02d}",
        problem=problem.id,
        source=origin.source,
        source_id=origin.source_id,
        sample_index=index,
        question=problem.prompt,
        options=problem.options,
        answer=problem.answer,
        answer_type=problem.answer_type,
        family=family_of(problem),
        images=images.names,
        image_sizes=images.sizes,
        caption=made.notes.get("caption", ""),
        pseudo_cot=made.notes.get("pseudo_cot", ""),
        description=made.notes.get("description", ""),
        notes=further_notes(made, sample, OWN_NOTES),
        thought=sample.thought if sample else "",
        reply=sample.reply if sample else "",
        tokens=sample.said.tokens if sample else 0,
        kept=not dropped,
        reason=dropped[0].rule if dropped else "kept",
        detail=dropped[0].reason if dropped else "",
        fired=tuple(each.rule for each in dropped),
        rewritten=judgement is not None and judgement.rewritten,
        extracted=judgement.verdict.extracted if judgement else None,
        verdict=judgement.verdict.status if judgement else "",
        final_text="" if dropped or judgement is None else judgement.final_text,
        requests=made.requests + (sample.requests if sample else ()),
    )
