"""From replies to rows: filter, rewrite, choose among the samples, and write down why.

Pure and in order: problems by their content keys, samples by their numbers. The same answers give the
same rows, whoever asked for them, in how many parts and after how many kills.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from vision_r1.construct.chain import Made, Sample, further_notes
from vision_r1.construct.filters import Candidate
from vision_r1.construct.judging import Judged
from vision_r1.construct.keep import KeepRule, chosen
from vision_r1.construct.prepare import Origin, family_of
from vision_r1.construct.record import Record
from vision_r1.construct.replies import Dropped
from vision_r1.construct.steps import OWN_NOTES
from vision_r1.grading import GradeSpec
from vision_r1.problems.problem import Problem

Judge = Callable[[Iterable["Item"]], Iterator[tuple["Item", Judged]]]


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
        )


def items_of(problem: Problem, made: Made) -> list[Item]:
    """The rows of a problem: one a sample, or one that says why there is none."""
    return [Item(problem, made, sample) for sample in made.samples] or [Item(problem, made, None)]


def records(
    items: Iterable[Item],
    judge: Judge,
    origins: Mapping[str, Origin],
    images: Callable[[Problem], tuple[str, ...]],
    rule: KeepRule,
    at_most: int,
) -> Iterator[Record]:
    """The rows of all items, in order.

    Args:
        items: by problem and sample.
        judge: gives each item with its verdict, in order.
        origins: where each problem is from.
        images: stores a problem's images and gives their names.
        rule, at_most: which samples are kept, see `keep.chosen`.
    """
    for _, group in groupby(judge(items), key=lambda pair: pair[0].problem.id):
        pairs = list(group)
        good = [not judged.dropped for _, judged in pairs]
        tokens = [item.sample.said.tokens if item.sample else 0 for item, _ in pairs]
        keep = chosen(good, tokens, rule, at_most)
        names = images(pairs[0][0].problem)
        for place, (item, judged) in enumerate(pairs):
            if good[place] and place not in keep:
                detail = f"{rule} keeps others of {sum(good)} right in {len(good)}"
                judged = replace(judged, dropped=(Dropped("not_chosen", detail),))
            yield record(item, judged, origins[item.problem.id], names)


def record(item: Item, judged: Judged, origin: Origin, images: tuple[str, ...]) -> Record:
    """One row."""
    problem, made, sample = item.problem, item.made, item.sample
    first = judged.dropped[0] if judged.dropped else None
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
        images=images,
        caption=made.notes.get("caption", ""),
        pseudo_cot=made.notes.get("pseudo_cot", ""),
        description=made.notes.get("description", ""),
        notes=further_notes(made, sample, OWN_NOTES),
        thought=sample.thought if sample else "",
        reply=sample.reply if sample else "",
        tokens=sample.said.tokens if sample else 0,
        kept=first is None,
        reason=first.rule if first else "kept",
        detail=first.reason if first else "",
        fired=tuple(each.rule for each in judged.dropped),
        rewritten=judged.rewritten,
        extracted=judged.extracted,
        verdict=judged.verdict,
        final_text=judged.final_text if first is None else "",
        requests=made.requests + (sample.requests if sample else ()),
    )
