"""The two types that every recipe is made of: the settings of a stage, and a recipe's card."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from vision_r1.core.config import FrozenConfig


class StageSettings(FrozenConfig):
    """What every stage has.

    Attributes:
        from_: artefacts made elsewhere that the stage starts from (key `from`): a model directory
            or hub id in place of the model that earlier stages make, a data set in place of the
            rows they make, or a list of both. Stages whose output is then not needed are skipped.
    """

    from_: str | tuple[str, ...] | None = Field(None, alias="from")

    @property
    def sources(self) -> tuple[str, ...]:
        """The artefacts of `from`, as a tuple."""
        if self.from_ is None:
            return ()
        return (self.from_,) if isinstance(self.from_, str) else self.from_


@dataclass(frozen=True, slots=True)
class Card:
    """What a recipe is a recipe of.

    Attributes:
        title: one line.
        paper: where it is published.
        claims: what the authors report.
        deviates: what ours does otherwise, and why.
    """

    title: str
    paper: str
    claims: tuple[str, ...] = ()
    deviates: tuple[str, ...] = ()
