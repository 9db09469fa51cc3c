"""The objects of a JSON array, one at a time: the sets of conversations are single files of gigabytes.

`json`'s own scanner reads object after object from a window over the file, so that what it takes and
how it fails is what `json.loads` takes (NaN, say, which the streaming libraries refuse) and what other
readers of this package report.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from vision_r1.core.errors import InputError

CHUNK = 2**20
LONGEST = 256 * 2**20  # characters; a longer value is a quotation mark that was never closed
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def array_values(path: Path) -> Iterator[Any]:
    """The values of the array in a file, in order; at most a few of them are held at a time.

    Raises:
        InputError: not a JSON array, damaged at some line, nested too deep, or not UTF-8.
        ValueError: a number of more digits than Python converts.
    """
    with path.open(encoding="utf-8-sig") as handle:
        window = _Window(handle, str(path))
        try:
            yield from _values(window)
        except UnicodeDecodeError:
            raise InputError("not UTF-8 text", where=str(path)) from None
        except RecursionError:
            raise InputError("nested too deep", where=str(path)) from None


def starts_array(path: Path) -> bool:
    """Whether the first character of a file that is no space opens an array."""
    with path.open(encoding="utf-8-sig", errors="replace") as handle:
        return _Window(handle, str(path)).peek() == "["


def _values(window: _Window) -> Iterator[Any]:
    if window.peek() != "[":
        raise InputError("expected a list of objects", where=window.name)
    window.at += 1
    if window.peek() == "]":
        window.at += 1
    else:
        while True:
            yield window.value()
            mark = window.peek()
            if mark not in (",", "]"):
                raise window.error("Expecting ',' delimiter")
            window.at += 1
            if mark == "]":
                break
    if window.peek():
        raise window.error("Extra data")


class _Window:
    """A stretch of a file that moves on as its values are taken."""

    def __init__(self, handle: TextIO, name: str) -> None:
        self.name, self.at = name, 0
        self._handle, self._text, self._line = handle, "", 1

    def peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            space = _SPACE.match(self._text, self.at)
            self.at = space.end() if space else self.at
            if self.at < len(self._text):
                return self._text[self.at]
            if not self._more():
                return ""

    def value(self) -> Any:
        """The next JSON value."""
        if not self.peek():
            raise self.error("Expecting value")
        while True:
            try:
                value, self.at = _DECODER.raw_decode(self._text, self.at)
            except json.JSONDecodeError as error:
                # Damaged, or only not read to its end.
                if len(self._text) - self.at > LONGEST or not self._more():
                    raise self.error(error.msg, error.pos) from None
            else:
                return value

    def error(self, what: str, place: int | None = None) -> InputError:
        """What is wrong, with the line that it is on."""
        line = self._line + self._text.count("\n", 0, self.at if place is None else place)
        return InputError(f"not valid JSON: {what}", where=f"{self.name}, line {line}")

    def _more(self) -> bool:
        # As much again as is held, so that a value of any length is tried a few times only.
        more = self._handle.read(max(CHUNK, len(self._text) - self.at))
        if more:
            self._line += self._text.count("\n", 0, self.at)
            self._text, self.at = self._text[self.at :] + more, 0
        return bool(more)
