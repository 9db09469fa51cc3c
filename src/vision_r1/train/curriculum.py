"""What the tiny models are trained on, in what order: parts, phases, mixes, learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vision_r1.models.tiny import Role

Mix = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a part.

    Attributes:
        until: where it ends, as a share of the part's steps.
        digits: the most digits a row holds while only reading is learned; 0 for the full mix.
        jitter: the jitter reached at its end; it grows linearly from the phase before.
    """

    until: float
    digits: int
    jitter: float


@dataclass(frozen=True, slots=True)
class Part:
    """One run of the optimizer.

    Attributes:
        steps: optimizer steps, by role; a role that is not named skips the part.
        peak: learning rate after the warm-up.
        flat: share of the steps before it falls as a cosine to 2% of the peak; 1 for never.
        phases: the curriculum.
        mix: cumulative shares of the kinds of examples, by role. Base: reading, arithmetic facts,
            differences (bare, or of the totals of even and odd numbers), longer text; the rest are direct
            answers; then, within the longer text, cumulative shares of single steps and of questions
            worked in text, the rest being words to repeat and long sums.
            Teacher: reading, captions, Pseudo-CoTs; the rest are descriptions.
    """

    steps: dict[Role, int]
    peak: float
    flat: float
    phases: tuple[Phase, ...]
    mix: dict[Role, Mix]


FULL = Phase(1.0, 0, 1.0)
PARTS: tuple[Part, ...] = (
    Part(  # to see: one digit, then two, then rows, then everything while the jitter grows
        {"base": 1500, "teacher": 1550},
        1.5e-3,
        1.0,
        (Phase(0.08, 1, 0.0), Phase(0.13, 2, 0.1), Phase(0.21, 5, 0.3), Phase(0.8, 0, 1.0), FULL),
        {"base": (0.30, 0.40, 0.40, 0.60, 0.30, 0.80), "teacher": (0.15, 0.20, 0.60)},
    ),
    Part(  # to answer, and to know the words and the steps of a solution
        {"base": 3000, "teacher": 1500},
        1.2e-3,
        0.5,
        (FULL,),
        {"base": (0.18, 0.28, 0.28, 0.58, 0.25, 0.85), "teacher": (0.30, 0.34, 0.60)},
    ),
    Part(  # to subtract, and to keep two totals apart, which the parts before leave half known
        {"base": 1000},
        6e-4,
        0.3,
        (FULL,),
        {"base": (0.13, 0.19, 0.41, 0.60, 0.25, 0.85)},
    ),
)


def parts_of(role: Role) -> dict[int, Part]:
    """The parts that this role goes through, by their place in `PARTS`."""
    return {index: part for index, part in enumerate(PARTS) if role in part.steps}


def phase_at(phases: Sequence[Phase], share: float) -> tuple[Phase, float]:
    """The phase and jitter at this share of a part's steps."""
    start, before = 0.0, 0.0 if len(phases) > 1 else 1.0
    for phase in phases:
        if share < phase.until:
            return phase, before + (phase.jitter - before) * (share - start) / (phase.until - start)
        start, before = phase.until, phase.jitter
    return phases[-1], phases[-1].jitter


def learning_rate(step: int, steps: int, peak: float, flat: float) -> float:
    """Linear warm-up over 100 steps, flat, then cosine to 2% of the peak."""
    if step < 100:
        return peak * (step + 1) / 100
    share = max(0.0, (step / steps - flat) / (1 - flat)) if flat < 1 else 0.0
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
