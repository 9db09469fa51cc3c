"""How long work tells where it is; the terminal's bars live upstairs, in `report`."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the state of one piece of long work at a time."""

    def start(self, stage: str, total: int, unit: str = "step") -> None:
        """Begin `stage`, which takes `total` units."""
        ...

    def advance(self, done: int, **fields: float) -> None:
        """`done` units are finished; `fields` are shown beside (reward, length, ...)."""
        ...

    def finish(self) -> None:
        """End the current stage's line."""
        ...

    def say(self, text: str) -> None:
        """Print one line that stays."""
        ...


class Silent:
    """A `Progress` that shows nothing."""

    def start(self, stage: str, total: int, unit: str = "step") -> None:
        """See `Progress.start`."""

    def advance(self, done: int, **fields: float) -> None:
        """See `Progress.advance`."""

    def finish(self) -> None:
        """See `Progress.finish`."""

    def say(self, text: str) -> None:
        """See `Progress.say`."""
