"""Requests that brought no answer, by their keys: a JSON Lines file that is written as it happens.

A kill loses none of its lines, and cuts the last one at most. It is there to be read: the next run asks
again in any case.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from vision_r1.core.files import reported_writes, write_jsonl


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request without an answer.

    Attributes:
        key: of the request, see `teachers.chat.request_key`.
        problem, step, sample: what it was asked for.
        kind: see `teachers.chat.Failure`.
        reason: what exactly happened.
    """

    key: str
    problem: str
    step: str
    sample: int
    kind: str
    reason: str

    @property
    def why(self) -> str:
        """Kind and reason."""
        return f"{self.kind}: {self.reason}"


class Quarantine:
    """Notes requests of one pass; what a pass that was stopped has left stays until one comes to its end."""

    def __init__(self, path: Path) -> None:
        """Open the file, or start one.

        Raises:
            InputError: it cannot be written.
        """
        self._path = path
        self._noted: dict[str, Unanswered] = {}
        with reported_writes(path.parent):
            self._handle = path.open("ab", buffering=0)
            self._handle.truncate(path.read_bytes().rfind(b"\n") + 1)  # what a kill cut off

    def note(self, entry: Unanswered) -> None:
        """Put a request on file.

        Raises:
            InputError: the file cannot be written.
        """
        self._noted[entry.key] = entry
        with reported_writes(self._path.parent):
            self._handle.write(json.dumps(asdict(entry), ensure_ascii=False).encode() + b"\n")

    def ended(self) -> None:
        """The pass has asked everything: what earlier ones left is out of date."""
        write_unanswered(self._path, self._noted.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.close()


def write_unanswered(path: Path, entries: Iterable[Unanswered]) -> None:
    """Write the file anew, whole or not at all."""
    with reported_writes(path.parent):
        write_jsonl(path, map(asdict, entries))


def read_unanswered(path: Path) -> dict[str, Unanswered]:
    """By key, the last line of each counts; what is no such line, as a kill leaves it, is passed over."""
    found: dict[str, Unanswered] = {}
    lines = path.read_bytes().splitlines() if path.is_file() else []
    for line in lines:
        try:
            entry = Unanswered(**json.loads(line))
        except (ValueError, TypeError):
            continue
        found[entry.key] = entry
    return found
