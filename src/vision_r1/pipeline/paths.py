"""Which strings of a recipe are paths, and where relative ones start."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vision_r1.core.config import parse_yaml, to_plain, validate, validate_file
from vision_r1.core.files import is_file, is_there, user_path
from vision_r1.core.run import RunDirectory
from vision_r1.pipeline.config import Recipe
from vision_r1.problems.config import anchored

# Keys below which sets of problems or rows are described.
_SETS = ("data", "evaluation", "sources", "against")


def anchored_data(node: Any, folder: Path, *, in_data: bool = False) -> Any:
    """Plain data of a recipe with the relative paths of all data sections joined to `folder`."""
    if isinstance(node, list):
        return [anchored_data(item, folder, in_data=in_data) for item in node]
    if not isinstance(node, dict):
        return node
    inside = {
        key: anchored_data(value, folder, in_data=in_data or key in _SETS) for key, value in node.items()
    }
    return anchored(inside, folder) if in_data else inside


def stored_recipe(run: RunDirectory) -> Recipe:
    """The recipe that a run keeps, read as a recipe: settings newer than the run count at their defaults.

    Raises:
        ConfigError: the file is not a recipe any more.
    """
    file = str(run.config)
    return validate_file(Recipe, parse_yaml(run.config.read_text(encoding="utf-8"), file), file)


def input_digests(recipe: Recipe) -> dict[str, str]:
    """Key -> digest of each file that the recipe reads: tables of its data, rows to start from, the reward.

    Pictures and folders are not read.

    Args:
        recipe: with whole paths, see `here`.
    """
    return {key: _digest(path) for key, path in _input_files(to_plain(recipe), "") if is_file(path)}


def _input_files(node: Any, key: str) -> Iterator[tuple[str, Path]]:
    name = key.rpartition(".")[2]
    if isinstance(node, dict):
        for inner, value in node.items():
            yield from _input_files(value, f"{key}.{inner}" if key else str(inner))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _input_files(value, f"{key}.{index}")
    elif isinstance(node, str) and name in ("path", "from", "reward"):
        yield key, Path(node.rpartition(":")[0] if name == "reward" else node)


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:24]


def here(recipe: Recipe) -> Recipe:
    """The recipe with every relative path joined to the current directory.

    A run keeps its recipe like this, so that it can be repeated from anywhere. A model, an artefact to
    start from or a reward is a path where such a file or folder is there; otherwise it is a name.
    """
    folder = Path.cwd()
    plain = anchored_data(to_plain(recipe), folder)
    plain["model"] = _local(plain["model"], folder)
    for stage in plain["stages"].values():
        for key in ("from", "mllm"):
            if isinstance(stage.get(key), list):
                stage[key] = [_local(each, folder) for each in stage[key]]
            elif isinstance(stage.get(key), str):
                stage[key] = _local(stage[key], folder)
        if stage.get("kind") == "teachers":
            stage |= anchored_teachers(stage, folder)
        file, colon, function = str(stage.get("reward", "")).rpartition(":")
        if colon:
            stage["reward"] = f"{_local(file, folder)}:{function}"
    return validate(Recipe, plain)


def anchored_teachers(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What a construction takes from files of the user's own, with whole paths: prompts and steps."""
    result: dict[str, Any] = {}
    prompts, steps = settings.get("prompts"), settings.get("steps")
    if isinstance(prompts, str) and prompts not in ("full", "tiny"):
        result["prompts"] = str(folder / user_path(prompts))
    if isinstance(steps, list):
        places = [str(step).rpartition(":") for step in steps]
        result["steps"] = [
            f"{folder / user_path(file)}:{name}" if file.endswith(".py") else step
            for step, (file, _, name) in zip(steps, places, strict=True)
        ]
    return result


def _local(reference: str, folder: Path) -> str:
    path = folder / user_path(reference)
    return str(path) if reference and is_there(path) else reference
