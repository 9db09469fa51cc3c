"""The durable log of answered requests: one SQLite file, images beside it by hash.

An answer is written before anyone sees it, so a request that was answered is never sent again: not in
this run, not after a kill, not in another run on the same log. Keys of endpoints are not in it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vision_r1.core.errors import InputError, RunStateError
from vision_r1.teachers.chat import ChatReply, Picture
from vision_r1.teachers.ledger import Spent, together

VERSION = 2
_APPLICATION = 0x56523151  # tells our files from other SQLite files ("VR1Q")
_LOCK_SECONDS = 2.0  # enough for a killed holder to be gone
_INSERT = "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FIX = "see that the disk has room and the folder may be written to; what was answered is kept"
_AT_ONCE = 500  # keys in one query
_TABLE = """
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
"""
# The ledger is read from this index alone, not from the texts.
_INDEX = """
CREATE INDEX spent ON replies
(model, step, prompt_tokens, completion_tokens, reasoning_tokens, charged, cost)
"""
# From version 1: the step is in the request, the rest was not known.
_FROM_1 = (
    "ALTER TABLE replies ADD COLUMN step TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE replies ADD COLUMN reasoning_tokens INTEGER",
    "ALTER TABLE replies ADD COLUMN charged INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE replies ADD COLUMN cost REAL NOT NULL DEFAULT 0",
    """
    UPDATE replies SET charged = ifnull(prompt_tokens, 0) + ifnull(completion_tokens, 0),
    step = ifnull(substr(request ->> '$.template', 1, instr((request ->> '$.template') || '@', '@') - 1), '')
    """,
    _INDEX,
)


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
        path: the SQLite file; images lie in the folder `NAME.images` beside it.
    """

    def __init__(self, path: Path) -> None:
        """Open the log, or start one.

        Raises:
            RunStateError: another process works on it, or a newer version of the software wrote it.
            InputError: the file is no such log, is damaged, or cannot be written.
        """
        self.path = path
        self._images = path.with_name(path.name + ".images")
        self._lock = threading.Lock()
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            with self._explained():
                self._open()
        except BaseException:
            self._db.close()
            raise

    def _open(self) -> None:
        # The lock is SQLite's own: taken by the first access, held until the process ends, however it ends.
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._db.execute("BEGIN EXCLUSIVE")
        application = self._db.execute("PRAGMA application_id").fetchone()[0]
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        empty = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if application != _APPLICATION and not (empty and application == version == 0):
            raise InputError(
                "a database, but not a request log", where=str(self.path), fix="name another file"
            )
        if version > VERSION:
            raise RunStateError(
                f"written by a newer version of the software (log version {version}, known {VERSION})",
                where=str(self.path),
                fix="update vision-r1, or name another file",
            )
        if empty:
            self._db.execute(_TABLE)
            self._db.execute(_INDEX)
            self._db.execute(f"PRAGMA application_id={_APPLICATION}")
        elif version < VERSION:
            for change in _FROM_1:
                self._db.execute(change)
        self._db.execute(f"PRAGMA user_version={VERSION}")
        self._db.execute("COMMIT")
        # A killed process loses nothing in this mode; a power cut may lose the last seconds, never more.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite and the file system raise into one line."""
        place = str(self.path)
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorname", "")
            if code.startswith("SQLITE_BUSY"):
                raise RunStateError(
                    "another process is working with this log",
                    where=place,
                    fix="wait for it, or name another",
                ) from None
            if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
                raise InputError(
                    f"not a request log, or damaged ({error})", where=place, fix="move the file away"
                ) from None
            raise InputError(f"the request log cannot be used: {error}", where=place, fix=_FIX) from None
        except OSError as error:
            where = str(error.filename or place)
            raise InputError(f"cannot be written: {error.strerror}", where=where, fix=_FIX) from None

    def get(self, key: str) -> ChatReply | None:
        """The answer to a request, if there is one."""
        with self._lock, self._explained():
            found = self._db.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return None if found is None else ChatReply(**json.loads(found[0]))

    def get_many(self, keys: Sequence[str]) -> dict[str, ChatReply]:
        """The answers to those of the requests that have one, by key."""
        found: dict[str, ChatReply] = {}
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            query = f"SELECT key, reply FROM replies WHERE key IN ({','.join('?' * len(some))})"  # noqa: S608
            with self._lock, self._explained():
                rows = self._db.execute(query, some).fetchall()
            found |= {key: ChatReply(**json.loads(reply)) for key, reply in rows}
        return found

    def put(self, answers: Sequence[Answered]) -> None:
        """Write answers, in one transaction; they are on file when this returns. The first to a key stays.

        Raises:
            InputError: the log cannot be written to.
        """
        now = time.time()
        rows = [
            (
                answer.key,
                answer.model,
                answer.request,
                _reply_text(answer.reply),
                answer.reply.prompt_tokens,
                answer.reply.completion_tokens,
                now,
                answer.step,
                answer.reply.reasoning_tokens,
                answer.charged,
                answer.cost,
            )
            for answer in answers
        ]
        with self._lock, self._explained():
            self._db.execute("BEGIN")
            try:
                self._db.executemany(_INSERT, rows)
                self._db.execute("COMMIT")
            except sqlite3.Error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def keep(self, pictures: Iterable[Picture]) -> None:
        """Store images that are not there yet; a request's are stored before it is sent.

        Raises:
            InputError: the folder cannot be written to.
        """
        with self._explained():
            for picture in pictures:
                path = self._images / picture.name[:2] / f"{picture.name}.{picture.suffix}"
                _store(path, picture.data)

    def ledger(self) -> dict[str, Spent]:
        """What each model was asked, over all runs on this log."""
        spent: dict[str, Spent] = {}
        for (_, model), each in self.ledger_by_step().items():
            spent[model] = together([spent[model], each]) if model in spent else each
        return spent

    def ledger_by_step(self) -> Mapping[tuple[str, str], Spent]:
        """What each step asked each model, by (step, model), over all runs on this log."""
        query = """
            SELECT step, model, count(*), total(prompt_tokens), total(completion_tokens),
                total(reasoning_tokens), total(charged), total(cost)
            FROM replies INDEXED BY spent GROUP BY model, step ORDER BY model, step
        """
        with self._lock, self._explained():
            rows = self._db.execute(query).fetchall()
        return {
            (step, model): Spent(count, int(prompt), int(completion), int(reasoning), int(charged), cost)
            for step, model, count, prompt, completion, reasoning, charged, cost in rows
        }

    def close(self) -> None:
        """Let the next process have it."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _reply_text(reply: ChatReply) -> str:
    """A reply as JSON; what is not known is left out."""
    plain = {name: getattr(reply, name) for name in ChatReply.__slots__}
    for name in ("reasoning_tokens", "hidden"):
        if not plain[name]:
            del plain[name]
    return json.dumps(plain)


def _store(path: Path, data: bytes) -> None:
    """Write a file so that it is whole or absent, without waiting for the disk.

    A power cut may leave it empty or short; its length tells, and the next request writes it again.
    """
    try:
        if path.stat().st_size == len(data):
            return
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{threading.get_ident()}.tmp")
    try:
        scratch.write_bytes(data)
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
