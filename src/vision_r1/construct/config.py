"""Settings of data construction; imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vision_r1.construct.keep import KeepRule
from vision_r1.core.config import FrozenConfig
from vision_r1.problems.config import ProblemsConfig
from vision_r1.teachers.config import Budget, ReasonerRates, RoleConfig

ExportForm = Literal["vision-r1-cold", "trl", "easyr1", "verl"]


class FilterLimits(FrozenConfig):
    """Thresholds of the filter rules (see `construct.filters`).

    Attributes:
        max_tokens: longer replies are dropped; in tokens of the tiny teacher's tokenizer for the scripted
            reasoner, as the endpoint counts for a served one.
        repeat_words: length, in words, of the phrases looked at for repetition.
        max_repeats: a phrase may occur this often; once more is a loop.
    """

    max_tokens: int = Field(default=512, ge=1)
    repeat_words: int = Field(default=12, ge=2)
    max_repeats: int = Field(default=6, ge=1)


class ConstructSettings(FrozenConfig):
    """Modality bridging (section 3.2 of the paper): problems in, cold-start rows out.

    One reply is kept for each question, and every MLLM step decodes greedily: the paper publishes
    neither samples per question nor sampling settings.

    Attributes:
        mllm: the model that sees the images: "tiny:teacher", a model directory or a hub id.
        answer_to_mllm: step 1 is told the gold answer, as in the paper.
        answer_to_reasoner: step 3 is told it too, as the paper's author says of theirs
            (Osilly/Vision-R1, issue 17); then the answer filter proves little.
        reasoner: how often the scripted reasoner errs in which way.
        max_new_tokens: cap of each reply of the MLLM.
        batch_size: replies decoded side by side; also the grain at which a killed run continues.
        leak_test_n: problems of the leak test and of the caption control; 0 leaves both out.
        filter: thresholds of the filter.
        min_kept: fewer kept rows than this stop the run.
    """

    mllm: str = "tiny:teacher"
    answer_to_mllm: bool = True
    answer_to_reasoner: bool = False
    reasoner: ReasonerRates = ReasonerRates()
    max_new_tokens: int = Field(default=192, ge=1)
    batch_size: int = Field(default=128, ge=1)
    leak_test_n: int = Field(default=200, ge=0)
    filter: FilterLimits = FilterLimits()
    min_kept: int = Field(default=32, ge=1)


class Construction(FrozenConfig):
    """Data construction with served teachers: the file that `vision-r1 construct` takes.

    Attributes:
        data: sets of problems by name.
        mllm: the model that sees the images.
        reasoner: the model that thinks; it sees text only.
        steps: the steps in order; also `FILE.py:NAME` (see `construct.steps`).
        prompts: "full", "tiny", or a folder with files such as describe.txt in their place.
        answer_to_mllm: step 1 is told the gold answer, as in the paper.
        answer_to_reasoner: step 3 is told it too, as the paper's author says of theirs
            (Osilly/Vision-R1, issue 17); then the answer filter proves little.
        samples: of the reasoner, for each problem.
        keep: which of the right ones become rows, see `construct.keep`.
        keep_at_most: of one problem, for `all_right` and `hardest`; None for all of them.
        answer_retries: further samples where a reply cannot be parsed.
        seed: of the sampling and of the choice of the controls' problems.
        budget: what may be spent in all.
        filter: thresholds of the filter.
        text_only: ask problems without an image too; else they are set aside as `no_image`.
        near_duplicates: leave out near duplicates too; exact ones always are.
        evaluation: sets by name that must not be learned from; problems in them are left out.
        controls_n: problems of the leak test, the caption control and the fidelity; 0 leaves them out.
        rows_per_file: rows of one parquet file.
        export: what is written beside, see `construct.export`.
    """

    data: dict[str, ProblemsConfig] = Field(min_length=1)
    mllm: RoleConfig
    reasoner: RoleConfig
    steps: tuple[str, ...] = ("pseudo_cot", "describe", "reason")
    prompts: str = "full"
    answer_to_mllm: bool = True
    answer_to_reasoner: bool = False
    samples: int = Field(default=1, ge=1, le=64)
    keep: KeepRule = "first_right"
    keep_at_most: int | None = Field(default=None, ge=1)
    answer_retries: int = Field(default=2, ge=0, le=20)
    seed: int = Field(default=0, ge=0)
    budget: Budget = Budget()
    filter: FilterLimits = FilterLimits(max_tokens=16_384)
    text_only: bool = False
    near_duplicates: bool = True
    evaluation: dict[str, ProblemsConfig] = Field(default_factory=dict)
    controls_n: int = Field(default=0, ge=0)
    rows_per_file: int = Field(default=5000, ge=1)
    export: tuple[ExportForm, ...] = ()

    @property
    def roles(self) -> dict[str, RoleConfig]:
        """How each role of a step is asked."""
        return {"mllm": self.mllm, "reasoner": self.reasoner}

    @model_validator(mode="after")
    def _worth_its_money(self) -> Construction:
        if self.samples == 1 and self.keep in ("all_right", "hardest"):
            raise ValueError(f"keep: {self.keep} is for several samples; set samples")
        if self.samples > 1 and self.reasoner.temperature == 0:
            raise ValueError("several samples of a greedy reasoner are one; set reasoner.temperature")
        return self
