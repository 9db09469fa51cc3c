"""Real handwritten digits: the UCI optical digits that scikit-learn carries, split once.

1,797 scans of 8x8 pixels with 17 grey levels, by 13 writers. The split is a fixed, stratified
permutation: it does not depend on any run's seed, so a test scan is a test scan for every model.
"""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
import numpy.typing as npt

Split = Literal["train", "validation", "test"]

_SPLIT_SEED = 20250309  # the date of arXiv 2503.06749v1
_TEST_SHARE, _VALIDATION_SHARE = 0.20, 0.10


@functools.cache
def load_scans() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """All scans, float32 of shape (1797, 8, 8) in [0, 1] (1 is ink), and their digits, (1797,)."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images / 16.0).astype(np.float32), data.target.astype(np.int64)


@functools.cache
def split_indices(split: Split) -> dict[int, tuple[int, ...]]:
    """The scan indices of `split`, by digit."""
    _, labels = load_scans()
    result: dict[int, tuple[int, ...]] = {}
    for digit in range(10):
        order = np.random.default_rng([_SPLIT_SEED, digit]).permutation(np.flatnonzero(labels == digit))
        tests = round(len(order) * _TEST_SHARE)
        validations = round(len(order) * _VALIDATION_SHARE)
        parts = {
            "test": order[:tests],
            "validation": order[tests : tests + validations],
            "train": order[tests + validations :],
        }
        result[digit] = tuple(int(i) for i in parts[split])
    return result
