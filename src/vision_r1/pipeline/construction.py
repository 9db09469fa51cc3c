"""What `construct` and `data merge` do, apart from printing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vision_r1.construct.config import Construction
from vision_r1.core.config import apply_overrides, parse_yaml, validate
from vision_r1.core.errors import ConfigError, InputError
from vision_r1.core.progress import Progress
from vision_r1.pipeline.paths import anchored_data, anchored_teachers
from vision_r1.problems.config import RlMixture


def construction_config(path: Path, overrides: Sequence[str]) -> Construction:
    """The settings of a file, with overrides; paths are relative to the file.

    Raises:
        ConfigError: no such file, not YAML, or settings that are none.
    """
    folder = path.resolve().parent
    data = anchored_data(_read(path), folder)
    data |= anchored_teachers(data, folder)
    return validate(
        Construction, anchored_data(apply_overrides(data, list(overrides)), Path.cwd()), str(path)
    )


def mixture_config(path: Path) -> RlMixture:
    """The settings of a mixture; paths are relative to the file. Raises ConfigError."""
    return validate(RlMixture, anchored_data(_read(path), path.resolve().parent), str(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise ConfigError("no such file", where=str(path)) from None
    except (UnicodeDecodeError, OSError):
        raise ConfigError("not a YAML text file", where=str(path)) from None


def parse_shard(text: str | None) -> tuple[int, int] | None:
    """`2/8` as (2, 8); None for no part.

    Raises:
        ConfigError: anything else.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise ConfigError(f"{text!r} is not a part such as 1/8", where="--shard")
    return int(found[1]), int(found[2])


def shard_folder(out: Path, part: tuple[int, int] | None, pilot: int | None) -> Path:
    """Where a part or a pilot works: a folder of its own below `out`."""
    if pilot is not None:
        return out / "pilot"
    return out if part is None else out / f"shard-{part[0]:04d}-of-{part[1]:04d}"


def construct_command(
    config: Construction,
    out: Path,
    *,
    home: Path,
    part: tuple[int, int] | None,
    limit: int | None,
    collect: bool,
    progress: Progress,
) -> dict[str, Any]:
    """Run a construction in `out`, which may be a part's folder in `home`; see `construct.build`."""
    from vision_r1.construct.build import Scope, construct

    if out.exists() and not out.is_dir():
        raise InputError("is a file, not a folder", where=str(out), fix="name another --out")
    return construct(config, out, Scope(part, limit, collect, home), progress)


def merge_command(folders: Sequence[Path], out: Path, progress: Progress) -> dict[str, Any]:
    """Put the parts of a construction together; see `construct.build.merge`.

    Raises:
        InputError: a folder that holds no part, parts of different settings, or a part that is missing.
    """
    from vision_r1.construct.build import CONFIG, SUMMARY, merge

    configs = []
    for folder in folders:
        if not (folder / CONFIG).is_file() or not (folder / SUMMARY).is_file():
            fix = "run its construction to the end"
            raise InputError("holds no finished part", where=str(folder), fix=fix)
        configs.append(validate(Construction, _read(folder / CONFIG), str(folder / CONFIG)))
    for folder, config in zip(folders, configs, strict=True):
        if _settings(config) != _settings(configs[0]):
            fix = f"compare {CONFIG} of both"
            raise InputError(f"made with other settings than {folders[0]}", where=str(folder), fix=fix)
    _whole(folders)
    return merge(folders, out, configs[0], progress)


def _settings(config: Construction) -> Construction:
    """What decides the rows: not where the teachers stand, nor what may be spent."""
    roles = {
        name: role.model_copy(update={"endpoints": (), "price": None})
        for name, role in (("mllm", config.mllm), ("reasoner", config.reasoner))
    }
    return config.model_copy(update={**roles, "budget": type(config.budget)(), "export": ()})


def _whole(folders: Sequence[Path]) -> None:
    """Refuse to merge parts of which some are missing, where their folders' names tell."""
    found = [re.fullmatch(r"shard-(\d+)-of-(\d+)", folder.resolve().name) for folder in folders]
    parts = {(int(each[1]), int(each[2])) for each in found if each}
    for of in {of for _, of in parts}:
        missing = sorted(set(range(1, of + 1)) - {index for index, other in parts if other == of})
        if missing:
            raise InputError(
                f"part {missing[0]}/{of} is missing ({len(missing)} of {of} are)",
                where="FOLDERS",
                fix=f"run it: vision-r1 construct ... --shard {missing[0]}/{of}",
            )
