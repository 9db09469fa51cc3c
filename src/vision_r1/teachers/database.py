"""A SQLite file that one process at a time works on, and whose faults are told in one line."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_r1.core.errors import InputError, RunStateError

_LOCK_SECONDS = 2.0  # enough for a killed holder to be gone
_FIX = "see that the disk has room and the folder may be written to; what was answered is kept"


@dataclass(frozen=True)
class Schema:
    """What a file holds.

    Attributes:
        what: what it is called in messages.
        application: number that tells such files from other SQLite files.
        tables: statements that make the newest version.
        changes: for each version from 1 on, statements that make the next one of it.
    """

    what: str
    application: int
    tables: Sequence[str]
    changes: Sequence[Sequence[str]] = ()

    @property
    def version(self) -> int:
        """The newest one."""
        return 1 + len(self.changes)


class Database:
    """An open file; any number of the process's threads may use it.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        """Open the file, or start one.

        Raises:
            RunStateError: another process works on it, or a newer version of the software wrote it.
            InputError: the file is no such database, is damaged, or cannot be written.
        """
        self.path, self._schema = path, schema
        self._lock = threading.Lock()
        with _explained(path, schema):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            with _explained(path, schema):
                self._open()
        except BaseException:
            self._db.close()
            raise

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """What a query finds."""
        with self._lock, _explained(self.path, self._schema):
            return self._db.execute(query, values).fetchall()

    def write(self, statement: str, rows: Sequence[Sequence[Any]]) -> int:
        """Execute a statement for each row, in one transaction; they are on file when this returns.

        Returns:
            How many rows of the file are new or changed.

        Raises:
            InputError: the file cannot be written to.
        """
        return self.write_all([(statement, rows)])

    def write_all(self, statements: Sequence[tuple[str, Sequence[Sequence[Any]]]]) -> int:
        """`write` for several statements, all in one transaction."""
        with self._lock, _explained(self.path, self._schema):
            self._db.execute("BEGIN")
            try:
                before = self._db.total_changes
                for statement, rows in statements:
                    self._db.executemany(statement, rows)
                self._db.execute("COMMIT")
                return self._db.total_changes - before
            except sqlite3.Error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Let the next process have it."""
        with self._lock:
            self._db.close()

    def _open(self) -> None:
        # The lock is SQLite's own: taken by the first access, held until the process ends, however it ends.
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._db.execute("BEGIN EXCLUSIVE")
        schema = self._schema
        version = _version(self._db, self.path, schema)
        changes = [schema.tables] if version is None else schema.changes[version - 1 :]
        for statement in (each for change in changes for each in change):
            self._db.execute(statement)
        self._db.execute(f"PRAGMA application_id={schema.application}")
        self._db.execute(f"PRAGMA user_version={schema.version}")
        self._db.execute("COMMIT")
        # A killed process loses nothing in this mode; a power cut may lose the last seconds, never more.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")


@contextmanager
def opened_for_reading(path: Path, schema: Schema) -> Iterator[tuple[int, sqlite3.Connection]]:
    """A file that others may read and nobody may write to meanwhile: its version and a connection.

    It stays as it is, also where its version is an older one.

    Raises:
        RunStateError: another process works on it, or a newer version of the software wrote it.
        InputError: there is no such file, or it is no such database or damaged.
    """
    if not path.is_file():
        raise InputError(f"no {schema.what} here", where=str(path), fix="name the file of one")
    with _explained(path, schema):
        uri = f"{path.resolve().as_uri()}?mode=ro"
        db = sqlite3.connect(uri, uri=True, timeout=_LOCK_SECONDS, isolation_level=None)
        try:
            db.execute("BEGIN")  # the first look at it takes the lock, which is kept until the end
            version = _version(db, path, schema)
            if version is None:
                raise InputError(f"an empty file, not a {schema.what}", where=str(path), fix="name another")
            yield version, db
        finally:
            db.close()


def _version(db: sqlite3.Connection, path: Path, schema: Schema) -> int | None:
    """The version of a file; None where nothing is in it yet.

    Raises:
        InputError, RunStateError: it is another database, or a newer version than is known.
    """
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    ours = application == schema.application and (empty or version > 0)
    if not ours and not (empty and application == version == 0):
        raise InputError(f"a database, but not a {schema.what}", where=str(path), fix="name another file")
    if version > schema.version:
        raise RunStateError(
            "written by a newer version of the software "
            f"({schema.what} version {version}, known {schema.version})",
            where=str(path),
            fix="update vision-r1, or name another file",
        )
    return None if empty else version


@contextmanager
def _explained(path: Path, schema: Schema) -> Iterator[None]:
    """Turn what SQLite and the file system raise into one line."""
    place, what = str(path), schema.what
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "")
        if code.startswith("SQLITE_BUSY"):
            raise RunStateError(
                f"another process is working with this {what}",
                where=place,
                fix="wait for it, or name another",
            ) from None
        if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            raise InputError(
                f"not a {what}, or damaged ({error})", where=place, fix="move the file away"
            ) from None
        raise InputError(f"the {what} cannot be used: {error}", where=place, fix=_FIX) from None
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=place, fix=_FIX) from None
