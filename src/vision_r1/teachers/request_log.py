"""The durable log of answered requests: a SQLite file, and one beside it with the images that were sent.

An answer is written before anyone sees it, so a request that was answered is never sent again: not in
this run, not after a kill, not in another run on the same log. Keys of endpoints are not in it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from vision_r1.teachers.chat import ChatReply, Picture
from vision_r1.teachers.database import Database, Schema, opened_for_reading
from vision_r1.teachers.ledger import Spent

_JSON = json.JSONEncoder()
# The ledger is read from this index alone, not from the texts.
_INDEX = """
CREATE INDEX spent ON replies
(model, step, prompt_tokens, completion_tokens, reasoning_tokens, charged, cost)
"""
_LOG = Schema(
    "request log",
    0x56523151,  # "VR1Q"
    tables=(
        """
        CREATE TABLE replies (
            key TEXT PRIMARY KEY,
            model TEXT NOT NULL,
            request TEXT NOT NULL,
            reply TEXT NOT NULL,
            prompt_tokens INTEGER,
            completion_tokens INTEGER,
            written REAL NOT NULL,
            step TEXT NOT NULL DEFAULT '',
            reasoning_tokens INTEGER,
            charged INTEGER NOT NULL DEFAULT 0,
            cost REAL NOT NULL DEFAULT 0
        )
        """,
        _INDEX,
    ),
    changes=(
        (
            # The step is in the request; what else is new was not known.
            "ALTER TABLE replies ADD COLUMN step TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE replies ADD COLUMN reasoning_tokens INTEGER",
            "ALTER TABLE replies ADD COLUMN charged INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE replies ADD COLUMN cost REAL NOT NULL DEFAULT 0",
            """
            UPDATE replies SET
                charged = ifnull(prompt_tokens, 0) + ifnull(completion_tokens, 0),
                step = ifnull(substr(json_extract(request, '$.template'), 1,
                    instr(json_extract(request, '$.template') || '@', '@') - 1), '')
            """,
            _INDEX,
        ),
    ),
)
_READ = {
    1: "SELECT key, model, request, reply, prompt_tokens, completion_tokens, written FROM replies",
    2: """
        SELECT key, model, request, reply, prompt_tokens, completion_tokens, written, step, reasoning_tokens,
            charged, cost
        FROM replies
        """,
}
_INSERT = "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PICTURES = Schema(
    "store of images",
    0x56523150,  # "VR1P"
    tables=(
        """
        CREATE TABLE pictures (
            name TEXT PRIMARY KEY,
            suffix TEXT NOT NULL,
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            data BLOB NOT NULL
        )
        """,
    ),
)
_KEEP = "INSERT OR IGNORE INTO pictures VALUES (?, ?, ?, ?, ?)"
_READ_PICTURES = "SELECT name, suffix, width, height, data FROM pictures"
_BATCH_ROWS, _BATCH_BYTES = 1000, 16 * 2**20  # of another log that are written together
VERSION = _LOG.version


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer with what it answers.

    Attributes:
        key: of the request, see `chat.request_key`.
        model: what the endpoint was asked for.
        request: the request's canonical text, see `chat.request_text`.
        reply: the answer.
        step: which step asked, see `ChatRequest.step`.
        charged: tokens that it counts for in budgets.
        cost: money that it counts for.
    """

    key: str
    model: str
    request: str
    reply: ChatReply
    step: str = ""
    charged: int = 0
    cost: float = 0.0


