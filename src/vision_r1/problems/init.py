"""`vision-r1 init DIR`: a folder of the user's own images and a CSV -> a config file that runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_r1.core.config import dump_yaml, to_plain, validate
from vision_r1.core.errors import InputError
from vision_r1.core.files import atomic_write_text, is_file, user_path
from vision_r1.problems.columns import USUAL_NAMES, cell_text, resolve_columns
from vision_r1.problems.config import ColumnMap, FileData, Take
from vision_r1.problems.image_checks import ImageCallback
from vision_r1.problems.load import load_problems, split_keys
from vision_r1.problems.problem import Problem
from vision_r1.problems.split import positions
from vision_r1.problems.tables import Row, column_names, field, read_table

CONFIG_NAME = "vision-r1.yaml"
# Shares of a set that is large enough; a small one is cut so that no share is empty.
CUTS = (0.8, 0.9)
FEW = 30  # test problems below which an interval spans a third of the scale
PLACEHOLDERS = ("@train", "@validation", "@test")


@dataclass(frozen=True, slots=True)
class UserData:
    """The data sections for a user's own folder.

    Attributes:
        train: plain data of a `FileData`.
        validation: likewise.
        test: likewise; no image is in two of the three.
        counts: rows in each.
    """

    train: dict[str, Any]
    validation: dict[str, Any]
    test: dict[str, Any]
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class InitResult:
    """What `init_project` made.

    Attributes:
        config: the file that was written.
        data: its data sections.
    """

    config: Path
    data: UserData

    def line(self) -> str:
        """One line for the terminal."""
        parts = ", ".join(f"{count} {name}" for name, count in self.data.counts.items())
        line = f"wrote {self.config}: {sum(self.data.counts.values())} problems ({parts})"
        few = self.data.counts.get("test", 0)
        return f"{line}; {few} test problems measure next to nothing" if few < FEW else line


def init_project(
    folder: Path, csv: Path | None, recipe_part: dict[str, Any], progress: ImageCallback | None = None
) -> InitResult:
    """Write `vision-r1.yaml` into the user's folder.

    Args:
        folder: the folder with the images.
        csv: the questions and answers; None for the only .csv in the folder.
        recipe_part: the config as plain data; where it holds the strings `@train`, `@validation` and
            `@test`, the data sections are put.
        progress: called with (images checked, images in all).

    Returns:
        The file and what it holds.

    Raises:
        InputError: the file exists, or the data cannot be used (see `describe_user_data`).
    """
    path = folder / CONFIG_NAME
    if path.exists():
        raise InputError(
            "exists already", where=str(path), fix="edit it, or move it away and call init again"
        )
    data = describe_user_data(folder, csv, progress)
    shares = (_relative(each, folder.resolve()) for each in (data.train, data.validation, data.test))
    sections = dict(zip(PLACEHOLDERS, shares, strict=True))
    text = dump_yaml(_filled(recipe_part, sections))
    atomic_write_text(path, text)
    return InitResult(path, data)


def _relative(section: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The section with paths relative to the config where they are below it, so that the folder may move."""
    paths = {key: Path(section[key]) for key in ("path", "images") if key in section}
    below: dict[str, Any] = {
        key: str(path.relative_to(folder)) for key, path in paths.items() if path.is_relative_to(folder)
    }
    return {**section, **below}


def _filled(node: Any, sections: dict[str, dict[str, Any]]) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value, sections) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_filled(value, sections) for value in node]
    if isinstance(node, str) and node in sections:
        # A copy for each place, or YAML would write anchors.
        return _filled(sections[node], {})
    return node


def describe_user_data(
    folder: Path, csv: Path | None = None, progress: ImageCallback | None = None
) -> UserData:
    """Find columns and images, check every row, and cut train, validation and test.

    Paths are absolute here; `init_project` writes them relative to the config.

    Raises:
        InputError: no folder, none or several CSV files, no column for image, question or answer, a bad
            row, or fewer than three different images.
    """
    if not folder.is_dir():
        raise InputError("no such folder", where=str(folder))
    folder = folder.resolve()
    table = _only_csv(folder) if csv is None else user_path(csv).resolve()
    rows = read_table(table)
    columns = _recognised(rows, str(table))
    whole = FileData(
        path=table,
        images=_images_folder(folder, rows, columns["image"]),
        columns=validate(ColumnMap, columns),
    )
    problems = load_problems(whole, progress)
    cuts = _cuts(problems, str(table))
    bounds = (0.0, *cuts, 1.0)
    sections, counts = {}, {}
    places = _places(problems)
    for index, name in enumerate(("train", "validation", "test")):
        low, high = bounds[index], bounds[index + 1]
        take = validate(Take, {"from": low, "to": high})
        sections[name] = _section(whole.model_copy(update={"take": take}))
        counts[name] = sum(low <= place < high for place in places)
    return UserData(sections["train"], sections["validation"], sections["test"], counts)


def _section(config: FileData) -> dict[str, Any]:
    """The settings that differ from the defaults, as plain data."""
    defaults = to_plain(FileData(path=config.path))
    plain = {key: value for key, value in to_plain(config).items() if value != defaults[key]}
    plain["columns"] = {key: value for key, value in plain["columns"].items() if value}
    section = {"kind": "file", "path": str(config.path), **plain}
    validate(FileData, section)
    return section


def _only_csv(folder: Path) -> Path:
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv")
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(
            "no .csv file here", where=str(folder), fix="add one with the columns image, question and answer"
        )
    names = ", ".join(path.name for path in found[:5])
    raise InputError(f"several .csv files: {names}", where=str(folder), fix=f"say which: --csv {found[0]}")


def _recognised(rows: list[Row], where: str) -> dict[str, str]:
    names = column_names(rows)
    columns = resolve_columns(ColumnMap(), "plain", names, where)
    if "image" not in columns:
        usual = ", ".join(USUAL_NAMES["image"])
        raise InputError(
            f"no column for the image among {', '.join(names)}", where=where, fix=f"name it one of {usual}"
        )
    for row in rows:
        if not cell_text(row.values.get(columns["image"])):
            raise InputError(
                "no image", where=field(row, columns["image"]), fix="name its image, or remove the row"
            )
    return columns


def _images_folder(folder: Path, rows: list[Row], column: str) -> Path:
    """The folder, or its first subfolder that holds all images; the folder itself if none does."""
    names = [row.values[column] for row in rows if isinstance(row.values.get(column), str)]
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    for root in (folder, *subfolders):
        if all(is_file(root / name.strip()) for name in names):
            return root
    return folder


def _places(problems: list[Problem]) -> list[float]:
    return positions([split_keys(problem.media, problem.question) for problem in problems])


def _cuts(problems: list[Problem], where: str) -> tuple[float, float]:
    """Where to cut so that each share has rows: the usual cuts, or else between single images."""
    places = sorted(set(_places(problems)))
    if len(places) < 3:
        raise InputError(
            f"{len(places)} different images are too few for train, validation and test",
            where=where,
            fix="give rows with at least 3 different images",
        )
    low, high = CUTS
    if places[0] < low and places[-1] >= high and any(low <= place < high for place in places):
        return CUTS
    # A tenth of the images each, cut at the midpoints between neighbours.
    share = max(1, len(places) // 10)
    return (
        (places[-2 * share - 1] + places[-2 * share]) / 2,
        (places[-share - 1] + places[-share]) / 2,
    )
