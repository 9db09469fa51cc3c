"""Whether two images that look alike are one picture, by their pixels.

A perceptual hash tells layouts apart, not labels: two rectangles with other lengths written beside them, or
two grids with one cell in another colour, have nearly one hash. So such a pair is compared pixel by pixel in
the smaller of its two sizes. A copy in another size or encoding passes; another digit or another coloured
cell does not. In doubt two images are two pictures: a copy that stays costs less than a good row that goes.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from vision_r1.core.progress import Progress
from vision_r1.problems.problem import Media

Sameness = Literal["identical", "copy", "other"]

# What is compared is blurred by so many pixels: it takes the noise of an encoding away and leaves digits.
_GREY_BLUR, _COLOUR_BLUR = 1.5, 3
# Of 255 levels. JPEG of quality 75 and copies in 0.6 of the size are at most 12 apart in grey and 24 in
# colour, of which JPEG halves the resolution (98 in 100, `tests/construct/test_copies.py` has some); two
# digits 10 pixels high are at least 14 apart in grey, half of them 40.
_GREY_BOUND, _COLOUR_BOUND = 12, 24
_LONG_SIDE = 1024  # pixels; larger images are compared in this size
_SMALLEST = 0.5  # of the other's size: a smaller copy no longer holds what is written in small print
_SHAPE_BOUND = 0.02  # how far the ratios of the sides of two copies may be apart, as sizes are whole pixels
_THUMB = 32  # pixels
# Of 255 levels. Copies are at most 9 apart in grey (98 in 100), JPEG copies of 110 pixels 30 in colour.
_THUMB_GREY, _THUMB_COLOUR = 12, 40


class _Thumb(NamedTuple):
    """An image at a glance: its size, and 32 x 32 pixels in grey and in RGB."""

    size: tuple[int, int]
    grey: npt.NDArray[np.int16]
    colour: npt.NDArray[np.int16]


def compare(one: Image.Image, other: Image.Image) -> Sameness:
    """Whether two RGB images are the same pixels, copies of one picture, or two pictures."""
    if one.size == other.size and one.tobytes() == other.tobytes():
        return "identical"
    if not _same_shape(one.size, other.size):
        return "other"
    width, height = min(one.size, other.size)
    scale = min(1.0, _LONG_SIDE / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    first, second = (
        image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
        for image in (one, other)
    )
    apart = _apart(first.convert("L"), second.convert("L"), _GREY_BLUR) > _GREY_BOUND
    return "other" if apart or _apart(first, second, _COLOUR_BLUR) > _COLOUR_BOUND else "copy"


def _apart(one: Image.Image, other: Image.Image, blur: float) -> int:
    """The largest difference of two images of one size, of 255 levels, after a blur."""
    first, second = (
        np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), dtype=np.int16) for image in (one, other)
    )
    return int(np.abs(first - second).max())


def _same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether an image of one size may be a copy of one of the other."""
    widths, heights = one[0] / other[0], one[1] / other[1]
    slack = _SHAPE_BOUND + 1 / min(*one, *other)
    return abs(widths / heights - 1) <= slack and min(widths, 1 / widths) >= _SMALLEST


class Copies:
    """Tells which of many images are copies; holds a thumbnail of each that it was told to look at.

    Args:
        media: the stored images by their names.
    """

    def __init__(self, media: Mapping[str, Media]) -> None:
        self._media = media
        self._thumbs: dict[str, _Thumb] = {}
        self._known: dict[tuple[str, str], Sameness] = {}

    def look_at(self, names: Collection[str], progress: Progress) -> None:
        """Decode these images once, in threads, for `distance`.

        Raises:
            InputError: an image that cannot be read.
        """
        progress.start("look-alikes", len(names), "image")
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            for name, thumb in zip(names, pool.map(self._thumb, names), strict=True):
                self._thumbs[name] = thumb
                progress.advance(len(self._thumbs))
        progress.finish()

    def _thumb(self, name: str) -> _Thumb:
        image = self._media[name].load()
        grey, colour = (
            np.asarray(each.resize((_THUMB, _THUMB), Image.Resampling.BILINEAR), dtype=np.int16)
            for each in (image.convert("L"), image)
        )
        return _Thumb(image.size, grey, colour)

    def distance(self, one: str, other: str) -> float | None:
        """How far apart two images are at a glance, 0 for one name; None where they are no copies."""
        if one == other:
            return 0.0
        first, second = self._thumbs.get(one), self._thumbs.get(other)
        if first is None or second is None or not _same_shape(first.size, second.size):
            return None
        grey = np.abs(first.grey - second.grey)
        if grey.max() > _THUMB_GREY or np.abs(first.colour - second.colour).max() > _THUMB_COLOUR:
            return None
        return float(grey.mean())

    def compare(self, one: str, other: str) -> Sameness:
        """What two images are to one another, by all their pixels.

        Raises:
            InputError: an image that cannot be read.
        """
        if one == other:
            return "identical"
        pair = min(one, other), max(one, other)
        if pair not in self._known:
            self._known[pair] = compare(self._media[one].load(), self._media[other].load())
        return self._known[pair]