class RequestLog:
    """Answers by the key of their request; one process at a time, any number of its threads.

    Attributes:
        path: the SQLite file; the images are in `NAME.pictures` beside it, by `chat.picture_name`.
    """

    def __init__(self, path: Path) -> None:
        """Open the log, or start one.

        Raises:
            RunStateError: another process works on it, or a newer version of the software wrote it.
            InputError: the file is no such log, is damaged, or cannot be written.
        """
        self.path = path
        self._log = Database(path, _LOG)
        self._pictures: Database | None = None
        self._opening = threading.Lock()

    def get(self, key: str) -> ChatReply | None:
        """The answer to a request, if there is one."""
        found = self._log.rows("SELECT reply FROM replies WHERE key = ?", (key,))
        return ChatReply(**json.loads(found[0][0])) if found else None

    def put(self, answers: Sequence[Answered]) -> None:
        """Write answers, in one transaction; they are on file when this returns. The first to a key stays.

        Raises:
            InputError: the log cannot be written to.
        """
        now = time.time()
        rows = [
            (
                answer.key, answer.model, answer.request, _reply_text(answer.reply),
                answer.reply.prompt_tokens, answer.reply.completion_tokens, now, answer.step,
                answer.reply.reasoning_tokens, answer.charged, answer.cost,
            )
            for answer in answers
        ]  # fmt: skip
        self._log.write(_INSERT, rows)

    def keep(self, pictures: Iterable[Picture]) -> None:
        """Store images that are not there yet; a request's are stored before it is sent.

        Raises:
            RunStateError, InputError: as for the log itself.
        """
        rows = [(each.name, each.suffix, *each.size, each.data) for each in pictures]
        self._store().write(_KEEP, rows)

    def picture(self, name: str) -> Picture | None:
        """The image of that name, as it was sent; None if it was not."""
        found = self._store().rows("SELECT suffix, width, height, data FROM pictures WHERE name = ?", (name,))
        if not found:
            return None
        suffix, width, height, data = found[0]
        return Picture(name, suffix, data, (width, height))

    def absorb(self, other: Path) -> int:
        """Take over all answers and images of another log, which stays as it is; what is here already stays.

        Returns:
            How many answers are new here.

        Raises:
            RunStateError: another process works on it, or a newer version of the software wrote it.
            InputError: there is no such log, it is damaged, or this one cannot be written to.
        """
        pictures = _pictures_of(other)
        with opened_for_reading(other, _LOG) as (version, db):
            # The images first: those of an answer that is on file are there.
            if pictures.exists():
                with opened_for_reading(pictures, _PICTURES) as (_, store):
                    for batch in _batches(store.execute(_READ_PICTURES)):
                        self._store().write(_KEEP, batch)
            rows = map(_as_of_now, db.execute(_READ[version]))
            return sum(self._log.write(_INSERT, batch) for batch in _batches(rows))

    def _store(self) -> Database:
        # Work without images needs none. The log's own lock keeps other processes away meanwhile.
        with self._opening:
            if self._pictures is None:
                self._pictures = Database(_pictures_of(self.path), _PICTURES)
            return self._pictures

    def ledger(self) -> dict[str, Spent]:
        """What each model was asked, over all runs on this log."""
        spent: dict[str, Spent] = {}
        for (_, model), each in self.ledger_by_step().items():
            spent[model] = spent.get(model, Spent()) + each
        return spent

    def ledger_by_step(self) -> Mapping[tuple[str, str], Spent]:
        """What each step asked each model, by (step, model), over all runs on this log."""
        rows = self._log.rows("""
            SELECT step, model, count(*), total(prompt_tokens), total(completion_tokens),
                total(reasoning_tokens), total(charged), total(cost)
            FROM replies INDEXED BY spent GROUP BY model, step ORDER BY model, step
        """)
        return {
            (step, model): Spent(count, int(prompt), int(completion), int(reasoning), int(charged), cost)
            for step, model, count, prompt, completion, reasoning, charged, cost in rows
        }

    def close(self) -> None:
        """Let the next process have it."""
        self._log.close()
        if self._pictures is not None:
            self._pictures.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _pictures_of(log: Path) -> Path:
    return log.with_name(log.name + ".pictures")


def _as_of_now(row: Sequence[Any]) -> Sequence[Any]:
    """A row of any version as one of the newest; version 1 had no step and counted no reasoning."""
    if len(row) > 7:
        return row
    request, prompt, completion = row[2], row[4], row[5]
    try:
        step = str(json.loads(request)["template"]).partition("@")[0]
    except (ValueError, KeyError, TypeError, RecursionError):
        step = ""
    return (*row, step, None, (prompt or 0) + (completion or 0), 0.0)


def _batches(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    """Rows as they come, so many at a time that they fit into memory whatever they hold."""
    batch: list[Sequence[Any]] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if len(batch) >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _reply_text(reply: ChatReply) -> str:
    """A reply as JSON; what is not known is left out."""
    plain = {name: getattr(reply, name) for name in ChatReply.__slots__}
    if reply.reasoning_tokens is None:
        del plain["reasoning_tokens"]
    if not reply.hidden:
        del plain["hidden"]
    return _JSON.encode(plain)
