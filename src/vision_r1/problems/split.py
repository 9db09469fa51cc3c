"""Shares of a data set that never overlap and never have an image in common.

A row's place in [0, 1) is a hash of its images, so it does not depend on the order or number of the
other rows; rows linked by shared images, directly or through other rows, have one place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from vision_r1.problems.config import Take


def position(key: str, seed: int = 0) -> float:
    """A place in [0, 1), uniform over keys."""
    digest = hashlib.sha256(f"{seed}\x1f{key}".encode()).digest()
    # 53 bits are what a float holds exactly; more could round up to 1.
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def linked(keys: Sequence[Iterable[str]]) -> list[str]:
    """One name for each row: the least key of all rows it is linked with through shared keys."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    rows = [list(row) for row in keys]
    for row in rows:
        for key in row:
            low, high = sorted((root(row[0]), root(key)))
            parent[high] = low
    return [root(row[0]) for row in rows]


def positions(keys: Sequence[Iterable[str]], seed: int = 0) -> list[float]:
    """The place of each row, given its keys (at least one a row)."""
    return [position(name, seed) for name in linked(keys)]


def taken(keys: Sequence[Iterable[str]], take: Take) -> list[int]:
    """Indices of the rows in the share, in their order."""
    places = positions(keys, take.seed)
    return [index for index, place in enumerate(places) if take.from_ <= place < take.to]
