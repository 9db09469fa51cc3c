"""Images from outside: never trusted, decoded only within limits, always handed on as RGB."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vision_r1.core.errors import InputError
from vision_r1.core.files import inside
from vision_r1.problems.config import DEFAULT_MAX_PIXELS
from vision_r1.problems.faults import RowError, reason_of
from vision_r1.problems.problem import Media

# Bitmap formats only: Pillow would hand an EPS file to Ghostscript.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
MAX_FILE_BYTES = 256 * 2**20
SHOWN_FAULTS = 5
AHEAD = 64  # images that may wait for a thread, or to be asked for
# Formats that browsers, endpoints and other tools take.
_COMMON = {"PNG": "png", "JPEG": "jpeg", "WEBP": "webp", "GIF": "gif"}
_EXIF_ORIENTATION = 0x0112

ImageCallback = Callable[[int, int], None]
Item = TypeVar("Item")
Result = TypeVar("Result")


def decode_image(data: bytes, where: str, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image.Image:
    """Decode the first frame of an image file as RGB, upright, transparency over white.

    Raises:
        InputError: see `decode_with_format`.
    """
    return decode_with_format(data, where, max_pixels)[0]


def decode_with_format(
    data: bytes, where: str, max_pixels: int = DEFAULT_MAX_PIXELS, *, grey: bool = False
) -> tuple[Image.Image, str]:
    """`decode_image` and `plain_format` in one reading.

    Args:
        data: the image file.
        where: of whom it is.
        max_pixels: at most.
        grey: leave an image of a plain format as it is stored, RGB or grey; saves a copy.

    Raises:
        InputError: not an image, damaged, of zero size, or of more than `max_pixels` pixels; size is
            judged from the header, before anything is decoded.
    """
    if not data:
        raise RowError(
            "the image file is empty",
            where=where,
            fix="replace it or remove the row",
            reason="corrupt_image",
        )
    try:
        with warnings.catch_warnings():
            # Pillow warns of size and damage; what matters of it becomes one of our errors.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image.size, where, max_pixels)
                image.load()
                # To look for further frames moves the reader of some formats: those are opened anew for it.
                suffix = plain_format(data) if image.format == "GIF" else _plain_format(image)
                if grey and suffix:
                    return image, suffix
                upright = image if suffix or _is_upright(image) else ImageOps.exif_transpose(image)
                return _to_rgb(upright), suffix
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise RowError(
            f"the image has far more than {max_pixels:,} pixels",
            where=where,
            fix="scale it down",
            reason="image_too_large",
        ) from None
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        fix = f"formats that can be read: {known}"
        raise RowError("not an image", where=where, fix=fix, reason="corrupt_image") from None
    except Exception as error:  # noqa: BLE001  (damaged files make Pillow's plugins raise nearly anything)
        detail = str(error) or type(error).__name__
        raise RowError(
            f"the image is damaged: {detail[:120]}",
            where=where,
            fix="replace it or remove the row",
            reason="corrupt_image",
        ) from None


def plain_format(data: bytes) -> str:
    """The format of an encoded image that every decoder shows as `decode_image` does: "png", "jpeg", ...

    Empty for formats that few tools take, for palettes, animations, transparency, a turned photograph,
    more than 8 bits a channel, and for what is no image. Only the header is read.
    """
    try:
        with Image.open(io.BytesIO(data), formats=tuple(_COMMON)) as image:
            return _plain_format(image)
    except Exception:  # noqa: BLE001  (damaged files make Pillow raise nearly anything; load() then says what)
        return ""


def _plain_format(image: Image.Image) -> str:
    if image.format not in _COMMON:
        return ""
    try:
        plain = image.mode in ("RGB", "L") and "transparency" not in image.info
        plain = plain and not getattr(image, "is_animated", False) and _is_upright(image)
    except Exception:  # noqa: BLE001  (what follows the first frame may be damaged, and is not shown)
        return ""
    return _COMMON[image.format] if plain else ""


def _is_upright(image: Image.Image) -> bool:
    return bool(image.getexif().get(_EXIF_ORIENTATION, 1) == 1)


def _check_size(size: tuple[int, int], where: str, max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        what = f"the image has zero size ({width}x{height})"
        raise RowError(what, where=where, fix="replace it", reason="corrupt_image")
    if width * height > max_pixels:
        raise RowError(
            f"the image has {width}x{height} pixels, more than max_pixels {max_pixels:,}",
            where=where,
            fix="scale it down or raise max_pixels",
            reason="image_too_large",
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # convert() would clip 16-bit greys to white instead of scaling them.
        greys = np.asarray(image).astype(np.int64)
        top = 65535 if image.mode != "I" or greys.max() > 255 else 255
        return Image.fromarray((greys.clip(0, top) * 255 // top).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        page = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(page, layer).convert("RGB")
    return image.convert("RGB")


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
    """

    def __init__(self, where: str, max_pixels: int) -> None:
        self.where, self.max_pixels = where, max_pixels
        self.size: tuple[int, int] | None = None
        self.original_size: tuple[int, int] | None = None
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
        image, suffix = decode_with_format(data, self.where, limit, grey=True)
        return image, data, suffix

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
        kept.size, kept.original_size = image.size, image.original_size
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


