"""Stop strings, looked for in the text as it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]
_SPARE = 8  # tokens before a stop string that are decoded with it: a character may be several tokens


class StopStrings:
    """Finds the end of a completion by its text.

    Args:
        decode: token ids to text; only the last few are decoded, when the latest can end a stop string.
    """

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._texts: dict[int, str] = {}

    def ended(self, ids: Sequence[int], stops: Sequence[str]) -> bool:
        """Whether the latest token completes one of the stop strings."""
        if not stops:
            return False
        latest = self._texts.get(ids[-1])
        if latest is None:
            latest = self._texts[ids[-1]] = self._decode(ids[-1:])
        # A part of a character decodes to the replacement character.
        if "\ufffd" not in latest and not any(stop[-1] in latest for stop in stops):
            return False
        tail = self._decode(ids[-(max(len(stop.encode()) for stop in stops) + _SPARE) :])
        return any(stop in tail for stop in stops)


def cut_text(text: str, stops: Sequence[str]) -> str:
    """The text up to and with the first stop string."""
    ends = [text.index(stop) + len(stop) for stop in stops if stop in text]
    return text[: min(ends)] if ends else text
