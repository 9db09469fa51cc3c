"""One exception hierarchy. A user sees one line: what is wrong, where, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import ClassVar


class VisionR1Error(Exception):
    """Base of every error that this package raises on purpose.

    Attributes:
        exit_code: what the command line exits with.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(self.line())

    def line(self) -> str:
        """The whole message on one line: `where: what (fix)`."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.fix:
            text = f"{text} -- {self.fix}"
        return " ".join(text.split())


class InputError(VisionR1Error, ValueError):
    """The user's input cannot be used: a file, row, field, image, model directory or path."""

    exit_code = 2


class ConfigError(InputError):
    """A configuration key or value is wrong; `where` is the dotted key."""


class RunStateError(InputError):
    """A run directory cannot be used for what was asked (another recipe, changed dials, locked)."""


class CollapseError(VisionR1Error, RuntimeError):
    """Training stopped because it cannot be right any more; `what` names the measure and the step."""

    exit_code = 3


class ImageUseError(VisionR1Error, RuntimeError):
    """The images do not reach the model, so nothing measured after this would mean anything."""

    exit_code = 3


class BudgetReached(VisionR1Error, RuntimeError):  # noqa: N818  (the end of what was allowed, not an error)
    """The next request would pass a budget; what was answered is kept."""

    exit_code = 3


class Interrupted(VisionR1Error, RuntimeError):  # noqa: N818  (asked for)
    """The user asked to stop; what was under way has been finished and kept."""

    exit_code = 130


def nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    """The way to mend a misspelt name: the known one that is most like it, else `otherwise` and all of them.

    Args:
        name: what was written.
        known: what could have been meant.
        otherwise: how to call the known ones where none is close, such as "known keys".
    """
    names = list(known)
    return did_you_mean(name, names) or f"{otherwise}: {', '.join(names)}"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """The question with the nearest known name; empty where none is close."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""
