"""Problems: images, question, gold answer; loaders for what users have; the tiny world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vision_r1.problems.problem import Media, Problem

if TYPE_CHECKING:
    from vision_r1.problems.chat import ChatRow, load_chat_rows
    from vision_r1.problems.load import load_problems

__all__ = ["ChatRow", "Media", "Problem", "load_chat_rows", "load_problems"]

_HOMES = {"ChatRow": "chat", "load_chat_rows": "chat", "load_problems": "load"}


def __getattr__(name: str) -> Any:
    # Recipes import the settings of this package; they must not pay for its loaders.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
