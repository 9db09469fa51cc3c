"""Made-up rows of a construction and their images."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from vision_r1.construct.images import ImageStore
from vision_r1.construct.record import Record, RequestNote
from vision_r1.construct.row_files import row_writer
from vision_r1.problems.images import BytesImage

REASONS = ("wrong_answer", "truncated", "repetition", "missing_information")
SOURCES = ("geo170k", "Mulberry/chartqa", "tabmwp")
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
    "7",
    "and",
    "hmm",
)


def encoded(shade: int, kind: str = "PNG", size: tuple[int, int] = (32, 24)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (shade % 256, shade // 256 % 256, 90)).save(buffer, kind)
    return buffer.getvalue()


def key_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def record(number: int, sample: int = 0, words: int = 40, **changes) -> Record:
    rng = random.Random(number * 10 + sample)
    kept = rng.random() < 0.6
    thought = " ".join(rng.choices(WORDS, k=rng.randint(words // 2, words * 3 // 2)))
    note = RequestNote(
        "reason", hashlib.sha256(thought.encode()).hexdigest(), "reasoner", "reason@1-0a1b2c3d"
    )
    key = key_of(number)
    values = {
        "id": f"{key}-{sample:02d}", "problem": key, "source": SOURCES[number % 3], "source_id": f"q{number}",
        "sample_index": sample, "question": f"<image>\nHow many bars are there in figure {number}?",
        "options": ("3", "4") if number % 2 else (), "answer": "B" if number % 2 else "4",
        "answer_type": "choice" if number % 2 else "auto", "family": "bars", "images": (),
        "caption": f"Bars of figure {number}.", "pseudo_cot": "I count the bars.", "description": "Four bars.",
        "thought": thought, "reply": "The answer is 4.", "tokens": len(thought.split()), "kept": kept,
        "reason": "kept" if kept else rng.choice(REASONS), "detail": "" if kept else "said 5, gold is 4",
        "fired": () if kept else (rng.choice(REASONS),), "rewritten": kept and rng.random() < 0.3,
        "extracted": "4", "verdict": "right" if kept else "wrong", "requests": (note,),
        "final_text": f"<think> {thought} </think><answer> Final Answer:4 </answer>" if kept else "",
    }  # fmt: skip
    return Record(**{**values, **changes})


def in_order(rows: Iterable[Record]) -> list[Record]:
    return sorted(rows, key=lambda row: row.id)


def write_rows(out: Path, rows: Iterable[Record]) -> Path:
    with row_writer(out / "rows") as writer:
        for row in in_order(rows):
            writer.write(row)
    return out


def make_construction(out: Path, count: int = 24, **changes) -> list[Record]:
    """OUT/rows and OUT/images of `count` problems with two samples each; no two images alike."""
    store = ImageStore(out / "images")
    rows = []
    for number in range(count):
        kind = ("PNG", "JPEG", "WEBP")[number % 3]
        image = store.keep(BytesImage(encoded(number, kind), f"row {number}"))
        rows += [record(number, sample, images=(image,), **changes) for sample in (0, 1)]
    write_rows(out, rows)
    return in_order(rows)
