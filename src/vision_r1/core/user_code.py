"""A user's own Python file, loaded as a module; it is the user's program and runs as such."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from vision_r1.core.errors import InputError


def load_user_module(path: Path, fix: str) -> ModuleType:
    """The module of a file.

    Args:
        path: the file.
        fix: how such a file is named in a config, for the message.

    Raises:
        InputError: no such file, not a Python file, or it fails while it is loaded.
    """
    if not path.is_file():
        raise InputError("no such file", where=str(path), fix=fix)
    spec = importlib.util.spec_from_file_location(f"vision_r1_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError("not a Python file", where=str(path), fix=fix)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"cannot be loaded: {type(error).__name__}: {error}", where=str(path)) from error
    return module
