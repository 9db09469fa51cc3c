"""How a step's time grows with the group, the image and the completion: three points each, both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from step_times import run, summary
from workloads import Workload

BASE = Workload("growth", 224, 8, 128, 8)
AXES: dict[str, tuple[str, tuple[int, ...]]] = {
    "completions of a prompt (G)": ("group", (4, 8, 16)),
    "image side, pixels": ("side", (112, 224, 336)),
    "completion tokens": ("tokens", (64, 128, 256)),
}


def points() -> dict[Workload, None]:
    """The workloads of all axes, each once."""
    return {vary(name, value): None for name, values in AXES.values() for value in values}


def vary(name: str, value: int) -> Workload:
    """The base with one attribute changed; a micro-batch is always one group's worth."""
    changed = replace(BASE, **{name: value})
    return replace(changed, micro=changed.group)


def part(rounds: int, folder: Path, threads: int) -> list[dict[str, Any]]:
    """Seconds of a step for each point of each axis."""
    workloads = tuple(points())
    steps = run(workloads, rounds, folder, threads)
    figures = {w: summary(w, found) for w, found in zip(workloads, steps, strict=True)}
    return [
        {
            "axis": axis,
            "values": list(values),
            "seconds": {
                side: [figures[vary(name, value)]["seconds"][side] for value in values]
                for side in ("ours", "peer")
            },
            "ratio": [figures[vary(name, value)]["ratio"] for value in values],
        }
        for axis, (name, values) in AXES.items()
    ]


def plot(found: Sequence[dict[str, Any]], path: Path) -> None:
    """One panel an axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(found), figsize=(4 * len(found), 3.2), sharey=True)
    for panel, axis in zip(panels, found, strict=True):
        for side, label in (("peer", "TRL 1.16"), ("ours", "vision-r1")):
            panel.plot(axis["values"], axis["seconds"][side], marker="o", label=label)
        panel.set_xlabel(axis["axis"])
        panel.set_xticks(axis["values"])
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("seconds of a GRPO step")
    panels[0].legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
