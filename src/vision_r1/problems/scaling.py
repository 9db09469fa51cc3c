"""Images over a limit of pixels become images within it: the same shape, by Lanczos; a JPEG stays one."""

from __future__ import annotations

import io
import math

from PIL import Image

from vision_r1.problems.config import PIXEL_CEILING
from vision_r1.problems.decode import decode_with_format
from vision_r1.problems.images import BytesImage, FileImage

_JPEG_QUALITY = 95

Size = tuple[int, int]


def scaled_size(size: Size, max_pixels: int | None) -> Size:
    """(width, height) of the same shape with at most `max_pixels` pixels; as it is where it has no more."""
    width, height = size
    if max_pixels is None or width * height <= max_pixels:
        return size
    ratio = math.sqrt(max_pixels / (width * height))
    # Rounded down, and a side of one pixel cannot shrink: the other one then gives way.
    small = max(1, int(width * ratio)), max(1, int(height * ratio))
    return min(small[0], max_pixels // small[1]), min(small[1], max_pixels // small[0])


def scaled_down(image: Image.Image, max_pixels: int | None) -> Image.Image:
    """The image itself, or one of its shape with at most `max_pixels` pixels."""
    size = scaled_size(image.size, max_pixels)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def encoded(image: Image.Image, suffix: str) -> tuple[str, bytes]:
    """(suffix, file) of an image: a JPEG if it was one, else a PNG."""
    buffer = io.BytesIO()
    if suffix == "jpeg":
        image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    else:
        image.save(buffer, "PNG")
    return "jpeg" if suffix == "jpeg" else "png", buffer.getvalue()


def within_limit(image: FileImage | BytesImage) -> BytesImage:
    """A stored image of more than its `max_pixels` as one of so many; its key says so.

    Up to `PIXEL_CEILING`, which no file has by accident: decoding more could fill the memory.

    Raises:
        InputError: over that, or not to be decoded.
    """
    data = image.read()
    picture, suffix = decode_with_format(data, image.where, PIXEL_CEILING)
    size = picture.size
    small = scaled_down(picture, image.max_pixels)
    plain, file = encoded(small, suffix)
    scaled = BytesImage(file, image.where, image.max_pixels)
    # Encoders differ between versions, the key must not: it names what was scaled and the limit.
    scaled.known_as(f"{image.key}-{image.max_pixels}px")
    scaled.size, scaled.original_size, scaled.plain = small.size, size, plain
    return scaled
