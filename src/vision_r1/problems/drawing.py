"""Scenes of handwritten digits drawn into one picture: rows, two-row tables, labelled bars, shapes.

A scene is facts; `draw` turns it into pixels. Digits vary in size and place, and the pitch of a
row drifts against the 14-pixel patch grid of the vision tower.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from vision_r1.problems.scans import load_scans

Layout = Literal["row", "table", "bars", "shapes"]
SHAPES = ("circle", "square", "triangle")
CELL = 28  # pixels; one merged image token of Qwen2.5-VL (two by two patches of 14)
BAR_LEVELS = 6


@dataclass(frozen=True, slots=True)
class Cell:
    """One digit of a scene.

    Attributes:
        digit: 0-9.
        scan: index of the handwritten scan, see `scans.load_scans`.
        shape: "circle", "square" or "triangle" around it, or "" where there is none.
        bar: height of the bar above it in levels 1-6, or 0 where there is none.
    """

    digit: int
    scan: int
    shape: str = ""
    bar: int = 0


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture shows, and the seed of how it is drawn."""

    layout: Layout
    rows: tuple[tuple[Cell, ...], ...]
    seed: int
    jitter: float = 1.0

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, top row first."""
        return tuple(cell for row in self.rows for cell in row)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        lines = 2 if self.layout == "bars" else len(self.rows)
        return CELL * max(len(row) for row in self.rows), CELL * lines


@dataclass(frozen=True, slots=True)
class SceneImage:
    """A scene as a problem's media."""

    scene: Scene

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.scene.size

    @property
    def key(self) -> str:
        """Hash of the scene's facts and seed."""
        return hashlib.sha256(repr(self.scene).encode()).hexdigest()[:24]

    def load(self) -> Image.Image:
        """The RGB picture."""
        return draw(self.scene)


@dataclass(frozen=True, slots=True)
class BlankImage:
    """White paper of another picture's size: the control that shows what the question alone gives."""

    width: int
    height: int

    @property
    def key(self) -> str:
        """Its size."""
        return f"blank-{self.width}x{self.height}"

    def load(self) -> Image.Image:
        """The white RGB picture."""
        return Image.new("RGB", (self.width, self.height), (255, 255, 255))


@functools.lru_cache(maxsize=40_000)
def _ink(scan: int, size: int) -> npt.NDArray[np.float32]:
    """The scan enlarged to `size` pixels, float32 (size, size), 1 is ink."""
    images, _ = load_scans()
    grey = Image.fromarray((images[scan] * 255).astype(np.uint8))
    return np.asarray(grey.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32) / 255.0


def draw(scene: Scene) -> Image.Image:
    """Draw a scene; the same scene gives the same bytes."""
    rng = np.random.default_rng(scene.seed)
    width, height = scene.size
    paper = rng.integers(228, 256, size=3)
    picture = Image.new("RGB", (width, height), (int(paper[0]), int(paper[1]), int(paper[2])))
    pen = ImageDraw.Draw(picture)
    if scene.layout == "table":
        _rules(pen, scene, rng)
    boxes = _boxes(scene, rng)
    for cell, box in zip(scene.cells, boxes, strict=True):
        if cell.shape:
            _filled(pen, cell.shape, box, rng)
        if cell.bar:
            _bar(pen, cell.bar, box, rng)
    pixels = np.asarray(picture, dtype=np.float32).copy()
    for cell, box in zip(scene.cells, boxes, strict=True):
        _write_digit(pixels, cell, box, scene.jitter, rng)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _boxes(scene: Scene, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Left and top of each cell's box of 28x28 pixels; rows drift sideways by their pitch."""
    width, height = scene.size
    boxes = []
    for line, row in enumerate(scene.rows):
        squeeze = 3.0 * scene.jitter * rng.random() if scene.layout == "row" else 0.0
        pitch = CELL - squeeze
        start = rng.random() * (width - pitch * (len(row) - 1) - CELL)
        top = height - CELL if scene.layout == "bars" else line * CELL
        boxes += [(round(start + pitch * column), top) for column in range(len(row))]
    return boxes


def _write_digit(
    pixels: npt.NDArray[np.float32],
    cell: Cell,
    box: tuple[int, int],
    jitter: float,
    rng: np.random.Generator,
) -> None:
    largest = 21 if cell.shape else 27
    spread = 3 if cell.shape else 7
    size = largest - round(jitter * spread * rng.random())
    slack = CELL - size
    # Without jitter the digit sits in the middle; with all of it, anywhere in its box.
    offsets = slack / 2 + (rng.random(2) - 0.5) * slack * jitter * (0.5 if cell.shape else 1.0)
    left, top = box[0] + round(offsets[0]), box[1] + round(offsets[1])
    ink = _ink(cell.scan, size)[..., None]
    colour = rng.integers(0, 45 if cell.shape else 90, size=3).astype(np.float32)
    left = min(max(left, 0), pixels.shape[1] - size)
    top = min(max(top, 0), pixels.shape[0] - size)
    region = pixels[top : top + size, left : left + size]
    pixels[top : top + size, left : left + size] = region * (1 - ink) + colour * ink


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(90, 200, size=3)
    return int(red), int(green), int(blue)


def _rules(pen: ImageDraw.ImageDraw, scene: Scene, rng: np.random.Generator) -> None:
    width, height = scene.size
    colour = _colour(rng)
    for column in range(1, len(scene.rows[0])):
        pen.line([(column * CELL, 0), (column * CELL, height)], fill=colour)
    for line in range(1, len(scene.rows)):
        pen.line([(0, line * CELL), (width, line * CELL)], fill=colour)
    pen.rectangle([0, 0, width - 1, height - 1], outline=colour)


def _filled(pen: ImageDraw.ImageDraw, shape: str, box: tuple[int, int], rng: np.random.Generator) -> None:
    left, top, right, bottom = box[0], box[1], box[0] + CELL - 1, box[1] + CELL - 1
    red, green, blue = rng.integers(150, 215, size=3)
    colour = (int(red), int(green), int(blue))
    if shape == "circle":
        pen.ellipse([left, top, right, bottom], fill=colour)
    elif shape == "square":
        pen.rectangle([left + 2, top + 2, right - 2, bottom - 2], fill=colour)
    else:
        pen.polygon([(left, bottom), (right, bottom), ((left + right) // 2, top)], fill=colour)


def _bar(pen: ImageDraw.ImageDraw, level: int, box: tuple[int, int], rng: np.random.Generator) -> None:
    height = round(level * (CELL - 2) / BAR_LEVELS) + int(rng.integers(-1, 2))
    left = box[0] + int(rng.integers(5, 9))
    pen.rectangle([left, box[1] - height, left + 12, box[1] - 1], fill=_colour(rng))
