"""The durable log of answered requests: a SQLite file, and one beside it with the images that were sent.

An answer is written before anyone sees it, so a request that was answered is never sent again: not in
this run, not after a kill, not in another run on the same log. Keys of endpoints are not in it.

Beside the answers stands what counts for budgets without being one: attempts that failed, and what the
requests under way may come to, which is written before they are sent. So no run forgets what an earlier
one spent, however that ended.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from vision_r1.teachers.chat import BROKEN_OFF, ChatReply, Picture
from vision_r1.teachers.database import Database, Schema, opened_for_reading
from vision_r1.teachers.ledger import Charge, Spent

_JSON = json.JSONEncoder()
# The ledger is read from this index alone, not from the texts.
_INDEX = """
CREATE INDEX spent ON replies
(model, step, prompt_tokens, completion_tokens, reasoning_tokens, charged, cost)
"""
# Number 1 is of this log, the others are of logs that were absorbed, each known by the name it was given.
_CHARGES = """
CREATE TABLE charges (
    number INTEGER PRIMARY KEY,
    origin TEXT NOT NULL UNIQUE,
    requests INTEGER NOT NULL DEFAULT 0,
    tokens INTEGER NOT NULL DEFAULT 0,
    cost REAL NOT NULL DEFAULT 0,
    reserved_requests INTEGER NOT NULL DEFAULT 0,
    reserved_tokens INTEGER NOT NULL DEFAULT 0,
    reserved_cost REAL NOT NULL DEFAULT 0
)
"""
_OWN_CHARGES = "INSERT INTO charges (number, origin) VALUES (1, lower(hex(randomblob(16))))"
# Such replies were once written as answers.
_IS_BROKEN = f"json_extract(reply, '$.finish_reason') IN {BROKEN_OFF}"
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
        _CHARGES,
        _OWN_CHARGES,
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
        (
            _CHARGES,
            _OWN_CHARGES,
            f"""
            UPDATE charges SET (requests, tokens, cost) = (
                SELECT count(*), CAST(total(charged) AS INTEGER), total(cost) FROM replies WHERE {_IS_BROKEN}
            )
            """,  # noqa: S608  (constants of this module)
            f"DELETE FROM replies WHERE {_IS_BROKEN}",  # noqa: S608
        ),
    ),
)
_COLUMNS = "key, model, request, reply, prompt_tokens, completion_tokens, written"
_MORE_COLUMNS = f"{_COLUMNS}, step, reasoning_tokens, charged, cost"
_READ = {
    1: f"SELECT {_COLUMNS} FROM replies WHERE NOT {_IS_BROKEN}",  # noqa: S608
    2: f"SELECT {_MORE_COLUMNS} FROM replies WHERE NOT {_IS_BROKEN}",  # noqa: S608
    3: f"SELECT {_MORE_COLUMNS} FROM replies",  # noqa: S608
}
_INSERT = "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_CHARGE = """
UPDATE charges SET requests = requests + ?, tokens = tokens + ?, cost = cost + ?,
    reserved_requests = reserved_requests + ?, reserved_tokens = reserved_tokens + ?,
    reserved_cost = reserved_cost + ?
WHERE number = 1
"""
# Whoever had it under way is gone: what became of it is not known, so it counts in full.
_FOLD = """
UPDATE charges SET requests = requests + reserved_requests, tokens = tokens + reserved_tokens,
    cost = cost + CASE WHEN reserved_requests > 0 THEN reserved_cost ELSE 0 END,
    reserved_requests = 0, reserved_tokens = 0, reserved_cost = 0
WHERE number = 1
"""
_READ_CHARGES = """
SELECT origin, requests + reserved_requests, tokens + reserved_tokens,
    cost + CASE WHEN reserved_requests > 0 THEN reserved_cost ELSE 0 END
FROM charges
"""
_TAKE_CHARGES = """
INSERT INTO charges (origin, requests, tokens, cost)
SELECT ?1, ?2, ?3, ?4 WHERE ?1 NOT IN (SELECT origin FROM charges WHERE number = 1)
ON CONFLICT (origin) DO UPDATE SET requests = max(requests, excluded.requests),
    tokens = max(tokens, excluded.tokens), cost = max(cost, excluded.cost)
"""
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
_WITH_CHARGES = 3  # the first version that has them
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
        self._log.write(_FOLD, [()])
        self._pictures: Database | None = None
        self._opening = threading.Lock()

    def get(self, key: str) -> ChatReply | None:
        """The answer to a request, if there is one."""
        found = self._log.rows("SELECT reply FROM replies WHERE key = ?", (key,))
        return ChatReply(**json.loads(found[0][0])) if found else None

    def put(
        self, answers: Sequence[Answered], lost: Charge | None = None, reserved: Charge | None = None
    ) -> None:
        """Write answers, in one transaction; they are on file when this returns. The first to a key stays.

        Args:
            answers: to write.
            lost: what is added to `lost`.
            reserved: what is added to what the requests under way may come to; less than nothing where
                more of them have ended than begun.

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
        changes = (*(lost or Charge()), *(reserved or Charge()))
        charges = [changes] if any(changes) else []
        wanted = [each for each in ((_INSERT, rows), (_CHARGE, charges)) if each[1]]
        if wanted:
            self._log.write_all(wanted)

    def lost(self) -> Spent:
        """What counts for budgets without being an answer, over all runs on this log and those absorbed.

        Attempts that failed, and those that were under way when a process died, at the most they can
        have come to. What is under way now is not in it.
        """
        ((requests, tokens, cost),) = self._log.rows(
            "SELECT total(requests), total(tokens), total(cost) FROM charges"
        )
        return Spent(int(requests), charged=int(tokens), cost=cost)

    def keep(self, pictures: Iterable[Picture]) -> None:
        """Store images that are not there yet; a request's are stored before its answer is written.

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

        What the other one lost counts here from then on, once however often it is taken over.

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
            if version >= _WITH_CHARGES:
                self._log.write(_TAKE_CHARGES, db.execute(_READ_CHARGES).fetchall())
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
