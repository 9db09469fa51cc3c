import typing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_r1.core.errors import ConfigError
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.drawing import draw
from vision_r1.problems.scans import Split, load_scans, split_indices
from vision_r1.problems.tiny_world import (
    FAMILIES,
    HELD_OUT_FAMILY,
    TRAINING_FAMILIES,
    make_problems,
    random_problem,
)

SPLITS = typing.get_args(Split)


def scans_of(problems):
    return {cell.scan for p in problems for cell in p.meta["scene"].cells}


def test_each_scan_is_in_one_split_and_all_are_used():
    parts = [{i for scans in split_indices(split).values() for i in scans} for split in SPLITS]
    images, labels = load_scans()
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(images) == 1797
    for split in SPLITS:
        for digit, scans in split_indices(split).items():
            assert all(labels[i] == digit for i in scans)


@pytest.mark.parametrize("split", SPLITS)
def test_problems_use_only_their_splits_scans(split):
    allowed = {i for scans in split_indices(split).values() for i in scans}
    assert scans_of(make_problems(TinyWorldData(split=split, n=300))) <= allowed


def test_training_cannot_ask_for_what_is_held_out():
    for bad in ({"families": (HELD_OUT_FAMILY,)}, {"larger": True}):
        for split in ("train", "validation"):
            with pytest.raises(ConfigError, match="held out"):
                make_problems(TinyWorldData(split=split, n=1, **bad))
    with pytest.raises(ConfigError, match="unknown family"):
        make_problems(TinyWorldData(split="train", n=1, families=("som",)))


def test_the_text_does_not_give_the_answer():
    problems = make_problems(TinyWorldData(split="train", n=1800))
    answers: dict[str, list[str]] = {}
    for problem in problems:
        answers.setdefault(problem.question, []).append(problem.answer)
    assert len(TRAINING_FAMILIES) >= 6
    for question, golds in answers.items():
        most = max(map(golds.count, set(golds))) / len(golds)
        assert len(set(golds)) >= 8, question
        assert most < 0.25, (question, most)


def test_pictures_are_deterministic_and_off_the_patch_grid():
    rng = np.random.default_rng(0)
    problems = [random_problem(rng, FAMILIES["sum"], "train") for _ in range(200)]
    lefts = []
    for problem in problems:
        scene = problem.meta["scene"]
        first, second = draw(scene), draw(scene)
        assert first.tobytes() == second.tobytes()
        assert first.size == scene.size
        pixels = np.asarray(first.convert("L"), dtype=float)
        ink = np.flatnonzero((pixels < 150).any(axis=0))
        lefts.append(ink[0])
    # Where a digit begins is spread over the patch, not fixed to it.
    assert len(set(lefts)) >= 8


@given(st.integers(0, 2**31), st.sampled_from(list(FAMILIES)), st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_problem_is_well_formed(seed, family, larger):
    problem = random_problem(np.random.default_rng(seed), FAMILIES[family], "test", larger=larger)
    assert int(problem.answer) >= 0
    assert problem.question in FAMILIES[family].questions
    assert problem.media[0].load().size == problem.meta["scene"].size


def test_ids_are_unique_and_a_longer_set_begins_like_a_shorter_one():
    short, long = (make_problems(TinyWorldData(split="train", n=n)) for n in (50, 90))
    assert short == long[:50]
    assert len({p.id for p in long}) == 90
    other = make_problems(TinyWorldData(split="train", n=50, seed=1))
    assert [p.media[0].key for p in other] != [p.media[0].key for p in short]
