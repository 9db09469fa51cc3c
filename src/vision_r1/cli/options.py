"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer


def natural(seed: int | None) -> int | None:
    """A seed that is not negative."""
    if seed is not None and seed < 0:
        from vision_r1.core.errors import ConfigError

        raise ConfigError(f"{seed} is below 0", where="--seed")
    return seed


Seed = Annotated[int, typer.Option(help="Seed of everything random.", callback=natural)]
