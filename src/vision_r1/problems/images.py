"""Images where they lie: in a file, inside a table, or in a file that a table was emptied into."""

from __future__ import annotations

import hashlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, NamedTuple

from PIL import Image

from vision_r1.core.errors import InputError
from vision_r1.core.files import inside
from vision_r1.problems.config import DEFAULT_MAX_PIXELS
from vision_r1.problems.decode import decode_image, decode_with_format
from vision_r1.problems.faults import RowError

MAX_FILE_BYTES = 256 * 2**20


class Small(NamedTuple):
    """What an image is at most that takes little time.

    Attributes:
        file_bytes: of its file.
        pixels: of the image.
    """

    file_bytes: int
    pixels: int


class StoredImage(ABC):
    """Bytes from somewhere, named by their SHA-256. Equal when the bytes are.

    Attributes:
        size: (width, height) in pixels as `load` gives it; None where that was not looked at.
        original_size: likewise before it was scaled down to `max_pixels`; None where it was not.
        plain: what `plain_format` says of the encoded image, which can be decoded; "" where that is nothing
            or was not looked at.
    """

    def __init__(self, where: str, max_pixels: int) -> None:
        self.where, self.max_pixels = where, max_pixels
        self.size: tuple[int, int] | None = None
        self.original_size: tuple[int, int] | None = None
        self.plain = ""
        self._key = ""

    @abstractmethod
    def read(self) -> bytes:
        """The encoded image. Raises InputError naming the row."""

    @property
    @abstractmethod
    def file_bytes(self) -> int:
        """How large the encoded image is. Raises InputError as `read`."""

    @abstractmethod
    def stamp(self) -> str:
        """A text that stays the same while the image does. Raises InputError as `read`."""

    def known_as(self, key: str) -> None:
        """Take a key that was found before, so that the image need not be read for it."""
        self._key = key

    @property
    def key(self) -> str:
        """SHA-256 of the encoded image, in hex. Reads the file the first time."""
        if not self._key:
            self._key = hashlib.sha256(self.read()).hexdigest()
        return self._key

    def load(self) -> Image.Image:
        """The decoded RGB image. Raises InputError (see `decode_image`)."""
        data = self.read()
        self._name(data)
        return decode_image(data, self.where, self.max_pixels)

    def load_with_file(self, small: Small | None = None) -> tuple[Image.Image, bytes, str]:
        """The decoded image (grey where its file is plain), that file, and its `plain_format`.

        Args:
            small: refuse as too large what is over these limits.

        Raises:
            InputError: see `decode_image`.
        """
        data = self.read() if small is None else self.read_within(small.file_bytes)
        self._name(data)
        limit = self.max_pixels if small is None else min(small.pixels, self.max_pixels)
        image, plain = decode_with_format(data, self.where, limit, grey=True)
        if self._is_named(data):
            self.size, self.plain = image.size, plain
        return image, data, plain

    def checked_file(self, small: Small | None = None) -> bytes | None:
        """The encoded image where it has been decoded once and is plain; None where it must be decoded.

        Args:
            small: refuse as too large what has more bytes.

        Raises:
            InputError: as `read`.
        """
        if not self.plain:
            return None
        return self.read() if small is None else self.read_within(small.file_bytes)

    def read_within(self, most: int) -> bytes:
        """The encoded image, of at most so many bytes. Raises InputError as `read`, and for a larger one."""
        if self.file_bytes > most:
            raise self._over(most)
        return self.read()

    def _over(self, most: int) -> RowError:
        return RowError(
            f"the image file is over {most:,} bytes",
            where=self.where,
            fix="scale it down",
            reason="image_too_large",
        )

    def _is_named(self, data: bytes) -> bool:
        """Whether it is what the key names."""
        return True

    def _name(self, data: bytes) -> None:
        if not self._key:
            self._key = hashlib.sha256(data).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredImage) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class FileImage(StoredImage):
    """An image file that must lie below `root`."""

    def __init__(self, root: Path, relative: str, where: str, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        super().__init__(where, max_pixels)
        self.root, self.relative = root, relative

    def __repr__(self) -> str:
        return f"FileImage({self.relative!r})"

    @property
    def source(self) -> tuple[Path, str, int]:
        """What is read and how; the same for two rows that share the file."""
        return self.root, self.relative, self.max_pixels

    def _path(self) -> Path:
        try:
            return inside(self.root, self.relative, self.where)
        except InputError as error:
            raise RowError(
                error.what, where=error.where, fix=error.fix, reason="image_outside_folder"
            ) from None

    def _file(self) -> tuple[Path, os.stat_result]:
        """The file, once it is sure that it can be opened and is not too large."""
        path = self._path()
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise RowError(
                f"no image {self.relative!r} in {self.root}",
                where=self.where,
                fix="correct the path, or set `images` to the folder that image paths start from",
                reason="missing_image",
            ) from None
        if not S_ISREG(status.st_mode):
            # A pipe or device would block for ever.
            raise InputError(f"{self.relative!r} is not a regular file", where=self.where)
        if status.st_size > MAX_FILE_BYTES:
            raise RowError(
                f"image file {self.relative!r} is over {MAX_FILE_BYTES // 2**20} MiB",
                where=self.where,
                fix="scale it down",
                reason="image_too_large",
            )
        return path, status

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except (OSError, ValueError, RuntimeError) as error:
            # ValueError: a NUL in the path; RuntimeError: a loop of symbolic links.
            raise InputError(f"cannot read image {self.relative!r}: {error}", where=self.where) from None

    def read(self) -> bytes:
        """The file's bytes.

        Raises:
            InputError: outside the folder (also through a link), missing, not a regular file, over
                256 MiB, or unreadable.
        """
        with self._explained():
            return self._file()[0].read_bytes()

    def checked_file(self, small: Small | None = None) -> bytes | None:
        """See `StoredImage.checked_file`; a file that was changed since must be decoded."""
        data = super().checked_file(small)
        return data if data is not None and self._is_named(data) else None

    def _is_named(self, data: bytes) -> bool:
        return hashlib.sha256(data).hexdigest() == self._key

    def read_within(self, most: int) -> bytes:
        """See `StoredImage.read_within`; the file is found and looked at once."""
        with self._explained():
            path, status = self._file()
            if status.st_size > most:
                raise self._over(most)
            return path.read_bytes()

    @property
    def file_bytes(self) -> int:
        """How large the file is."""
        with self._explained():
            return self._file()[1].st_size

    def stamp(self) -> str:
        """Place, size and time of the last change; the file is not opened. Raises as `read`."""
        with self._explained():
            path, status = self._file()
            return f"file\0{path}\0{status.st_size}\0{status.st_mtime_ns}"


class BytesImage(StoredImage):
    """An image that came inside a table."""

    def __init__(self, data: bytes, where: str, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        super().__init__(where, max_pixels)
        self._data = data

    def __repr__(self) -> str:
        return f"BytesImage({self.file_bytes} bytes)"

    @property
    def file_bytes(self) -> int:
        """How large the encoded image is."""
        return len(self._data)

    def read(self) -> bytes:
        """The bytes as they came."""
        return self._data

    def stamp(self) -> str:
        """The content itself, by its key."""
        return f"bytes\0{self.key}"


class Spill:
    """A file without a name that holds images which came inside a table, so that memory need not.

    Attributes:
        folder: the folder whose disk it takes space on, until the last of its images is gone.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (its images outlive any block)
        self._end = 0

    def keep(self, image: BytesImage) -> SpilledImage:
        """The same image, read from the disk from now on. OSError where the disk is full."""
        data = image.read()
        self._file.seek(self._end)
        self._file.write(data)
        self._file.flush()
        self._end += len(data)
        kept = SpilledImage(self._file, self._end - len(data), len(data), image)
        kept._key = image._key
        kept.size, kept.original_size, kept.plain = image.size, image.original_size, image.plain
        return kept


class SpilledImage(BytesImage):
    """An image that came inside a table and lies in a `Spill`."""

    def __init__(self, file: BinaryIO, start: int, size: int, image: BytesImage) -> None:
        super().__init__(b"", image.where, image.max_pixels)
        self._file, self._start, self._size = file, start, size

    def __repr__(self) -> str:
        return f"SpilledImage({self._size} bytes)"

    @property
    def file_bytes(self) -> int:
        """How large the encoded image is."""
        return self._size

    def read(self) -> bytes:
        """The bytes as they came; threads may read at the same time."""
        return os.pread(self._file.fileno(), self._size, self._start)
