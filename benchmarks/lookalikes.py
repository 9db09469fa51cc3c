"""Does the contamination check find copies of images, and leave different images apart?

    python benchmarks/lookalikes.py DATA

DATA holds folders of images of real benchmarks (any depth). Each image is compared with copies of itself
and with every other one, by the rule of `problems.fingerprints` and by a 64-bit hash at 3 bits.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image

from vision_r1.problems.fingerprints import HASH_BYTES, NEAR_BITS, NEAR_COLOUR, Look, look_of

COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG of quality 60": lambda image: jpeg(image, 60),
    "half the size": lambda image: scaled(image, 0.5),
    "1.5 times the size": lambda image: scaled(image, 1.5),
}


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """The image as it comes out of a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def scaled(image: Image.Image, factor: float) -> Image.Image:
    """The image in another size."""
    return image.resize(tuple(max(8, round(side * factor)) for side in image.size))


def alike(one: Look | None, other: Look | None) -> bool:
    """The rule, for one pair."""
    if one is None or other is None:
        return False
    bits = np.unpackbits(
        np.frombuffer(bytes(a ^ b for a, b in zip(one.bits, other.bits, strict=True)), np.uint8)
    )
    colours = np.abs(
        np.frombuffer(one.colours, np.uint8).astype(int) - np.frombuffer(other.colours, np.uint8)
    )
    return int(bits.sum()) <= NEAR_BITS and int(colours.max()) <= NEAR_COLOUR


def pairs_alike(looks: list[Look | None]) -> int:
    """How many of all pairs of different images the rule takes for copies."""
    known = [look for look in looks if look is not None]
    bits = np.stack([np.unpackbits(np.frombuffer(look.bits, np.uint8)) for look in known]).astype(np.float32)
    colours = np.stack([np.frombuffer(look.colours, np.uint8) for look in known]).astype(np.int16)
    distance = 8 * HASH_BYTES - bits @ bits.T - (1 - bits) @ (1 - bits).T
    close = np.argwhere(np.triu(distance <= NEAR_BITS + 0.5, 1))
    return sum(int(np.abs(colours[a] - colours[b]).max()) <= NEAR_COLOUR for a, b in close)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    files = sorted(p for p in parser.parse_args().data.rglob("*") if p.suffix in (".png", ".jpg", ".jpeg"))
    images, seen = [], set()
    for path in files:
        image = Image.open(path).convert("RGB")
        if image.tobytes() not in seen:  # the same picture twice is no different pair
            seen.add(image.tobytes())
            images.append(image)
    looks, small = [look_of(image) for image in images], [imagehash.phash(image) for image in images]
    n = len(images)
    print("| | ours | 64 bits, 3 of them |\n|---|---|---|")
    for name, copy in COPIES.items():
        copies = [copy(image) for image in images]
        ours = sum(alike(look, look_of(image)) for look, image in zip(looks, copies, strict=True))
        theirs = sum(a - imagehash.phash(image) <= 3 for a, image in zip(small, copies, strict=True))
        print(f"| {name}: found of {n} | {ours} ({ours / n:.1%}) | {theirs} ({theirs / n:.1%}) |")
    matrix = np.stack([a.hash.flatten() for a in small]).astype(np.float32)
    distance = 64 - matrix @ matrix.T - (1 - matrix) @ (1 - matrix).T
    theirs = int(np.triu(distance <= 3.5, 1).sum())
    print(f"| pairs taken for copies, of {n * (n - 1) // 2:,} | {pairs_alike(looks)} | {theirs} |")


if __name__ == "__main__":
    main()
