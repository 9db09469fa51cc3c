"""What others wrote, made fit to be shown: no hidden characters, no endless text, no raw image bytes."""

from __future__ import annotations

import base64
import io
import re
import unicodedata
import warnings
from pathlib import Path

from PIL import Image

MAX_TEXT = 6_000
MAX_IMAGE_FILE = 20 * 2**20
MAX_PIXELS = 40_000_000
LONGEST_SIDE = 512
_KEY = re.compile(r"[0-9a-zA-Z_-]{1,120}")
# Controls, formats (bidi overrides, zero-width, tags), surrogates, private use, line separators.
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_MARKS_IN_A_ROW = 3


def clean(text: str) -> str:
    """`text` with every character that hides, reorders or cannot be written shown as ⟨U+XXXX⟩.

    New lines and tabs stay; of a pile of combining marks the first three stay. What comes back can
    always be encoded as UTF-8. Escaping for HTML is the template's task.
    """
    if text.isascii() and text.isprintable():
        return text
    parts: list[str] = []
    marks = 0
    for character in text.replace("\r\n", "\n"):
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if character in "\n\t":
            parts.append(character)
        elif category in _HIDDEN:
            parts.append(f"⟨U+{ord(character):04X}⟩")
        elif marks <= _MARKS_IN_A_ROW:
            parts.append(character)
    return "".join(parts)


def cut(text: str, limit: int = MAX_TEXT) -> tuple[str, int]:
    """The first `limit` characters and how many were left off."""
    return (text, 0) if len(text) <= limit else (text[:limit], len(text) - limit)


def is_image_key(key: object) -> bool:
    """Whether `key` can name a file: letters, digits, `_` and `-` only."""
    return isinstance(key, str) and _KEY.fullmatch(key) is not None


def image_data_uri(path: Path) -> tuple[str, int, int] | None:
    """An image file decoded and encoded anew as a PNG data URI, with its width and height.

    Sides over 512 px are scaled down. None where the file is absent, too large, or not an image that
    can be decoded; the page then says that there is no picture.
    """
    try:
        if not path.is_file() or path.stat().st_size > MAX_IMAGE_FILE:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as image:
                if image.width * image.height > MAX_PIXELS:
                    return None
                image.load()
                picture = image.convert("RGB")
    except Exception:  # noqa: BLE001  (damaged files make Pillow's plugins raise nearly anything)
        return None
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    buffer = io.BytesIO()
    if picture.width * picture.height > 200 * 200:
        picture.save(buffer, "JPEG", quality=80)
        kind = "jpeg"
    else:
        picture.save(buffer, "PNG", optimize=True)
        kind = "png"
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{kind};base64,{encoded}", picture.width, picture.height
