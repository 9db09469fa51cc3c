"""A reply that comes as server-sent events: bytes in, a whole answer out."""

from __future__ import annotations

import json
from typing import Any

_LONGEST_LINE = 8 * 2**20  # bytes of one event


class ReplyStream:
    """Puts the events of a streamed chat completion together.

    Attributes:
        fault: why no answer can come of it any more; empty while one can.
        done: whether the stream has said that it is complete.
    """

    def __init__(self) -> None:
        self.fault = ""
        self.done = False
        self._rest = bytearray()
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._details: list[Any] = []
        self._finish: str | None = None
        self._body: dict[str, Any] = {}

    def feed(self, data: bytes) -> bool:
        """Take bytes as they come; whether any event was among them (a comment that keeps alive is none)."""
        self._rest += data
        if len(self._rest) > _LONGEST_LINE:
            self.fault = "an event of the stream has no end"
        if b"\n" not in data or self.fault:
            return False
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        events = [line[5:].strip() for line in lines if line.startswith(b"data:")]
        for event in events:
            self._event(event)
        return bool(events)

    def _event(self, event: bytes) -> None:
        if event == b"[DONE]":
            self.done = True
            return
        try:
            value = json.loads(event)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            self.fault = self.fault or "an event of the stream is not a JSON object"
            return
        if value.get("error"):
            self.fault = self.fault or f"the stream broke off: {json.dumps(value['error'])}"
            return
        for name in ("model", "usage"):
            if value.get(name) is not None:
                self._body[name] = value[name]
        choices = value.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if isinstance(choice, dict):
            self._choice(choice)

    def _choice(self, choice: dict[str, Any]) -> None:
        if isinstance(choice.get("finish_reason"), str):
            self._finish = choice["finish_reason"]
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return
        for names, parts in (
            (("content",), self._text),
            (("reasoning_content", "reasoning"), self._reasoning),
        ):
            # Some servers send the reasoning under both names.
            parts += [delta[name] for name in names if isinstance(delta.get(name), str)][:1]
        details = delta.get("reasoning_details")
        self._details += details if isinstance(details, list) else []

    def body(self) -> dict[str, Any] | None:
        """The answer in the form of one that was not streamed; None where the stream ended too early.

        Only a finish reason says that the reply has ended: gateways send `[DONE]` also where the server
        behind them died.
        """
        if self.fault or self._finish is None:
            return None
        message = {
            "content": "".join(self._text),
            "reasoning_content": "".join(self._reasoning),
            "reasoning_details": self._details,
        }
        return {**self._body, "choices": [{"message": message, "finish_reason": self._finish}]}
