"""The durable log of answered requests: one SQLite file, images beside it by hash.

An answer is written before anyone sees it, so a request that was answered is never sent again: not in
this run, not after a kill, not in another run on the same log. Keys of endpoints are not in it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from vision_r1.core.errors import InputError, RunStateError
from vision_r1.core.files import atomic_write_bytes
from vision_r1.teachers.chat import ChatReply, Picture

VERSION = 1
_APPLICATION = 0x56523151  # tells our files from other SQLite files ("VR1Q")
_LOCK_SECONDS = 2.0  # enough for a killed holder to be gone
_TABLE = """
CREATE TABLE replies (
    key TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    request TEXT NOT NULL,
    reply TEXT NOT NULL,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    written REAL NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a model was asked in all.

    Attributes:
        replies: answered requests.
        prompt_tokens: as the endpoint counted them; a reply without a count adds nothing.
        completion_tokens: likewise.
    """

    replies: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer with what it answers.

    Attributes:
        key: of the request, see `chat.request_key`.
        model: what the endpoint was asked for.
        request: the request's canonical text, see `chat.request_text`.
        reply: the answer.
    """

    key: str
    model: str
    request: str
    reply: ChatReply


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
            self._db.execute(f"PRAGMA application_id={_APPLICATION}")
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
            fix = "see that the disk has room and the folder may be written to; what was answered is kept"
            raise InputError(f"the request log cannot be used: {error}", where=place, fix=fix) from None
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", where=place) from None

    def get(self, key: str) -> ChatReply | None:
        """The answer to a request, if there is one."""
        with self._lock, self._explained():
            found = self._db.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return None if found is None else ChatReply(**json.loads(found[0]))

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
                json.dumps(asdict(answer.reply)),
                answer.reply.prompt_tokens,
                answer.reply.completion_tokens,
                now,
            )
            for answer in answers
        ]
        with self._lock, self._explained():
            self._db.execute("BEGIN")
            try:
                self._db.executemany("INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
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
                path = self._images / picture.hash[:2] / f"{picture.hash}.{picture.suffix}"
                if not path.exists():
                    atomic_write_bytes(path, picture.data)

    def ledger(self) -> dict[str, Spent]:
        """What each model was asked, over all runs on this log."""
        query = """
            SELECT model, count(*), total(prompt_tokens), total(completion_tokens)
            FROM replies GROUP BY model ORDER BY model
        """
        with self._lock, self._explained():
            rows = self._db.execute(query).fetchall()
        return {
            model: Spent(count, int(prompt), int(completion)) for model, count, prompt, completion in rows
        }

    def close(self) -> None:
        """Let the next process have it."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
