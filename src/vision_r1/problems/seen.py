"""Stored images, each decoded once: whether it can be decoded, its key, and how it looks.

What was seen is noted in a SQLite file, so that the next run opens no image file that has not changed.
Several processes may use the file at the same time. It only saves time: one that cannot be used is told
of, and images are decoded as if there was none.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, get_args

import PIL

from vision_r1.core.errors import InputError
from vision_r1.problems.decode import TAKEN_FORMATS, decode_with_format
from vision_r1.problems.faults import Reason, RowError
from vision_r1.problems.fingerprints import COLOUR_BYTES, HASH_BYTES, Look, look_of
from vision_r1.problems.image_checks import image_error, image_fault, in_threads, once_each
from vision_r1.problems.images import BytesImage, FileImage
from vision_r1.problems.problem import Media

_RULES = 3  # of checks and looks; raise it when they change, and what was noted before is not used
_WAIT_SECONDS = 10.0
_ROWS_AT_ONCE = 500
# Named by the rules: notes of other ones may have other columns.
_TABLE = """
CREATE TABLE IF NOT EXISTS seen_3
(stamp BLOB PRIMARY KEY, key TEXT, look BLOB, fault TEXT, width INTEGER, height INTEGER, plain TEXT)
WITHOUT ROWID
"""


class Seen(NamedTuple):
    """What is known of an image.

    Attributes:
        key: SHA-256 of the encoded image in hex; "" where it could not be read.
        look: of one with shapes in it; None also where looks are not wanted.
        fault: why it cannot be decoded; None if it can.
        size: (width, height) in pixels; None where it cannot be decoded.
        plain: see `decode.plain_format`.
    """

    key: str
    look: Look | None
    fault: RowError | None
    size: tuple[int, int] | None = None
    plain: str = ""


class SeenImages:
    """Checks images like `image_checks.image_faults`, and finds their keys and looks on the way.

    Attributes:
        looks_wanted: whether looks are taken; they cost about as much as decoding.
    """

    def __init__(self, notes: Path, looks_wanted: bool, say: Callable[[str], None]) -> None:
        """Open the notes, or start them.

        Args:
            notes: the file.
            looks_wanted: whether looks are taken.
            say: told where the notes cannot be used.
        """
        self.looks_wanted = looks_wanted
        self._say = say
        self._notes = _Notes(notes)
        self._known: dict[tuple[str, int], Seen] = {}
        self._fresh: list[tuple[bytes, Seen]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Note what is left, also after Ctrl-C."""
        self._note()
        self._notes.close()
        if self._notes.trouble:
            self._say(f"images are decoded again in the next call: {self._notes.trouble}")

    @property
    def looks(self) -> Mapping[str, Look | None]:
        """The look of each image that could be decoded, by its key; empty where they are not wanted."""
        return {key: seen.look for (key, _), seen in self._known.items()} if self.looks_wanted else {}

    def faults(self, images: Sequence[Media]) -> Iterator[RowError | None]:
        """Why each image cannot be decoded, None where it can; images get to know what is seen of them."""
        for image, seen in zip(images, once_each(images, self._see_all), strict=True):
            if seen.key and isinstance(image, FileImage | BytesImage):
                image.known_as(seen.key)
                image.size, image.plain = seen.size, seen.plain
            yield seen.fault

    def _see_all(self, images: Iterable[Media]) -> Iterator[Seen]:
        for fresh, seen in in_threads(self._see, images):
            if fresh is not None:
                self._fresh.append((fresh, seen))
                if len(self._fresh) >= _ROWS_AT_ONCE:
                    self._note()
            yield seen

    def _note(self) -> None:
        self._notes.put(self._fresh, self.looks_wanted)
        self._fresh = []

    def _see(self, image: Media) -> tuple[bytes | None, Seen]:
        """What is known of an image, with the stamp to note it under if it is new."""
        if not isinstance(image, FileImage | BytesImage):
            return None, Seen("", None, image_fault(image))
        try:
            stamp = _stamp(image)
            seen = self._notes.get(stamp, self.looks_wanted)
            if seen is not None:
                fresh = None
            else:
                seen, lasting = self._decoded(image)
                # A file that changed meanwhile must not be known by what it was before.
                fresh = stamp if lasting and _stamp(image) == stamp else None
        except InputError as error:
            return None, Seen("", None, image_error(error))
        if seen.fault is None:
            self._known[seen.key, image.max_pixels] = seen
        return fresh, seen

    def _decoded(self, image: FileImage | BytesImage) -> tuple[Seen, bool]:
        """What decoding shows, and whether it would show the same again."""
        data = image.read()
        key = hashlib.sha256(data).hexdigest()
        if (key, image.max_pixels) in self._known:
            return self._known[key, image.max_pixels], True
        try:
            picture, plain = decode_with_format(data, image.where, image.max_pixels)
        except InputError as error:
            return Seen(key, None, image_error(error)), not isinstance(error.__context__, MemoryError)
        look = look_of(picture) if self.looks_wanted else None
        return Seen(key, look, None, picture.size, plain), True


