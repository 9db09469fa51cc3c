"""The tiny world: visual maths over real handwritten digits, where one glance is not enough.

Each family asks for several steps over several scans. Every question text occurs with many
pictures and many answers, so the text alone does not give the answer. One family
(`sum_minus_smallest`) and the larger operand counts are never used in training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vision_r1.core.errors import ConfigError, nearest
from vision_r1.core.seeds import derive_seed
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.drawing import BAR_LEVELS, SHAPES, Cell, Layout, Scene, SceneImage
from vision_r1.problems.problem import Problem
from vision_r1.problems.scans import Split, split_indices
from vision_r1.problems.tiny_names import HELD_OUT_FAMILY


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of question.

    Attributes:
        name: its key.
        layout: the picture it is asked about.
        questions: its texts; a text fixes what is asked, never the answer.
        answer: gold answer from the scene and the question, or None where the scene does not
            fit (a bar chart without a bar taller than the first, say).
        sizes: (rows, columns) used in training.
        larger: (rows, columns) held out of all training.
    """

    name: str
    layout: Layout
    questions: tuple[str, ...]
    answer: Callable[[Scene, str], int | None]
    sizes: tuple[tuple[int, int], ...]
    larger: tuple[tuple[int, int], ...]


def _digits(cells: Sequence[Cell]) -> list[int]:
    return [cell.digit for cell in cells]


def _sum(scene: Scene, _: str) -> int:
    return sum(_digits(scene.cells))


def _sum_minus_largest(scene: Scene, _: str) -> int:
    return sum(_digits(scene.cells)) - max(_digits(scene.cells))


def _sum_minus_smallest(scene: Scene, _: str) -> int:
    return sum(_digits(scene.cells)) - min(_digits(scene.cells))


def _spread_plus_first(scene: Scene, _: str) -> int:
    digits = _digits(scene.cells)
    return max(digits) - min(digits) + digits[0]


def _count(scene: Scene, _: str) -> int | None:
    digits = _digits(scene.cells)
    evens = sum(digit % 2 == 0 for digit in digits)
    # Products of zero would make "0" a good guess without looking.
    return digits[0] * evens if digits[0] * evens > 0 else None


def _order(scene: Scene, _: str) -> int:
    digits = sorted(_digits(scene.cells))
    return digits[1] + digits[-1]


def _parity(scene: Scene, _: str) -> int:
    digits = _digits(scene.cells)
    even = sum(digit for digit in digits if digit % 2 == 0)
    return abs(2 * even - sum(digits))


def _table(scene: Scene, _: str) -> int | None:
    top, bottom = (_digits(row) for row in scene.rows)
    value = sum(top) - max(bottom)
    return value if value >= 0 else None


def _bars(scene: Scene, _: str) -> int | None:
    taller = [cell.digit for cell in scene.cells if cell.bar > scene.cells[0].bar]
    return sum(taller) if taller else None


def _shapes(scene: Scene, question: str) -> int | None:
    wanted = next(shape for shape in SHAPES if f"{shape}s" in question)
    inside = [cell.digit for cell in scene.cells if cell.shape == wanted]
    return sum(inside) if len(inside) >= 2 else None


