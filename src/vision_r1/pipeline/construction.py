"""What `construct` and `data mix` do, apart from printing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vision_r1.construct.config import Construction
from vision_r1.core.config import apply_overrides, parse_yaml, to_plain, validate
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
    # Overrides may name what the file leaves at its default.
    whole = to_plain(validate(Construction, data, str(path)))
    changed = anchored_data(apply_overrides(whole, list(overrides)), Path.cwd())
    return validate(Construction, changed, str(path))


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
    part: tuple[int, int] | None,
    limit: int | None,
    pilot: int | None,
    collect: bool,
    progress: Progress,
) -> dict[str, Any]:
    """Run a construction in `shard_folder(out, part, pilot)`; see `construct.build.construct`.

    A pilot writes its answers into the log of the whole, which then asks nothing of it again.
    """
    from vision_r1.construct.build import LOG, Scope, construct

    folder = shard_folder(out, part, pilot)
    for place in (out, folder):
        if place.exists() and not place.is_dir():
            raise InputError("is a file, not a folder", where=str(place), fix="name another --out")
    home = out if folder != out else None
    scope = Scope(part, pilot or limit, collect, out / LOG if pilot else None, home)
    return construct(config, folder, scope, progress)
