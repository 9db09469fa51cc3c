"""The problems that data construction starts from: loaded leniently, their golds found and graded.

LLaVA-CoT and Mulberry publish no golds but answers that a model wrote: "Juneau is the capital of Alaska.
The answer is B." The grader reads the answer out of them as it reads it out of any reply, and the gold
that is found must be one to which the published answer itself is right. Everything else is set aside
with its reason before a request is paid for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_uppercase

from vision_r1.core.errors import InputError
from vision_r1.core.progress import Progress
from vision_r1.grading import GradeSpec, choice, extract, grade_response
from vision_r1.grading.parallel import map_in_order
from vision_r1.grading.statement import claims, yes_or_no
from vision_r1.grading.text import hedges
from vision_r1.problems.config import ProblemsConfig, TinyWorldData
from vision_r1.problems.faults import BadRow, Reason
from vision_r1.problems.image_checks import image_faults
from vision_r1.problems.layouts import WRITTEN_ANSWERS
from vision_r1.problems.lenient import ImageCheck, load_problems_leniently, load_questions
from vision_r1.problems.problem import Problem

MOST_WORDS = 6  # of a gold: what is longer is prose, to which nobody's answer is equal


@dataclass(frozen=True, slots=True)
class Loading:
    """How sets are loaded.

    Attributes:
        progress: told of every set, image and gold.
        spill: see `load_problems_leniently`.
        check: likewise.
    """

    progress: Progress
    spill: Path | None = None
    check: ImageCheck = image_faults

    def read(
        self, load: Callable[..., tuple[list[Problem], list[BadRow]]], name: str, config: ProblemsConfig
    ) -> tuple[list[Problem], list[BadRow]]:
        """What `load` gives of the set, with its images shown as a stage."""
        begun = False

        def advance(done: int, total: int) -> None:
            nonlocal begun
            if not begun:
                self.progress.start(f"read {name}", total, "image")
                begun = True
            self.progress.advance(done)

        result = load(config, advance, self.spill, self.check)
        if begun:
            self.progress.finish()
        return result


def load_source(name: str, config: ProblemsConfig, loading: Loading) -> tuple[list[Problem], list[BadRow]]:
    """The problems of a data section whose golds can be graded, and every other row with its reason.

    Besides what `load_problems_leniently` sets aside: "no_gold" (no answer, or more than one, in what is
    published), "open_answer" (prose, which no answer equals), "ungradeable_gold" (one that is not graded
    as right against itself, so that every row would be dropped).

    Args:
        name: what the set is called.
        config: its data section.
        loading: how it is loaded.

    Raises:
        InputError: as `load_problems_leniently`.
    """
    problems, bad = loading.read(load_problems_leniently, name, config)
    written = not isinstance(config, TinyWorldData) and config.layout in WRITTEN_ANSWERS
    settled = map_in_order(settled_gold if written else gradeable, problems)
    good: list[Problem] = []
    loading.progress.start(f"grade golds of {name}", len(problems), "gold")
    for done, result in enumerate(settled, start=1):
        loading.progress.advance(done)
        if isinstance(result, BadRow):
            bad.append(result)
        else:
            good.append(result)
    loading.progress.finish()
    return good, bad


def load_evaluation(
    name: str, config: ProblemsConfig, loading: Loading
) -> tuple[list[Problem], Counter[Reason]]:
    """What an evaluation set asks, and how many of its rows cannot be read, by reason.

    Raises:
        InputError: as `load_problems_leniently`; also where no row of it can be read.
    """
    problems, bad = loading.read(load_questions, name, config)
    unread = Counter(row.reason for row in bad)
    if bad and not problems:
        raise InputError(
            f"no row of {len(bad):,} can be read; the first: {bad[0].detail}",
            where=f"evaluation set {name}, {bad[0].row}",
            fix="correct its section, or leave it out",
        )
    if bad:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in unread.most_common())
        loading.progress.say(
            f"{name}: {len(bad):,} of {len(bad) + len(problems):,} rows cannot be read and"
            f" are not kept clear of ({reasons})"
        )
    return problems, unread


def settled_gold(problem: Problem) -> Problem | BadRow:
    """The problem with the gold that its published answer states; kept as written in `meta["gold"]`."""
    gold = choice_gold(problem.answer, problem.options) if problem.options else free_gold(problem.answer)
    if gold is None:
        long = len(problem.answer.split()) > MOST_WORDS and not problem.options
        reason: Reason = "open_answer" if long else "no_gold"
        return _set_aside(problem, reason, "no answer that can be graded in what is published")
    found = replace(problem, answer=gold, meta={**problem.meta, "gold": problem.answer})
    if not grade_response(problem.answer, GradeSpec.of(found)).correct:
        return _set_aside(problem, "no_gold", f"the published answer is not right to {gold[:60]!r}")
    return gradeable(found)


def gradeable(problem: Problem) -> Problem | BadRow:
    """The problem, unless its own gold is not graded as right."""
    try:
        spec = GradeSpec.of(problem)
    except InputError as error:
        return _set_aside(problem, "ungradeable_gold", error.what)
    verdict = grade_response(f"<answer> Final Answer:{problem.answer} </answer>", spec)
    if verdict.correct:
        return problem
    return _set_aside(problem, "ungradeable_gold", f"the gold is not right to itself: {verdict.reason}")


def choice_gold(published: str, options: tuple[str, ...]) -> str | None:
    """The letter of the choice that a published answer names; None if it names none or several."""
    answer = extract(published).answer
    named = choice.resolve(answer, options).indices if answer else frozenset[int]()
    if not named:
        letters = ascii_uppercase[: len(options)]
        right = (
            grade_response(published, GradeSpec(letter, "choice", options)).correct for letter in letters
        )
        named = frozenset(index for index, correct in enumerate(right) if correct)
    texts = {options[index].casefold() for index in named}
    return ascii_uppercase[min(named)] if len(texts) == 1 else None


def free_gold(published: str) -> str | None:
    """The answer that a published answer gives, as short as it can be put; None for prose.

    "Yes, the man is wearing a hat." is "Yes", "There are 3 cubes." is "3", "The car is red." is "red".
    """
    answer = extract(published).answer
    if answer is None or hedges(answer):
        return None
    says = yes_or_no(answer)
    if says is not None:
        return "Yes" if says else "No"
    shortest = [claim.text for claim in claims(answer)][-1:]
    return next((text.strip() for text in [*shortest, answer] if len(text.split()) <= MOST_WORDS), None)


def _set_aside(problem: Problem, reason: Reason, detail: str) -> BadRow:
    written = str(problem.meta.get("gold", problem.answer))
    row = str(problem.meta.get("row", ""))
    return BadRow(
        problem.id, row, reason, detail[:300], problem.question, problem.options, written, problem.media
    )
