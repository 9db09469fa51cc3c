"""Images from outside: never trusted, decoded only within limits, always handed on as RGB."""

from __future__ import annotations

import hashlib
import io
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vision_r1.core.errors import InputError
from vision_r1.core.files import inside
from vision_r1.problems.config import DEFAULT_MAX_PIXELS
from vision_r1.problems.problem import Media

# Bitmap formats only: Pillow would hand an EPS file to Ghostscript.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
MAX_FILE_BYTES = 256 * 2**20
SHOWN_FAULTS = 5
# Formats that browsers, endpoints and other tools take.
_COMMON = {"PNG": "png", "JPEG": "jpeg", "WEBP": "webp", "GIF": "gif"}
_EXIF_ORIENTATION = 0x0112

ImageCallback = Callable[[int, int], None]


def decode_image(data: bytes, where: str, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image.Image:
    """Decode the first frame of an image file as RGB, upright, transparency over white.

    Raises:
        InputError: not an image, damaged, of zero size, or of more than `max_pixels` pixels; size is
            judged from the header, before anything is decoded.
    """
    if not data:
        raise InputError("the image file is empty", where=where, fix="replace it or remove the row")
    try:
        with warnings.catch_warnings():
            # Pillow warns of size and damage; what matters of it becomes one of our errors.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image.size, where, max_pixels)
                image.load()
                return _to_rgb(ImageOps.exif_transpose(image))
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError(
            f"the image has far more than {max_pixels:,} pixels", where=where, fix="scale it down"
        ) from None
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise InputError("not an image", where=where, fix=f"formats that can be read: {known}") from None
    except Exception as error:  # noqa: BLE001  (damaged files make Pillow's plugins raise nearly anything)
        detail = str(error) or type(error).__name__
        raise InputError(
            f"the image is damaged: {detail[:120]}", where=where, fix="replace it or remove the row"
        ) from None


def plain_format(data: bytes) -> str:
    """The format of an encoded image that every decoder shows as `decode_image` does: "png", "jpeg", ...

    Empty for formats that few tools take, for palettes, animations, transparency, a turned photograph,
    more than 8 bits a channel, and for what is no image. Only the header is read.
    """
    try:
        with Image.open(io.BytesIO(data), formats=tuple(_COMMON)) as image:
            plain = image.mode in ("RGB", "L") and "transparency" not in image.info
            plain = plain and getattr(image, "n_frames", 1) == 1
            plain = plain and image.getexif().get(_EXIF_ORIENTATION, 1) == 1
            return _COMMON[image.format or ""] if plain else ""
    except Exception:  # noqa: BLE001  (damaged files make Pillow raise nearly anything; load() then says what)
        return ""


def _check_size(size: tuple[int, int], where: str, max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise InputError(f"the image has zero size ({width}x{height})", where=where, fix="replace it")
    if width * height > max_pixels:
        raise InputError(
            f"the image has {width}x{height} pixels, more than max_pixels {max_pixels:,}",
            where=where,
            fix="scale it down or raise max_pixels",
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


class _StoredImage(ABC):
    """Bytes from somewhere, named by their SHA-256. Equal when the bytes are."""

    def __init__(self, where: str, max_pixels: int) -> None:
        self.where, self.max_pixels = where, max_pixels
        self._key = ""

    @abstractmethod
    def read(self) -> bytes:
        """The encoded image. Raises InputError naming the row."""

    @property
    def key(self) -> str:
        """SHA-256 of the encoded image, in hex. Reads the file the first time."""
        if not self._key:
            self._key = hashlib.sha256(self.read()).hexdigest()
        return self._key

    def load(self) -> Image.Image:
        """The decoded RGB image. Raises InputError (see `decode_image`)."""
        data = self.read()
        if not self._key:
            self._key = hashlib.sha256(data).hexdigest()
        return decode_image(data, self.where, self.max_pixels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _StoredImage) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class FileImage(_StoredImage):
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

    def read(self) -> bytes:
        """The file's bytes.

        Raises:
            InputError: outside the folder (also through a link), missing, not a regular file, over
                256 MiB, or unreadable.
        """
        try:
            path = inside(self.root, self.relative, self.where)
            if not path.exists():
                raise InputError(
                    f"no image {self.relative!r} in {self.root}",
                    where=self.where,
                    fix="correct the path, or set `images` to the folder that image paths start from",
                )
            if not path.is_file():
                # A pipe or device would block for ever.
                raise InputError(f"{self.relative!r} is not a regular file", where=self.where)
            if path.stat().st_size > MAX_FILE_BYTES:
                raise InputError(
                    f"image file {self.relative!r} is over {MAX_FILE_BYTES // 2**20} MiB",
                    where=self.where,
                    fix="scale it down",
                )
            return path.read_bytes()
        except InputError:
            raise
        except (OSError, ValueError, RuntimeError) as error:
            # ValueError: a NUL in the path; RuntimeError: a loop of symbolic links.
            raise InputError(f"cannot read image {self.relative!r}: {error}", where=self.where) from None


class BytesImage(_StoredImage):
    """An image that came inside a table."""

    def __init__(self, data: bytes, where: str, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        super().__init__(where, max_pixels)
        self._data = data

    def __repr__(self) -> str:
        return f"BytesImage({len(self._data)} bytes)"

    def read(self) -> bytes:
        """The bytes as they came."""
        return self._data


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
    verdicts: dict[object, InputError | None] = {}
    for done, image in enumerate(images, start=1):
        source: object = image.source if isinstance(image, FileImage) else id(image)
        if source not in verdicts:
            verdicts[source] = image_fault(image)
        verdict = verdicts[source]
        if verdict is not None:
            place = image.where if isinstance(image, _StoredImage) else verdict.where
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


def image_fault(image: Media) -> InputError | None:
    """Why an image cannot be decoded; None if it can."""
    try:
        image.load()
    except InputError as error:
        return error
    return None
