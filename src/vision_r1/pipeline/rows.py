"""Cold-start rows from wherever a recipe takes them, split into training and validation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vision_r1.core.errors import InputError
from vision_r1.core.seeds import derive_seed
from vision_r1.pipeline.config import DataSections, GoldRows
from vision_r1.problems.chat import ChatRow, load_chat_rows
from vision_r1.problems.config import ChatData
from vision_r1.problems.load import load_problems


def rows_file(path: Path) -> ChatData:
    """The config of a rows file, its layout told by its first keys."""
    text = path.read_bytes()[:4096] if path.suffix != ".parquet" else b""
    if b'"conversations"' in text or b'"messages"' in text:
        return ChatData(path=path, layout="sharegpt")
    return ChatData(path=path, layout="plain")


def stored_rows(path: Path) -> list[ChatRow]:
    """The rows of a file, or of the folder `data` of a construction.

    Raises:
        InputError: a folder without rows, or rows that cannot be used.
    """
    if not path.is_dir():
        return load_chat_rows(rows_file(path))
    files = sorted(path.glob("*.parquet"))
    if not files:
        raise InputError("holds no rows", where=str(path), fix="run the construction to its end")
    return [row for file in files for row in load_chat_rows(rows_file(file))]


def gold_rows(config: GoldRows) -> list[ChatRow]:
    """Each problem with its gold answer in the form that the reward asks for."""
    return [
        ChatRow(
            id=problem.id,
            user=problem.prompt,
            assistant=f"<think> {config.thought} </think><answer> Final Answer:{problem.answer} </answer>",
            media=problem.media,
        )
        for problem in load_problems(config.problems)
    ]


def section_rows(data: DataSections) -> list[ChatRow]:
    """The rows of `data.sft`."""
    sections = data.sft if isinstance(data.sft, tuple) else (data.sft,)
    rows: list[ChatRow] = []
    for section in sections:
        if isinstance(section, GoldRows):
            rows += gold_rows(section)
        elif section is not None:
            rows += load_chat_rows(section)
    return rows


def split_rows(rows: Sequence[ChatRow], share: float, seed: int) -> tuple[list[ChatRow], list[ChatRow]]:
    """Training and validation rows; a picture is on one side only.

    Raises:
        InputError: too few rows for both.
    """
    training: list[ChatRow] = []
    validation: list[ChatRow] = []
    for row in rows:
        key = row.media[0].key if row.media else row.id
        held = derive_seed(seed, "validation-split", key) < share * 0x7FFFFFFF
        (validation if held else training).append(row)
    if not training or not validation:
        raise InputError(
            f"{len(rows)} rows are too few to train and to validate on", where="stages.sft", fix="add rows"
        )
    return training, validation
