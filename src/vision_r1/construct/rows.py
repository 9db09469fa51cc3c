"""A row of data construction: step 3, the filter and the rewriting, for one bridged problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vision_r1.construct.bridge import Bridged
from vision_r1.construct.config import ConstructSettings
from vision_r1.construct.filters import Candidate
from vision_r1.construct.judge import judge
from vision_r1.construct.reason import Reasoner
from vision_r1.construct.replies import Dropped
from vision_r1.grading import GradeSpec
from vision_r1.problems.drawing import Scene
from vision_r1.problems.problem import Problem
from vision_r1.teachers.language import facts_of, parse_description


@dataclass(frozen=True, slots=True)
class Row:
    """Everything known of a problem after the last step.

    Attributes:
        problem: the problem.
        bridged: what the MLLM made of it.
        reasoner_text: the reasoner's reply, "" where it was not asked.
        tokens: length of that reply.
        dropped: every rule that fires; the first is the reason, none means that the row is kept.
        final_text: the assistant's turn of a kept row.
        rewritten: whether rewriting changed the thought.
        fault: the fault the reasoner was told to make; None where it was not asked.
        misread: whether the description differs from the scene; None where that is not known.
    """

    problem: Problem
    bridged: Bridged
    reasoner_text: str = ""
    tokens: int = 0
    dropped: tuple[Dropped, ...] = ()
    final_text: str = ""
    rewritten: bool = False
    fault: str | None = None
    misread: bool | None = None

    @property
    def kept(self) -> bool:
        """Whether the row is a training row."""
        return not self.dropped

    @property
    def known_fault(self) -> str:
        """The reasoner's fault, else "misread" where the MLLM misread the image, else "none"."""
        if self.fault not in (None, "none"):
            return str(self.fault)
        return "misread" if self.misread else "none"

    def plain(self, image: str | None) -> dict[str, Any]:
        """The line of traces.jsonl; `rule` is null where a step of the bridge failed."""
        first = self.dropped[0] if self.dropped else None
        return {
            "id": self.problem.id,
            "question": self.problem.prompt,
            "answer": self.problem.answer,
            "family": self.problem.meta.get("family"),
            "image": image,
            "caption": self.bridged.caption,
            "pseudo_cot": self.bridged.reasoning,
            "description": self.bridged.description,
            "reasoner_text": self.reasoner_text,
            "kept": self.kept,
            "reason": first.rule if first else "kept",
            "detail": first.reason if first else "",
            "rule": first.rule if first and self.reasoner_text else None,
            "fired": [each.rule for each in self.dropped],
            "rewritten": self.rewritten,
            "final_text": self.final_text,
            "fault": self.known_fault,
            "misread": self.misread,
        }


def misread(problem: Problem, description: str) -> bool | None:
    """Whether a description differs from the scene; None where the scene is not known."""
    scene = problem.meta.get("scene")
    return parse_description(description) != facts_of(scene) if isinstance(scene, Scene) else None


def finish(
    problem: Problem,
    bridged: Bridged,
    settings: ConstructSettings,
    reasoner: Reasoner,
    count_tokens: Callable[[str], int],
) -> Row:
    """Step 3, the filter and the rewriting of one problem."""
    if bridged.dropped is not None:
        return Row(problem, bridged, dropped=(bridged.dropped,))
    reply = reasoner(problem, bridged.description, problem.answer if settings.answer_to_reasoner else None)
    tokens = count_tokens(reply.text)
    judged = judge(Candidate.tagged(reply.text, GradeSpec.of(problem), tokens), settings.filter)
    return Row(
        problem,
        bridged,
        reply.text,
        tokens,
        judged.dropped,
        judged.final_text,
        judged.rewritten,
        fault=reply.fault,
        misread=misread(problem, bridged.description),
    )
