"""Image controls, the check that pictures reach the model, and one evaluation of a random tiny model."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from evals_fakes import FakeEngine, settings, text_problems, thought, tiny_random

from vision_r1.core.errors import ImageUseError
from vision_r1.core.files import read_json, read_jsonl
from vision_r1.evals.command import evaluate_model
from vision_r1.evals.image_use import (
    QuestionOnly,
    blanked,
    check_images_reach_model,
    evaluate_image_use,
    swapped,
    without_images,
)
from vision_r1.models.load import LoadedModel, load_model
from vision_r1.problems.config import TinyWorldData
from vision_r1.problems.drawing import BlankImage
from vision_r1.problems.load import load_problems
from vision_r1.problems.problem import Problem
from vision_r1.problems.tiny_world import make_problems
from vision_r1.rollout.engine import InProcessEngine
from vision_r1.rollout.trace import StopReason

PROBLEMS = make_problems(TinyWorldData(split="test", n=36, seed=1))


def test_blank_pictures_keep_their_size() -> None:
    for before, after in zip(PROBLEMS, blanked(PROBLEMS), strict=True):
        assert after.media[0].load().size == before.media[0].load().size
        assert after.media[0].load().getextrema() == ((255, 255),) * 3
        assert (after.id, after.answer, after.question) == (before.id, before.answer, before.question)


def test_without_images_the_marks_go_too() -> None:
    problem = Problem("x", "<image>\nIn <image>, what is it?", "1", (BlankImage(28, 28), BlankImage(28, 28)))
    assert without_images([problem, text_problems(1)[0]]) == [
        replace(problem, media=(), question="In , what is it?")
    ]


def test_swapped_problems_carry_the_new_picture_and_its_gold() -> None:
    by_picture = {problem.media[0].key: problem for problem in PROBLEMS}
    swaps = swapped(PROBLEMS)
    assert len(swaps) > 20
    for swap in swaps:
        giver = by_picture[swap.problem.media[0].key]
        assert swap.problem.id == swap.original.id
        assert giver.id != swap.original.id
        assert swap.problem.question == swap.original.question == giver.question
        assert swap.problem.answer == giver.answer != swap.original.answer


def test_pictures_are_not_swapped_between_problems_with_other_options_or_equal_golds() -> None:
    def problem(name: str, answer: str, options: tuple[str, ...] = ()) -> Problem:
        return Problem(name, "Find x.", answer, (BlankImage(28, 28),), options=options)

    assert swapped([problem("a", "A", ("1", "2")), problem("b", "B", ("3", "4"))]) == []
    assert swapped([problem("a", "1/2"), problem("b", "0.5")]) == []
    assert len(swapped([problem("a", "1/2"), problem("b", "0.5"), problem("c", "3")])) == 3


def test_swapped_answers_are_counted_for_the_new_and_the_old_picture(tmp_path: Path) -> None:
    old = {swap.original.id: swap.original.answer for swap in swapped(PROBLEMS)}
    new = {swap.problem.id: swap.problem.answer for swap in swapped(PROBLEMS)}
    turns = Counter[str]()

    def script(problem_id: str, _: int, __: bool) -> tuple[str, StopReason, int]:
        # The blank and the text-only call come first; then a quarter stays with the old picture.
        turns[problem_id] += 1
        if turns[problem_id] < 3:
            return thought("nothing"), "eos", 5
        stays = list(new).index(problem_id) % 4 == 0
        return thought(old[problem_id] if stays else new[problem_id]), "eos", 5

    found = evaluate_image_use(
        FakeEngine(script), PROBLEMS, settings(), 32, tmp_path, train_problems=PROBLEMS
    )
    n = len(new)
    assert found["blank"]["accuracy"] == found["no_image"]["accuracy"] == 0
    assert found["swapped"]["n"] == n
    assert found["swapped"]["keeps_old"] == pytest.approx(len(range(0, n, 4)) / n)
    assert found["swapped"]["follows_new"] == pytest.approx(1 - len(range(0, n, 4)) / n)
    assert found["swapped"]["ci95"][0] < found["swapped"]["follows_new"] < found["swapped"]["ci95"][1]
    assert set(found["question_only"]) == {"accuracy", "ci95", "n", "how"}


def test_controls_that_problems_without_pictures_cannot_give_are_left_out(tmp_path: Path) -> None:
    engine = FakeEngine(lambda *_: ("", "eos", 1))
    assert evaluate_image_use(engine, text_problems(3), settings(), 32, tmp_path) == {}


def test_question_only_gives_the_most_frequent_answer_of_each_text() -> None:
    def problem(question: str, answer: str) -> Problem:
        return Problem(f"{question}{answer}", question, answer)

    train = [problem("q", a) for a in "5775"] + [problem("r", "9")] * 3
    predictor = QuestionOnly.fit(train)
    assert predictor == QuestionOnly.fit(train[::-1])
    assert [predictor.predict(problem(q, "0")) for q in ("q", " r ", "new")] == ["5", "9", "9"]
    score = predictor.score([problem("q", "5.0"), problem("r", "1"), problem("new", "9")])
    assert (score["accuracy"], score["n"]) == (pytest.approx(2 / 3), 3)
    assert "7 training problems" in score["how"]
    assert "for 1 problems" in score["how"]


def test_question_only_beats_any_other_fixed_answer_per_text_on_its_training_problems() -> None:
    best = QuestionOnly.fit(PROBLEMS).score(PROBLEMS)["accuracy"]
    for answer in {problem.answer for problem in PROBLEMS}:
        assert best >= sum(problem.answer == answer for problem in PROBLEMS) / len(PROBLEMS)


def test_a_model_that_sees_passes() -> None:
    check_images_reach_model(tiny_random(), PROBLEMS)


def test_pictures_lost_on_the_way_stop_the_run() -> None:
    loaded = tiny_random()
    model = copy.deepcopy(loaded.model)
    generate = model.generate

    def forgetful(**named: object) -> object:
        lost = ("pixel_values", "image_grid_thw", "mm_token_type_ids")
        return generate(**{key: value for key, value in named.items() if key not in lost})

    model.generate = forgetful
    with pytest.raises(ImageUseError, match="do not reach the model: on 8 of 8"):
        check_images_reach_model(LoadedModel(model, loaded.processor, "forgetful"), PROBLEMS)


def test_a_vision_tower_that_gives_the_same_for_every_picture_stops_the_run() -> None:
    loaded = tiny_random()
    model = copy.deepcopy(loaded.model)
    with torch.no_grad():
        for parameter in model.model.visual.merger.parameters():
            parameter.zero_()
    with pytest.raises(ImageUseError):
        check_images_reach_model(LoadedModel(model, loaded.processor, "blind"), PROBLEMS)


def test_problems_without_pictures_or_with_white_ones_say_nothing() -> None:
    check_images_reach_model(tiny_random(), text_problems(3))
    check_images_reach_model(tiny_random(), blanked(PROBLEMS))


def test_a_random_model_end_to_end(tmp_path: Path) -> None:
    loaded = tiny_random()
    folder = tmp_path / "model"
    loaded.model.save_pretrained(folder)
    loaded.processor.save_pretrained(folder)
    data = load_problems(TinyWorldData(split="test", n=12, seed=2))
    train = load_problems(TinyWorldData(split="train", n=40, seed=3))
    chosen = settings(sampled_problems=2, max_new_tokens=6, image_use=True)

    def once(out: Path) -> dict:
        engine = InProcessEngine(load_model(str(folder)))
        return evaluate_model(engine, data, chosen, out, train_problems=train, seed=1)

    first = once(tmp_path / "one")
    assert read_json(tmp_path / "one" / "summary.json") == first
    assert (first["n"], first["sampled_n"], first["cap"]) == (12, 2, 6)
    assert first["mean_tokens"] <= 6
    assert {"blank", "no_image", "swapped", "question_only"} == set(first["image_use"])
    rows = [row for _, row in read_jsonl(tmp_path / "one" / "traces.jsonl")]
    assert len(rows) == 12 + 2 * 8
    assert all(row["image_key"] for row in rows)
    assert once(tmp_path / "two") == first
    for name in ("traces.jsonl", "summary.json", "image_use/swapped/traces.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
