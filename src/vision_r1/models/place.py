"""Where a model lies: a shipped one, a folder, a stage of a run, or an id of the hub."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vision_r1.core.errors import InputError
from vision_r1.core.files import is_file, is_folder
from vision_r1.models.quiet import quiet_transformers
from vision_r1.models.tiny import Role, shipped

TINY = "tiny:"
logger = logging.getLogger(__name__)


def resolve(reference: str) -> str:
    """Turn `tiny:base` into the shipped folder, and a stage's folder into its model; leave the rest.

    Raises:
        InputError: no such tiny model, or a run directory, which holds several.
    """
    if not reference.startswith(TINY):
        return _model_folder(reference)
    role: Role
    for role in ("base", "teacher"):
        if reference == f"{TINY}{role}":
            return str(shipped(role))
    raise InputError(f"no shipped model {reference!r}", fix="tiny:base or tiny:teacher")


def _model_folder(reference: str) -> str:
    folder = Path(reference)
    if not is_folder(folder) or is_file(folder / "config.json"):
        return reference
    if is_file(folder / "model" / "config.json"):
        return str(folder / "model")
    if is_file(folder / "run.json"):
        inside = sorted(str(path) for path in folder.glob("stages/*/model"))
        fix = f"name one of its models: {', '.join(inside)}" if inside else "it holds no model yet"
        raise InputError("is a run directory, not a model", where=reference, fix=fix)
    return reference


@contextmanager
def readable(what: str, place: str) -> Iterator[None]:
    """Turn whatever a broken model directory makes the libraries raise into one line."""
    try:
        with quiet_transformers():
            yield
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001  (transformers, tokenizers, safetensors and torch share no base)
        if isinstance(error, OSError) and is_hub_id(place) and not Path(place).exists():
            reason = f"no such folder here, and the hub does not give it ({one_line(error)[:120]})"
            raise InputError(reason, where=place, fix="check the spelling, and the network") from None
        raise InputError(f"cannot load the {what}: {one_line(error)}", where=place) from None


@functools.cache
def tell_hub(place: str) -> None:
    """Say once that the hub is asked: without a network its client tries for a minute, in silence."""
    from huggingface_hub import constants, try_to_load_from_cache

    if not constants.HF_HUB_OFFLINE and try_to_load_from_cache(place, "config.json") is None:
        logger.warning("%s: no such folder here; asking the hub (HF_HUB_OFFLINE=1 does not)", place)


def is_hub_id(text: str) -> bool:
    """Whether it reads like OWNER/NAME."""
    parts = text.split("/")
    return len(parts) == 2 and all(parts) and not text.startswith((".", "/", "~"))


def one_line(error: Exception) -> str:
    """An error of a library on one line, at most 300 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".rstrip(": ")
