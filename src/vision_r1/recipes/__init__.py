"""Recipes by name: pure functions from a few dials to a frozen list of stages. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_r1.core.config import apply_overrides, parse_yaml, validate, validate_file
from vision_r1.core.errors import ConfigError, nearest
from vision_r1.core.stage import Card
from vision_r1.pipeline.config import Recipe
from vision_r1.pipeline.paths import anchored_data
from vision_r1.recipes import vision_r1

SCALES = ("tiny", "3b", "7b", "32b", "72b")


@dataclass(frozen=True, slots=True)
class Entry:
    """A recipe and its card."""

    card: Card
    build: Callable[[str, int], Recipe]
    scales: tuple[str, ...] = SCALES


RECIPES: dict[str, Entry] = {"vision-r1": Entry(vision_r1.CARD, vision_r1.build)}


def build(name: str, scale: str = "tiny", seed: int = 0) -> Recipe:
    """The recipe `name` at `scale`.

    Raises:
        ConfigError: no such recipe or scale; the nearest name is in the message.
    """
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe {name!r}", fix=nearest(name, RECIPES, "known recipes"))
    if scale not in RECIPES[name].scales:
        raise ConfigError(f"unknown scale {scale!r}", fix=nearest(scale, RECIPES[name].scales, "one of"))
    return RECIPES[name].build(scale, seed)


def from_file(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe from a YAML file; relative paths in its data sections are relative to the file.

    Args:
        path: the file.
        overrides: dotted keys with values; relative paths in them are relative to the current directory.
    """
    # The empty overrides copy the file as plain data: YAML can hold a node that contains itself.
    data = anchored_data(apply_overrides(_read_file(path), ()), path.resolve().parent)
    if not overrides:
        return validate_file(Recipe, data, str(path))
    return validate(Recipe, anchored_data(apply_overrides(data, overrides), Path.cwd()))


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise ConfigError("no such file", where=str(path)) from None
    except (UnicodeDecodeError, IsADirectoryError):
        raise ConfigError("not a YAML text file", where=str(path)) from None