def check_images(media: Iterable[Media], progress: ImageCallback | None = None) -> None:
    """Decode every image once, so that a bad one shows now and not in the middle of training.

    Args:
        media: the images of all rows; a file that several rows share is decoded once.
        progress: called with (images done, images in all).

    Raises:
        InputError: naming the first bad ones and how many there are.
    """
    images = list(media)
    faults: list[InputError] = []
    for done, (image, verdict) in enumerate(zip(images, image_faults(images), strict=True), start=1):
        if verdict is not None:
            place = image.where if isinstance(image, StoredImage) else verdict.where
            faults.append(InputError(verdict.what, where=place, fix=verdict.fix))
        if progress is not None:
            progress(done, len(images))
    if len(faults) == 1:
        raise faults[0]
    if faults:
        shown = "; ".join(f"{fault.where}: {fault.what}" for fault in faults[1:SHOWN_FAULTS])
        rest = f"; and {len(faults) - SHOWN_FAULTS} more" if len(faults) > SHOWN_FAULTS else ""
        raise InputError(
            f"{faults[0].what} ({len(faults)} bad images of {len(images)}; next {shown}{rest})",
            where=faults[0].where,
            fix=faults[0].fix,
        )


def image_faults(images: Sequence[Media]) -> Iterator[RowError | None]:
    """Why each image cannot be decoded, None where it can; decoded in threads, a shared file once."""
    return once_each(images, lambda firsts: in_threads(image_fault, firsts))


def once_each(
    images: Sequence[Media], function: Callable[[Iterable[Media]], Iterator[Result]]
) -> Iterator[Result]:
    """What `function` gives for every image, although it is given each shared file once."""
    firsts: dict[object, Media] = {}
    for image in images:
        firsts.setdefault(image_place(image), image)
    results = function(firsts.values())
    known: dict[object, Result] = {}
    for image in images:
        place = image_place(image)
        if place not in known:
            known[place] = next(results)
        yield known[place]


def image_place(image: Media) -> object:
    """What is read; the same for two rows that share a file."""
    return image.source if isinstance(image, FileImage) else id(image)


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`map` in threads that run a bounded way ahead."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def image_fault(image: Media) -> RowError | None:
    """Why an image cannot be decoded; None if it can."""
    try:
        image.load()
    except InputError as error:
        return image_error(error)
    return None


def image_error(error: InputError) -> RowError:
    """The same as a fault of its row; a new one, as that which was raised holds on to the image."""
    return RowError(error.what, where=error.where, fix=error.fix, reason=reason_of(error, "corrupt_image"))