_ROW, _LARGER_ROW = ((1, 4), (1, 5)), ((1, 6),)

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("sum", "row", ("What is the sum of the numbers?",), _sum, _ROW, _LARGER_ROW),
        Family(
            "sum_minus_largest",
            "row",
            ("What is the sum of the numbers minus the largest number?",),
            _sum_minus_largest,
            _ROW,
            _LARGER_ROW,
        ),
        Family(
            "spread",
            "row",
            ("What is the largest number minus the smallest number, plus the first number?",),
            _spread_plus_first,
            _ROW,
            _LARGER_ROW,
        ),
        Family(
            "count",
            "row",
            ("How many numbers are even? Multiply this count by the first number.",),
            _count,
            _ROW,
            _LARGER_ROW,
        ),
        Family(
            "order",
            "row",
            ("Sort the numbers from smallest to largest. What is the second plus the last?",),
            _order,
            _ROW,
            _LARGER_ROW,
        ),
        Family(
            "parity",
            "row",
            ("What is the difference between the sum of the even and the sum of the odd numbers?",),
            _parity,
            _ROW,
            _LARGER_ROW,
        ),
        Family(
            "table",
            "table",
            ("What is the sum of the top row minus the largest number in the bottom row?",),
            _table,
            ((2, 2), (2, 3)),
            ((2, 4),),
        ),
        Family(
            "bars",
            "bars",
            ("What is the sum of the numbers under the bars that are taller than the first bar?",),
            _bars,
            _ROW,
            _LARGER_ROW,
        ),
        Family(
            "shapes",
            "shapes",
            tuple(f"What is the sum of the numbers in {shape}s?" for shape in SHAPES),
            _shapes,
            _ROW,
            _LARGER_ROW,
        ),
        Family(
            "sum_minus_smallest",
            "row",
            ("What is the sum of the numbers minus the smallest number?",),
            _sum_minus_smallest,
            _ROW,
            _LARGER_ROW,
        ),
    )
}
TRAINING_FAMILIES: tuple[str, ...] = tuple(name for name in FAMILIES if name != HELD_OUT_FAMILY)


def random_scene(
    rng: np.random.Generator, layout: Layout, size: tuple[int, int], split: Split, jitter: float = 1.0
) -> Scene:
    """A scene of `size` = (rows, columns) digits drawn uniformly, from the scans of `split`."""
    scans = split_indices(split)
    rows, columns = size
    bars = rng.permutation(BAR_LEVELS) + 1
    lines = []
    for _ in range(rows):
        cells = []
        for column in range(columns):
            digit = int(rng.integers(10))
            scan = scans[digit][int(rng.integers(len(scans[digit])))]
            shape = SHAPES[int(rng.integers(len(SHAPES)))] if layout == "shapes" else ""
            bar = int(bars[column % BAR_LEVELS]) if layout == "bars" else 0
            cells.append(Cell(digit, scan, shape, bar))
        lines.append(tuple(cells))
    return Scene(layout, tuple(lines), int(rng.integers(2**31)), jitter)


def random_problem(
    rng: np.random.Generator,
    family: Family,
    split: Split,
    *,
    larger: bool = False,
    jitter: float = 1.0,
    problem_id: str = "",
) -> Problem:
    """One problem of `family`; scenes that do not fit the question are drawn again."""
    sizes = family.larger if larger else family.sizes
    while True:
        size = sizes[int(rng.integers(len(sizes)))]
        question = family.questions[int(rng.integers(len(family.questions)))]
        scene = random_scene(rng, family.layout, size, split, jitter)
        answer = family.answer(scene, question)
        if answer is not None:
            return Problem(
                id=problem_id,
                question=question,
                answer=str(answer),
                media=(SceneImage(scene),),
                answer_type="number",
                meta={"family": family.name, "level": len(scene.cells), "scene": scene},
            )


def make_problems(config: TinyWorldData) -> list[Problem]:
    """The problems of a tiny-world data section: families in turn, ids unique and stable.

    Raises:
        ConfigError: an unknown family, or a held-out family or size asked of the train split.
    """
    names = TRAINING_FAMILIES if config.families is None else config.families
    unknown = [name for name in names if name not in FAMILIES]
    if unknown or not names:
        raise ConfigError(
            f"unknown family {unknown[:1] or 'list (empty)'}",
            where="families",
            fix=nearest("".join(unknown[:1]), FAMILIES, "known families"),
        )
    if config.split != "test" and (config.larger or HELD_OUT_FAMILY in names):
        raise ConfigError(
            f"{HELD_OUT_FAMILY!r} and larger scenes are held out of training and validation",
            where="split",
            fix="use split: test",
        )
    problems = []
    for index in range(config.n):
        name = names[index % len(names)]
        kind = "larger-" if config.larger else ""
        problem_id = f"{config.split}-{kind}{name}-{config.seed}-{index:05d}"
        rng = np.random.default_rng(derive_seed(config.seed, problem_id))
        problems.append(
            random_problem(rng, FAMILIES[name], config.split, larger=config.larger, problem_id=problem_id)
        )
    return problems
