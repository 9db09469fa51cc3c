"""How long the outputs of data construction take, and how much memory.

    python benchmarks/outputs.py [--rows 200000] [--out DIR] [--keep] [--json]

Writes made-up rows with thoughts of 600 words and one image of 14 KB each, then everything that is made
of them: the review pages, the `datasets` directory and every export. Exit code 1 where the whole takes
over 10 minutes for 200,000 rows (as much less for fewer), or over 2 GiB for any number: rows are
streamed, so memory does not grow with them. The disk needs about 90 KB a row.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from vision_r1.construct.dataset import write_dataset
from vision_r1.construct.export import FORMS, export_construction
from vision_r1.construct.images import ImageStore
from vision_r1.construct.record import Record, RequestNote
from vision_r1.construct.row_files import row_writer
from vision_r1.problems.images import BytesImage
from vision_r1.report.review.pages import write_review

WORDS = (
    "wait",
    "the",
    "bar",
    "is",
    "taller",
    "so",
    "alternatively",
    "check",
    "12",
    "plus",
    "angle",
    "therefore",
)
IMAGE_BYTES, THOUGHT_WORDS, POOL = 14_000, 600, 300
ROWS, MOST_SECONDS, MOST_MIB = 200_000, 600, 2048


def image(number: int) -> bytes:
    """A small JPEG with a comment that makes it 14 KB, unlike every other."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (number % 256, number // 256 % 256, 90)).save(buffer, "JPEG")
    data = buffer.getvalue()
    size = IMAGE_BYTES - len(data)
    comment = b"\xff\xfe" + (size - 2).to_bytes(2, "big") + random.Random(number).randbytes(size - 4)
    return data[:2] + comment + data[2:]


def key_of(number: int) -> str:
    """A content key."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def row(number: int, name: str, texts: list[str]) -> Record:
    """A made-up row; every third is dropped."""
    key, thought = key_of(number), f"{texts[number % POOL]} {number}"
    kept = number % 3 > 0
    notes = tuple(
        RequestNote(
            step, hashlib.sha256(f"{step}{number}".encode()).hexdigest(), "model", f"{step}@1-0a1b2c3d"
        )
        for step in ("pseudo_cot", "describe", "reason")
    )
    return Record(
        id=f"{key}-00", problem=key, source=f"set {number % 7}", source_id=f"q{number}", sample_index=0,
        question=f"<image>\n{texts[-1 - number % POOL][:200]} {number}?", options=(), answer="4",
        answer_type="auto", family=None, images=(name,), caption=thought[:500], pseudo_cot=thought[-1000:],
        description=thought[:1200], thought=thought, reply="The answer is 4.", tokens=700 + number % 900,
        kept=kept, reason="kept" if kept else f"rule {number % 10}", rewritten=number % 5 == 0, extracted="4",
        final_text=f"<think> {thought} </think><answer> Final Answer:4 </answer>" if kept else "",
        requests=notes,
    )  # fmt: skip


def write_rows(out: Path, count: int) -> None:
    """OUT/rows and OUT/images."""
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=THOUGHT_WORDS)) for _ in range(POOL)]
    store = ImageStore(out / "images")
    with row_writer(out / "rows") as writer:
        for number in sorted(range(count), key=key_of):
            writer.write(row(number, store.keep(BytesImage(image(number), "row")), texts))


def measure(out: Path, count: int) -> dict[str, float]:
    """Seconds of each output."""
    work: dict[str, Callable[[], object]] = {
        "rows and images": lambda: write_rows(out, count),
        "review": lambda: write_review(out),
        "data": lambda: write_dataset(out),
    }
    for form in FORMS:
        work[form] = lambda form=form: export_construction(out, form, out / "exports" / form)
    seconds = {}
    for name, make in work.items():
        start = time.perf_counter()
        make()
        seconds[name] = round(time.perf_counter() - start, 1)
        print(f"{name:16} {seconds[name]:8.1f} s", file=sys.stderr, flush=True)
    return seconds


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument(
        "--out", type=Path, default=None, help="a folder to write to; a temporary one if left out"
    )
    parser.add_argument("--keep", action="store_true", help="leave the files there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    out = Path(tempfile.mkdtemp(dir=options.out))
    try:
        seconds = measure(out, options.rows)
    finally:
        if not options.keep:
            shutil.rmtree(out, ignore_errors=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    total = round(sum(seconds.values()), 1)
    result = {"rows": options.rows, "seconds": seconds, "total": total, "peak_mib": round(peak)}
    print(json.dumps(result) if options.json else f"all: {total} s for {options.rows:,} rows, {peak:.0f} MiB")
    return int(total > MOST_SECONDS * options.rows / ROWS or peak > MOST_MIB)


if __name__ == "__main__":
    sys.exit(main())
