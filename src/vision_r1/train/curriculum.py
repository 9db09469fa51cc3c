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
        steps: optimizer steps, by role; 0 where a role has no such part.
        horizon: steps that phases and learning rate are planned over; a part may end before them.
        peak: learning rate after the warm-up.
        flat: share of the steps before it falls as a cosine to 2% of the peak; 1 for never.
        phases: the curriculum.
        mix: cumulative shares of the kinds of examples, by role. Base: reading, text-only facts, longer
            text; the rest are direct answers; then, within the longer text, cumulative shares of single
            steps and of questions worked in text, the rest being words to repeat and long sums.
            Teacher: reading, captions, Pseudo-CoTs; the rest are descriptions.
    """

    steps: dict[Role, int]
    horizon: dict[Role, int]
    peak: float
    flat: float
    phases: tuple[Phase, ...]
    mix: dict[Role, tuple[float, ...]]


FULL = Phase(1.0, 0, 1.0)
PARTS: tuple[Part, ...] = (
    Part(  # to see: one digit, then two, then rows, then everything while the jitter grows
        {"base": 1746, "teacher": 1550},
        {"base": 1746, "teacher": 1550},
        1.5e-3,
        1.0,
        (Phase(0.08, 1, 0.0), Phase(0.13, 2, 0.1), Phase(0.21, 5, 0.3), Phase(0.8, 0, 1.0), FULL),
        {"base": (0.30, 0.52, 0.52), "teacher": (0.15, 0.20, 0.60)},
    ),
    Part(  # to answer
        {"base": 2550, "teacher": 1500},
        {"base": 3000, "teacher": 1500},
        1.2e-3,
        0.5,
        (FULL,),
        {"base": (0.25, 0.60, 0.60), "teacher": (0.30, 0.34, 0.60)},
    ),
    Part(  # to know the words: a token that was never written is like every other such token
        {"base": 1000, "teacher": 0},
        {"base": 1000, "teacher": 0},
        1.2e-3,
        0.25,
        (FULL,),
        {"base": (0.22, 0.47, 0.65), "teacher": ()},
    ),
    Part(  # to know single steps in text
        {"base": 700, "teacher": 0},
        {"base": 700, "teacher": 0},
        1e-3,
        0.3,
        (FULL,),
        {"base": (0.12, 0.24, 0.74, 0.9), "teacher": ()},
    ),
    Part(  # to work out in text what is given in text
        {"base": 900, "teacher": 0},
        {"base": 900, "teacher": 0},
        1e-3,
        0.4,
        (FULL,),
        {"base": (0.10, 0.13, 0.65, 0.12, 0.88), "teacher": ()},
    ),
)


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
