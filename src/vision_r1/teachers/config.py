"""Settings of the scripted reasoner; imports nothing heavy."""

from __future__ import annotations

from pydantic import Field

from vision_r1.core.config import FrozenConfig


class ReasonerRates(FrozenConfig):
    """How often the reasoner does what; shares of all traces unless said otherwise.

    Attributes:
        recheck: probability of one more re-check after each look or re-check (so their number
            is geometric, up to `max_rechecks`).
        max_rechecks: the most re-checks in a trace that does not loop.
        hmm_one_in: one re-check in this many opens with "Hmm", the others with "Wait".
        misread: share of re-checks that misread a digit and take it back.
        slip: probability that a sum is first written wrong and then corrected.
        restate: probability of working the sums out a second time.
        talk: share of traces that speak of "the description".
        wrong, contradiction, loop, broken_form: share of traces with that fault.
    """

    recheck: float = Field(0.5, ge=0, lt=1)
    max_rechecks: int = Field(5, ge=0)
    hmm_one_in: int = Field(2, ge=1)
    misread: float = Field(0.5, ge=0, le=1)
    slip: float = Field(0.05, ge=0, le=1)
    restate: float = Field(0.25, ge=0, le=1)
    talk: float = Field(0.35, ge=0, le=1)
    wrong: float = Field(0.06, ge=0, le=1)
    contradiction: float = Field(0.04, ge=0, le=1)
    loop: float = Field(0.06, ge=0, le=1)
    broken_form: float = Field(0.05, ge=0, le=1)
