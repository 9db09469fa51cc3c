"""Settings of where problems and training conversations come from. Light: no heavy import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from vision_r1.core.config import FrozenConfig, validate
from vision_r1.core.errors import ConfigError, nearest
from vision_r1.core.files import is_folder, user_path

# Pillow itself refuses above twice this figure, whatever we say.
PIXEL_CEILING = 89_478_485
DEFAULT_MAX_PIXELS = 40_000_000

AnswerType = Literal["auto", "choice", "number", "list", "text"]
ProblemLayout = Literal[
    "plain",
    "geometry3k",
    "vision_r1_rl",
    "llava_cot",
    "mulberry",
    "we_math",
    "mathvision",
    "polymath",
    "scemqa",
]
Turns = Literal["all", "first"]
ChatLayout = Literal["plain", "vision_r1_cold_llava", "vision_r1_cold_mulberry", "sharegpt"]


class TinyWorldData(FrozenConfig):
    """Problems drawn from real handwritten digits (see `problems.tiny_world`).

    Attributes:
        split: which scans may appear; no scan is in two splits.
        n: how many problems.
        seed: another seed draws other problems.
        families: the question families; None for those of training.
        larger: draw the operand counts that are held out of training.
    """

    kind: Literal["tiny_world"] = "tiny_world"
    split: Literal["train", "validation", "test"]
    n: int = Field(ge=1)
    seed: int = 0
    families: tuple[str, ...] | None = None
    larger: bool = False


class ColumnMap(FrozenConfig):
    """Which column holds what.

    A field left out is found by its usual names (`columns.USUAL_NAMES`); an empty string says that
    there is no such column.

    Attributes:
        id: a unique name of the row; without it, ids are made from the content.
        question: a column, or a template such as `{question} Give the answer in {unit}.`
        answer: the gold answer.
        image: a path below the image folder, image bytes, or a list of them.
        options: choices: a list, a mapping letter -> text, JSON of either, or `A. x; B. y`.
        answer_type: how the grader compares; the words of the known benchmarks are understood.
        precision: decimals that the gold is given to.
        unit: the unit of the gold.
        family: what results are broken down by.
        level: difficulty.
        meta: further columns to carry along (gold captions, solutions, ...).
    """

    id: str | None = None
    question: str | None = None
    answer: str | None = None
    image: str | None = None
    options: str | None = None
    answer_type: str | None = None
    precision: str | None = None
    unit: str | None = None
    family: str | None = None
    level: str | None = None
    meta: tuple[str, ...] = ()


class Take(FrozenConfig):
    """A share of the rows, chosen by a hash of their images, so that shares cut at the same points
    never overlap: rows that have an image in common are always in the same share.

    Attributes:
        from_: where the share begins, 0 to 1 (`from` in YAML).
        to: where it ends (exclusive).
        seed: another seed deals the rows differently.
    """

    from_: float = Field(default=0.0, ge=0.0, le=1.0, alias="from")
    to: float = Field(default=1.0, ge=0.0, le=1.0)
    seed: int = 0

    @model_validator(mode="after")
    def _ordered(self) -> Take:
        if self.from_ >= self.to:
            raise ValueError("`from` must be below `to`")
        return self


class _Rows(FrozenConfig):
    """What every table of problems has.

    Attributes:
        layout: which column names to expect.
        columns: the columns that differ from the layout's.
        gold: what the answer of a multiple-choice row is: its letter, the text of the choice, or its
            index from 0. `auto` takes letter or text, and refuses a row where the two disagree.
        marks: `strict`: as many `<image>` marks in a question as images, or none; `one_image`: all
            pictures of a question are in one image file (MATH-Vision), so later marks become words.
        answer_type: for rows that do not say.
        precision: for rows that do not say.
        take: a share of the rows.
        limit: at most so many rows, the first ones of the share.
        max_pixels: larger images are refused before they are decoded.
        turns: which exchanges of a conversation are problems (`llava_cot`, `mulberry`).
    """

    layout: ProblemLayout = "plain"
    columns: ColumnMap = ColumnMap()
    gold: Literal["auto", "letter", "text", "index"] = "auto"
    marks: Literal["strict", "one_image"] = "strict"
    answer_type: AnswerType = "auto"
    precision: int | None = Field(default=None, ge=0, le=12)
    take: Take | None = None
    limit: int | None = Field(default=None, ge=1)
    max_pixels: int = Field(default=DEFAULT_MAX_PIXELS, ge=1, le=PIXEL_CEILING)
    turns: Turns = "all"


class FileData(_Rows):
    """Problems in a .jsonl, .json, .csv or .parquet file.

    Attributes:
        path: the file; in a YAML file relative to that file, elsewhere to the working directory.
        images: the folder that image paths are relative to; None for the file's own.
    """

    kind: Literal["file"] = "file"
    path: Path
    images: Path | None = None


class DatasetData(_Rows):
    """Problems in a `datasets` directory (`save_to_disk`, or a folder of parquet), or on the hub.

    Attributes:
        name: a local folder, or a hub id such as `hiyouga/geometry3k`. In a YAML file, a folder that
            exists relative to that file is taken before anything else.
        split: the split to read.
        revision: a commit or tag of the hub.
        images: the folder that image paths are relative to; None for the local folder itself.
    """

    kind: Literal["dataset"] = "dataset"
    name: str = Field(min_length=1)
    split: str = "train"
    revision: str | None = None
    images: Path | None = None


class ChatData(FrozenConfig):
    """Question and written answer, for supervised fine-tuning.

    Attributes:
        path: a .json, .jsonl or .parquet file; in a YAML file relative to that file, elsewhere to the
            working directory.
        images: the folder that image paths are relative to; None for the file's own.
        layout: `plain` (question and response columns), one of the two files of Vision-R1-cold, or
            `sharegpt` (either role names, `from`/`value` or `role`/`content`).
        take: a share of the rows.
        limit: at most so many rows.
        max_pixels: larger images are refused before they are decoded.
    """

    kind: Literal["chat"] = "chat"
    path: Path
    images: Path | None = None
    layout: ChatLayout = "sharegpt"
    take: Take | None = None
    limit: int | None = Field(default=None, ge=1)
    max_pixels: int = Field(default=DEFAULT_MAX_PIXELS, ge=1, le=PIXEL_CEILING)


TableData = Annotated[FileData | DatasetData, Field(discriminator="kind")]


class MixtureSource(FrozenConfig):
    """A set that a mixture draws from.

    Attributes:
        data: where it is.
        count: how many of its problems are drawn; None for all.
    """

    data: TableData
    count: int | None = Field(default=None, ge=1)


class RlMixture(FrozenConfig):
    """Problems for RL drawn from several sets; `examples/rl_mixture.yaml` has those of the paper.

    Attributes:
        sources: the sets by name. Of equal problems, that of the first set stays.
        against: evaluation sets by name; problems that are also in one of them are left out. We-Math and
            MATH-Vision are evaluation benchmarks themselves.
        near_duplicates: leave out what says the same as another problem too, as `Construction` does.
        seed: of the draw and of the order.
    """

    sources: dict[str, MixtureSource] = Field(min_length=1)
    against: dict[str, TableData] = Field(default_factory=dict)
    near_duplicates: bool = True
    seed: int = 0


ProblemsConfig = Annotated[TinyWorldData | FileData | DatasetData, Field(discriminator="kind")]

_KINDS: dict[str, type[TinyWorldData] | type[FileData] | type[DatasetData] | type[ChatData]] = {
    "tiny_world": TinyWorldData,
    "file": FileData,
    "dataset": DatasetData,
    "chat": ChatData,
}


def anchored(section: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A data section with its relative paths joined to a folder.

    `path` and `images` always are; the `name` of a data set only where such a folder exists, for it
    may be a hub id. Sections inside it (`problems`) are left alone.
    """
    result = dict(section)
    for key in ("path", "images"):
        if isinstance(result.get(key), str):
            result[key] = str(folder / user_path(result[key]))
    name = result.get("name")
    if result.get("kind") == "dataset" and isinstance(name, str) and name:
        local = folder / user_path(name)
        result["name"] = str(local) if is_folder(local) else name
    return result


def parse_data_config(
    data: dict[str, Any], where: str = ""
) -> TinyWorldData | FileData | DatasetData | ChatData:
    """Build the config that `data["kind"]` names.

    Raises:
        ConfigError: an unknown kind, key or value.
    """
    kind = data.get("kind")
    model = _KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        key = f"{where}.kind" if where else "kind"
        fix = nearest(str(kind), _KINDS, "one of")
        raise ConfigError(f"unknown kind of data {kind!r}", where=key, fix=fix)
    return validate(model, data, where)
