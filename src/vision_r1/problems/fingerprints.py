"""Fingerprints of questions and images: what tells that two problems are the same, without keeping either.

Texts are compared after marks, case, spacing, punctuation and a block of choices are gone; signs and
numbers stay. Images are compared by content, and by how they look: a DCT hash of 256 bits for the
shapes and the mean colours of a grid. With 64 bits, charts of one layout are alike and copies of
puzzles are not.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from vision_r1.core.progress import Progress, Silent
from vision_r1.problems.image_checks import image_place, in_threads
from vision_r1.problems.images import BytesImage, FileImage
from vision_r1.problems.problem import Media, Problem

HASH_SIDE = 16  # the hash has 16 x 16 bits
HASH_BYTES = HASH_SIDE**2 // 8
GRID = 4
COLOUR_BYTES = 3 * GRID**2
NEAR_BITS = 12  # copies differ in at most 10 bits (99th percentile), other charts of a layout in 32 and more
NEAR_COLOUR = 24  # of 255 levels
EMPTY_BITS = 64  # an image with shapes sets half of the 256 bits; blank paper and stripes few, or nearly all
DIGEST = 32  # hex digits
_BITS_SET = np.array([number.bit_count() for number in range(2**16)], dtype=np.uint8)

_MARK = re.compile(r"<image[ _]?\d*>", re.IGNORECASE)
_LEAD = re.compile(r"\s{0,4}question\s{0,4}[:.]", re.IGNORECASE)
_CHOICES = re.compile(r"\b(?:choices|options)\s{0,4}:|[\n?.:]\s{0,4}\(A\)", re.IGNORECASE)
# A hyphen inside a word is spelling, any other is a sign. CJK has no spaces: a character is a token.
_TOKEN = re.compile(
    r"\d+(?:[.,]\d+)*|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
    r"|(?:(?![\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])[^\W\d_])+"
    r"|(?<![^\W\d_]{2})-|-(?![^\W\d_]{2})|[+=<>^*/×÷±√∠]"
)
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


class Look(NamedTuple):
    """How an image looks.

    Attributes:
        bits: DCT hash, 32 bytes.
        colours: mean RGB of a 4 x 4 grid, 48 bytes.
    """

    bits: bytes
    colours: bytes


class Fingerprint(NamedTuple):
    """A question with one of its images.

    Attributes:
        question: digest of the normalised text.
        words: its length; two CJK characters count as a word.
        image: digest of the image's content; empty for a problem without images.
        look: of a stored image with shapes in it, else None.
        source: the stage that trained on it.
    """

    question: str
    words: int
    image: str
    look: Look | None
    source: str


def normal_question(text: str) -> list[str]:
    """The words, numbers and signs of a question, without marks and without its block of choices."""
    plain = _plain(text)
    if choices := _CHOICES.search(plain):
        # A question that is nothing but choices is told by them.
        plain = plain[: choices.start()] if _TOKEN.search(plain, 0, choices.start()) else plain
    return _TOKEN.findall(plain.casefold())


def question_tokens(text: str) -> list[str]:
    """As `normal_question`, with the block of choices."""
    return _TOKEN.findall(_plain(text).casefold())


def _plain(text: str) -> str:
    plain = _MARK.sub(" ", unicodedata.normalize("NFKC", text)).replace("−", "-")
    lead = _LEAD.match(plain)
    return plain[lead.end() :] if lead else plain


def _words(tokens: Iterable[str]) -> int:
    """Words and numbers; two CJK characters count as one word."""
    counted = [token for token in tokens if token[0].isalnum()]
    cjk = sum(_CJK.match(token) is not None for token in counted)
    return len(counted) - cjk + cjk // 2


def look_of(image: Image.Image) -> Look | None:
    """How an RGB image looks; None for one without shapes, whose hash would be that of any other such."""
    import imagehash

    bits = np.packbits(imagehash.phash(image, hash_size=HASH_SIDE).hash)
    on = int(np.unpackbits(bits).sum())
    if not EMPTY_BITS <= on <= 8 * HASH_BYTES - EMPTY_BITS:
        return None
    colours = np.asarray(image.resize((GRID, GRID), Image.Resampling.BOX), dtype=np.uint8)
    return Look(bits.tobytes(), colours.tobytes())


def fingerprint(
    problems: Sequence[Problem],
    source: str,
    progress: Progress | None = None,
    known: Mapping[str, Look | None] | None = None,
) -> list[list[Fingerprint]]:
    """The fingerprints of each problem: one for each of its images, or one without an image.

    Stored images are decoded once each, in threads, and no decoded image is kept. Drawn ones have keys
    that tell their content and are not drawn.

    Args:
        problems: of one set.
        source: what the fingerprints say that they are from.
        progress: told of every image.
        known: looks by the keys of images, which are not decoded again (see `problems.seen`).

    Raises:
        InputError: an image that cannot be read.
    """
    media = {image_place(image): image for problem in problems for image in problem.media}
    progress = progress or Silent()
    progress.start("images", len(media), "image")
    seen: dict[object, tuple[str, Look | None]] = {}
    looks = dict(known or {})  # grows: rows of a table often hold the same image again
    results = in_threads(lambda image: _image_print(image, looks), media.values())
    for place, found in zip(media, results, strict=True):
        seen[place] = found
        progress.advance(len(seen))
    progress.finish()
    prints = []
    for problem in problems:
        tokens = normal_question(problem.question)
        digest = hashlib.sha256(" ".join(tokens).encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST]
        images = [seen[image_place(image)] for image in problem.media] or [("", None)]
        prints.append([Fingerprint(digest, _words(tokens), key, look, source) for key, look in images])
    return prints


def _image_print(image: Media, looks: dict[str, Look | None]) -> tuple[str, Look | None]:
    if image.key in looks:
        return image.key[:DIGEST], looks[image.key]
    look = look_of(image.load()) if isinstance(image, FileImage | BytesImage) else None
    looks[image.key] = look
    return image.key[:DIGEST], look


class Lookalikes:
    """Finds which of many images look like a given one.

    Two hashes at most 12 bits apart agree in at least 4 of their 16 bands of 16 bits, so only images
    that share a band are compared.
    """

    def __init__(self, looks: Sequence[Look]) -> None:
        joined = b"".join(look.bits for look in looks)
        self._bits = np.frombuffer(joined, np.uint16).reshape(len(looks), HASH_SIDE)
        joined = b"".join(look.colours for look in looks)
        self._colours = np.frombuffer(joined, np.uint8).reshape(len(looks), COLOUR_BYTES)
        self._order = np.argsort(self._bits, axis=0, kind="stable")
        self._sorted = np.take_along_axis(self._bits, self._order, axis=0)

    def find(self, look: Look) -> npt.NDArray[np.intp]:
        """Positions of the images that look like this one, ascending."""
        bits, colours = np.frombuffer(look.bits, np.uint16), np.frombuffer(look.colours, np.uint8)
        parts = []
        for band, value in enumerate(bits):
            low, high = (np.searchsorted(self._sorted[:, band], value, side) for side in ("left", "right"))
            parts.append(self._order[low:high, band])
        likely: npt.NDArray[np.intp] = np.unique(np.concatenate(parts))
        apart = _BITS_SET[self._bits[likely] ^ bits].sum(axis=1)
        likely = likely[apart <= NEAR_BITS]
        off = np.abs(self._colours[likely].astype(int) - colours).max(axis=1, initial=0)
        near: npt.NDArray[np.intp] = likely[off <= NEAR_COLOUR]
        return near
