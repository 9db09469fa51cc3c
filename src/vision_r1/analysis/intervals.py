"""Confidence intervals of shares."""

from __future__ import annotations

import math

_Z95 = 1.959963984540054  # 97.5% point of the standard normal distribution


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95% score interval of a share (Wilson 1927): honest near 0 and 1 and for small n.

    Args:
        successes: how many of `n`.
        n: trials; with none, nothing is known and the interval is (0, 1).

    Raises:
        ValueError: `successes` is not between 0 and `n`.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is not a share")
    if n == 0:
        return 0.0, 1.0
    share, square = successes / n, _Z95**2
    centre = share + square / (2 * n)
    spread = _Z95 * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    scale = 1 + square / n
    # At the ends the bound is exactly 0 or 1; rounding must not push the share out of its interval.
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == n else (centre + spread) / scale
    return low, high


def share_of(successes: int, n: int) -> dict[str, object]:
    """A share as plain data: {"count", "n", "share", "ci95"}; `share` is None where n is 0."""
    low, high = wilson(successes, n)
    share = round(successes / n, 4) if n else None
    return {"count": successes, "n": n, "share": share, "ci95": [round(low, 4), round(high, 4)]}
