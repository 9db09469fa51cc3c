"""Decode images from outside: never trusted, within limits only, always as RGB."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vision_r1.core.errors import InputError
from vision_r1.problems.config import DEFAULT_MAX_PIXELS
from vision_r1.problems.faults import RowError

# Bitmap formats only: Pillow would hand an EPS file to Ghostscript.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
# Formats that browsers, endpoints and other tools take.
_COMMON = {"PNG": "png", "JPEG": "jpeg", "WEBP": "webp", "GIF": "gif"}
TAKEN_FORMATS = tuple(_COMMON.values())
_EXIF_ORIENTATION = 0x0112


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