def _stamp(image: FileImage | BytesImage) -> bytes:
    """What an image and the way it is decoded are known by; tells nothing of this machine's folders."""
    text = f"{_RULES}\0{PIL.__version__}\0{image.max_pixels}\0{image.stamp()}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class _Notes:
    """The file; threads may use it at the same time.

    Attributes:
        trouble: why it is not used (any more); "" while it is.
    """

    def __init__(self, path: Path) -> None:
        self.trouble = ""
        self._path, self._lock = path, threading.Lock()
        self._db: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)
        self._execute([(_TABLE, ())])

    def get(self, stamp: bytes, looks_wanted: bool) -> Seen | None:
        """What was noted under a stamp, if it says all that is wanted."""
        select = "SELECT key, look, fault, width, height, plain FROM seen_3 WHERE stamp = ?"
        rows = self._execute([(select, (stamp,))])
        return _from_row(rows[0], looks_wanted) if rows else None

    def put(self, found: Sequence[tuple[bytes, Seen]], looks_wanted: bool) -> None:
        """Note images, all of them or none."""
        rows = [(stamp, *_to_row(seen, looks_wanted)) for stamp, seen in found]
        insert = "INSERT OR REPLACE INTO seen_3 VALUES (?, ?, ?, ?, ?, ?, ?)"
        if rows:
            self._execute([("BEGIN IMMEDIATE", ()), *((insert, row) for row in rows), ("COMMIT", ())])

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _execute(self, statements: Iterable[tuple[str, Sequence[Any]]]) -> list[Any]:
        """What the last statement finds; nothing where the file cannot be used."""
        with self._lock:
            if self._db is None:
                return []
            try:
                rows: list[Any] = []
                for statement, values in statements:
                    rows = self._db.execute(statement, values).fetchall()
                return rows
            except sqlite3.Error as error:
                self._give_up(error)
                return []

    def _give_up(self, error: Exception) -> None:
        self.trouble = f"{self._path}: {error} (if it is damaged, remove it)"
        if self._db is not None:
            self._db.close()
            self._db = None


def _to_row(seen: Seen, looks_wanted: bool) -> tuple[str | bytes | int | None, ...]:
    error = seen.fault
    fault = None if error is None else json.dumps([error.what, error.fix, error.reason])
    look = b"".join(seen.look or ()) if looks_wanted else None
    return seen.key, look, fault, *(seen.size or (None, None)), seen.plain


def _from_row(row: Sequence[Any], looks_wanted: bool) -> Seen | None:
    """None where the row does not say enough, or is none that was written here."""
    key, look, fault, width, height, plain = row
    try:
        if re.fullmatch("[0-9a-f]{64}", key) is None or (looks_wanted and look is None and not fault):
            return None
        if fault is not None:
            what, fix, reason = map(str, json.loads(fault))
            known = next(each for each in get_args(Reason) if each == reason)
            return Seen(key, None, RowError(what, fix=fix, reason=known))
        if looks_wanted and len(look) not in (0, HASH_BYTES + COLOUR_BYTES):
            return None
        if plain and plain not in TAKEN_FORMATS:
            return None
        size = int(width), int(height)
        return Seen(key, Look(look[:HASH_BYTES], look[HASH_BYTES:]) if look else None, None, size, plain)
    except (TypeError, ValueError, StopIteration):
        return None
