"""What the MLLM wrote, kept chunk by chunk, so that a killed run loses no finished chunk.

A chunk is one file, written whole. Chunks hold fixed problems, whatever was done before, so that a
continued run asks for the same batches and ends with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_r1.construct.bridge import Bridged
from vision_r1.core.files import read_json, write_json
from vision_r1.core.progress import Progress
from vision_r1.problems.problem import Problem


@dataclass(slots=True)
class Shards:
    """Finished chunks in a folder.

    Attributes:
        folder: its name holds the fingerprint of settings, seed and problems, so that chunks of
            another run are never taken for these.
        size: problems a chunk.
        progress: told of every chunk.
        done: problems finished so far, over all names.
    """

    folder: Path
    size: int
    progress: Progress
    done: int = 0

    def make(
        self,
        name: str,
        problems: Sequence[Problem],
        told: Sequence[str | None],
        work: Callable[[Sequence[Problem], Sequence[str | None]], list[Bridged]],
    ) -> list[Bridged]:
        """The results of `work` over all problems; finished chunks are read, not made again."""
        rows: list[Bridged] = []
        for start in range(0, len(problems), self.size):
            path = self.folder / f"{name}-{start:07d}.json"
            chunk = problems[start : start + self.size]
            if path.exists():
                made = [Bridged.from_plain(data) for data in read_json(path)]
            else:
                made = work(chunk, told[start : start + self.size])
                write_json(path, [row.plain() for row in made])
            rows += made
            self.done += len(chunk)
            self.progress.advance(self.done)
        return rows
