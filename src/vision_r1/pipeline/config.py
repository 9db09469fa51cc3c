"""What a recipe resolves to: data, stages, seed. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vision_r1.construct.config import Construction, ConstructSettings
from vision_r1.core.config import NAME, FrozenConfig
from vision_r1.core.errors import ConfigError
from vision_r1.core.stage import StageSettings
from vision_r1.evals.config import EvaluateSettings
from vision_r1.problems.config import ChatData, ProblemsConfig
from vision_r1.train.config import GrpoSettings, SftSettings


class ConstructStage(StageSettings, ConstructSettings):
    """Modality bridging: problems in, cold-start rows out."""

    kind: Literal["construct"] = "construct"


class TeachersStage(StageSettings, Construction):
    """Modality bridging by served teachers: sets of problems in, cold-start rows out (docs/building.md)."""

    kind: Literal["teachers"] = "teachers"


class SftStage(StageSettings, SftSettings):
    """The cold start: a model and rows in, a model out.

    Attributes:
        validation_share: rows held back for the validation loss, chosen by a hash of their pictures.
    """

    kind: Literal["sft"] = "sft"
    validation_share: float = Field(0.08, gt=0, lt=1)


class GrpoStage(StageSettings, GrpoSettings):
    """PTST: a model and problems in, a model per entry of the schedule out.

    Attributes:
        length_problems: problems of the validation split on which the cold start's lengths are
            measured, where a cap is a quantile of them.
        length_cap: cap of that measurement, in tokens.
    """

    kind: Literal["grpo"] = "grpo"
    length_problems: int = Field(128, ge=1)
    length_cap: int = Field(512, ge=1)


class EvaluateStage(StageSettings, EvaluateSettings):
    """Every model of the run on the held-out problems."""

    kind: Literal["evaluate"] = "evaluate"


# Stages that make rows.
RowsStage = ConstructStage | TeachersStage
Stage = Annotated[
    ConstructStage | TeachersStage | SftStage | GrpoStage | EvaluateStage, Field(discriminator="kind")
]


class GoldRows(FrozenConfig):
    """Rows made of problems and their gold answers, without anybody's reasoning.

    It teaches the form that the reward asks for, where nobody has written thoughts yet; and it is
    the "SFT on answers only" control.

    Attributes:
        problems: where they come from.
        thought: the words between the think tags, the same in every row.
    """

    kind: Literal["gold_answers"] = "gold_answers"
    problems: ProblemsConfig
    thought: str = Field("I look at the image.", min_length=1)


Rows = Annotated[ChatData | GoldRows, Field(discriminator="kind")]


class DataSections(FrozenConfig):
    """Where each stage's problems come from.

    Attributes:
        cold_start: problems whose thoughts are built.
        sft: ready cold-start conversations, instead of building them.
        rl: problems to reinforce on.
        validation: problems for choices made during the run (caps), never for results.
        test: held-out problems for the results.
        generalisation: further held-out sets, each reported under its name.
    """

    cold_start: ProblemsConfig | None = None
    sft: Rows | tuple[Rows, ...] | None = None
    rl: ProblemsConfig | None = None
    validation: ProblemsConfig | None = None
    test: ProblemsConfig | None = None
    generalisation: dict[str, ProblemsConfig] = Field(default_factory=dict)


# Variants that every run may have; a name of the user's must not stand for another model.
RESERVED = ("base", "base_think", "cold_start")
# What else has a folder beside the variants'.
_BESIDE = ("images", "image_use")


class Recipe(FrozenConfig):
    """A frozen list of stages with what they work on.

    Attributes:
        recipe: name of the recipe it came from.
        scale: "tiny", "3b", ...
        seed: of everything random in the run.
        model: the base model: "tiny:base", a model directory or a hub id.
        data: where problems come from.
        stages: name -> stage, run in order.
        final: what the last model is called in the results.
        threads: CPU threads torch may use; null for all. Results repeat exactly only at the same number.
        share_prompts: compute each prompt and image once for all its completions, and pack rows, where the
            model's family allows. The results are the same but for rounding; false only to compare.
    """

    recipe: str
    scale: str = "tiny"
    seed: int = Field(0, ge=0)
    model: str = "tiny:base"
    data: DataSections
    stages: dict[str, Stage] = Field(min_length=1)
    final: str = "vision_r1"
    threads: int | None = Field(None, ge=1)
    share_prompts: bool = True

    @model_validator(mode="after")
    def _plain_names(self) -> Recipe:
        """Names become folders and keys of the results: plain, and each used once."""
        units = self._units()
        models = [*units, ("final", self.final)]
        further = {f"{name}-{key}" for name in (*RESERVED, self.final) for key in self.data.generalisation}
        for key, name in [*((f"data.generalisation.{k}", k) for k in self.data.generalisation), *models]:
            if not NAME.fullmatch(name):
                raise ConfigError(
                    f"{name!r} is no plain name", where=key, fix="letters and digits, then also - and _"
                )
        for key, name in models:
            if name in RESERVED:
                raise ConfigError(f"{name!r} is a variant of every run", where=key, fix="name it otherwise")
            if name in _BESIDE or name in further:
                raise ConfigError(
                    f"{name!r} is a folder of every evaluation", where=key, fix="name it otherwise"
                )
        seen: dict[str, str] = {}
        for key, name in units:
            if name in seen:
                raise ConfigError(f"{name!r} is the name of {seen[name]} too", where=key, fix="rename one")
            seen[name] = key
        return self

    def _units(self) -> list[tuple[str, str]]:
        """Every name that has a folder under `stages/`, each with its key."""
        units = [(f"stages.{name}", name) for name in self.stages]
        for name, stage in self.stages.items():
            if isinstance(stage, GrpoStage):
                units.append((f"stages.{name}", f"{name}_caps"))
                units += [
                    (f"stages.{name}.schedule.{index}.name", entry.name)
                    for index, entry in enumerate(stage.schedule)
                ]
        return units
