"""What a construction does before its first request: reading its images, and doing it again.

    python benchmarks/reading.py [--images 5000] [--near 1] [--json]

Makes JPEG files of 640 x 480 pixels, a problem for each, and reads them as `vision-r1 construct` does in
its first call (every image is decoded, named and looked at) and in the next one (none is). Exit code 1
where the next call opens images again, or finds something else.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from collect import construction
from PIL import Image

from vision_r1.construct.build import read_sets
from vision_r1.construct.config import Construction
from vision_r1.construct.prepare import Prepared
from vision_r1.core.progress import Silent

SIZE, PATCHES = (640, 480), (16, 12)


def photo(number: int) -> bytes:
    """A JPEG of smooth patches, of about the size of a photograph's."""
    patches = np.random.default_rng(number).integers(0, 256, (*PATCHES[::-1], 3), dtype=np.uint8)
    noise = np.random.default_rng(number + 10**6).integers(-12, 12, (*SIZE[::-1], 3))
    smooth = np.asarray(Image.fromarray(patches).resize(SIZE, Image.Resampling.BICUBIC))
    buffer = io.BytesIO()
    Image.fromarray((smooth + noise).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def write_problems(folder: Path, count: int) -> Path:
    """A table of problems, each with an image of its own."""
    path = folder / "problems.jsonl"
    with path.open("w", encoding="utf-8") as table:
        for index in range(count):
            (folder / f"{index}.jpg").write_bytes(photo(index))
            asked = f"How many patches of photograph {index} are red?"
            line = {"id": f"p{index}", "question": asked, "answer": str(index % 7), "image": f"{index}.jpg"}
            table.write(json.dumps(line) + "\n")
    return path


def timed(config: Construction, out: Path) -> tuple[Prepared, float, float]:
    """What is read, in how many seconds of the clock and of the processors."""
    begin, begin_cpu = time.monotonic(), time.process_time()
    prepared = read_sets(config, out, Silent())
    return prepared, time.monotonic() - begin, time.process_time() - begin_cpu


def measure(count: int, near: bool, folder: Path) -> dict[str, Any]:
    """Seconds of the first call and of the next, and whether both found the same."""
    timed(construction(write_problems(folder, 1)), folder / "warm")  # imports and grading processes
    config = construction(write_problems(folder, count)).model_copy(update={"near_duplicates": near})
    first, clock, cpu = timed(config, folder / "out")
    again, clock_again, cpu_again = timed(config, folder / "out")
    return {
        "images": count, "first_s": round(clock, 1), "first_cpu_s": round(cpu, 1),
        "again_s": round(clock_again, 1), "again_cpu_s": round(cpu_again, 1), "same": first == again,
    }  # fmt: skip


def main() -> int:
    """Run, print, and say whether the second call was spared the images."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--near", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reading") as folder:
        result = measure(given.images, bool(given.near), Path(folder))
    print(json.dumps(result) if given.json else "\n".join(f"{k:14} {v}" for k, v in result.items()))
    return int(not result["same"] or result["again_cpu_s"] > result["first_cpu_s"] / 3)


if __name__ == "__main__":
    sys.exit(main())
