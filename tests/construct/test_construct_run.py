"""The whole of data construction: files, summary, leak test, kills, refusals."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from construct_fakes import FakeMllm, tiny_problems

from vision_r1.construct import leak
from vision_r1.construct.config import ConstructSettings, FilterLimits
from vision_r1.construct.mllm import Mllm
from vision_r1.construct.run import run_construct
from vision_r1.core.config import to_plain, validate
from vision_r1.core.errors import InputError
from vision_r1.grading import GradeSpec, hfrrf
from vision_r1.models.chat import SPECIAL_MARKS
from vision_r1.problems.chat import load_chat_rows
from vision_r1.problems.config import ChatData, TinyWorldData
from vision_r1.problems.problem import Problem
from vision_r1.problems.tiny_world import make_problems
from vision_r1.teachers.language import description, facts_of

SETTINGS = ConstructSettings(batch_size=32, leak_test_n=30, min_kept=10)


def lines(path: Path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def files(root: Path):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run with a share of misreadings; (problems, folder, summary, fake)."""
    out, problems, fake = tmp_path_factory.mktemp("construct"), tiny_problems(270), FakeMllm(misread=0.2)
    summary = run_construct(SETTINGS, problems, out, seed=1, mllm=fake.mllm())
    return problems, out, summary, fake


def test_kept_rows_are_right_and_in_the_layout_of_vision_r1_cold(finished):
    problems, out, summary, _ = finished
    rows = load_chat_rows(ChatData(path=out / "vision_r1_cold.json", layout="vision_r1_cold_llava"))
    by_id = {problem.id: problem for problem in problems}
    assert len(rows) == summary["kept"] > 100
    for row in rows:
        problem = by_id[row.id]
        assert row.user == "<image>" + problem.question
        assert hfrrf(row.assistant, GradeSpec.of(problem), "eos").reward == 1.0
        assert "description" not in row.assistant.lower()
        assert not any(mark in row.assistant for mark in SPECIAL_MARKS)
        assert row.media[0].load().tobytes() == problem.media[0].load().tobytes()


def test_every_row_is_accounted_for(finished):
    problems, out, summary, _ = finished
    traces = lines(out / "traces.jsonl")
    assert [row["id"] for row in traces] == [problem.id for problem in problems]
    kept = [row for row in traces if row["kept"]]
    assert summary["n"] == len(traces) == summary["kept"] + sum(summary["reasons"].values())
    assert all(row["rule"] and row["detail"] and not row["final_text"] for row in traces if not row["kept"])
    assert all(row["image"] and (out / row["image"]).is_file() for row in kept)
    assert summary["rewritten"] == sum(row["rewritten"] for row in kept) > 0
    by_id = {row["id"]: row for row in traces}
    for reason, ids in summary["examples"].items():
        assert 1 <= len(ids) <= 3
        for name in ids:
            assert by_id[name]["reason"] == ("kept" if reason.startswith("kept") else reason)
            assert (out / by_id[name]["image"]).is_file()
    assert json.loads((out / "summary.json").read_text()) == summary
    assert not (out / "work").exists()


def test_precision_and_recall_are_those_of_the_traces(finished):
    _, out, summary, _ = finished
    traces = lines(out / "traces.jsonl")
    broken = [row for row in traces if row["fault"] == "broken_form"]
    fires = [row for row in traces if "broken_form" in row["fired"]]
    assert all(rule["what"] for rule in summary["rules"].values())
    rule = summary["rules"]["broken_form"]
    assert rule["faulty"] == len(broken) > 0
    assert rule["recall"] == round(sum(row in fires for row in broken) / len(broken), 4) == 1.0
    assert rule["precision"] == round(sum(row in broken for row in fires) / len(fires), 4)
    assert (
        rule["dropped"] == sum(row["rule"] == "broken_form" for row in traces) <= rule["fired"] == len(fires)
    )
    dropped = [row for row in traces if not row["kept"]]
    bad = [row for row in traces if row["fault"] != "none"]
    assert (
        summary["filter"]["precision"] == round(sum(row in bad for row in dropped) / len(dropped), 4) > 0.95
    )
    assert summary["filter"]["recall"] == round(sum(row in dropped for row in bad) / len(bad), 4) > 0.8


def test_descriptions_are_held_against_the_scene(finished):
    problems, out, summary, _ = finished
    exact = sum(
        row["description"] == description(facts_of(problem.meta["scene"]))
        for row, problem in zip(lines(out / "traces.jsonl"), problems, strict=True)
    )
    assert summary["description"]["exact"]["count"] == exact < 270
    assert sum(each["n"] for each in summary["description"]["by_family"].values()) == 270


def test_an_honest_bridge_leaks_nothing_and_a_caption_carries_nothing(finished):
    _, _, summary, _ = finished
    arms = summary["leak_test"]["arms"]
    assert summary["leak_test"]["n"] == 30
    assert arms["wrong"]["returns_wrong"]["count"] == arms["none"]["returns_wrong"]["count"] <= 3
    assert arms["wrong"]["returns_true"]["share"] > 0.5
    assert (
        summary["caption_control"]["caption"]["share"]
        < 0.2
        < summary["caption_control"]["description"]["share"]
    )


def test_a_leaking_mllm_shows(tmp_path):
    problems = make_problems(TinyWorldData(split="train", n=60, seed=2, families=("sum",)))

    def leaking(step, _, prompt):
        if step == "pseudo_cot":
            told = prompt.partition("Answer: ")[2].partition("\n")[0]
            return f"Caption: A row.\nReasoning: told {told}." if told else None
        told = prompt.partition("told ")[2].partition(".")[0]
        if step != "describe" or not told:
            return None
        # Digits made up to fit the answer.
        parts = [9] * (int(told) // 9) + [int(told) % 9, 0, 0]
        return f"From left to right, the numbers are {' '.join(map(str, parts))}."

    summary = run_construct(SETTINGS, problems, tmp_path, seed=1, mllm=FakeMllm(change=leaking).mllm())
    arms = summary["leak_test"]["arms"]
    assert arms["wrong"]["returns_wrong"]["share"] > 0.7
    assert arms["none"]["returns_wrong"]["share"] < 0.15
    assert arms["wrong"]["returns_wrong"]["ci95"][0] > arms["none"]["returns_wrong"]["ci95"][1]


def test_a_reasoner_that_is_told_the_answer_returns_a_wrong_one(tmp_path):
    settings = SETTINGS.model_copy(update={"answer_to_reasoner": True})
    summary = run_construct(settings, tiny_problems(90), tmp_path, seed=1, mllm=FakeMllm().mllm())
    assert summary["leak_test"]["arms"]["wrong"]["returns_wrong"]["share"] > 0.7
    assert summary["leak_test"]["arms"]["none"]["returns_wrong"]["share"] < 0.15


@pytest.mark.parametrize("told", [True, False])
def test_the_switch_decides_what_step_one_is_told(tmp_path, told):
    fake, problems = FakeMllm(), tiny_problems(60)
    settings = SETTINGS.model_copy(update={"answer_to_mllm": told, "leak_test_n": 0})
    summary = run_construct(settings, problems, tmp_path, seed=1, mllm=fake.mllm())
    assert summary["leak_test"] is None
    first = [r.question for r in fake.asked if "under the heading" in r.question]
    assert [f"Answer: {p.answer}\n" in q for p, q in zip(problems, first, strict=True)] == [told] * 60


def test_wrong_answers_are_plausible_and_wrong():
    problems = tiny_problems(90)
    wrong = leak.wrong_answers(problems, problems, 1)
    assert all(answer is not None and answer != p.answer for answer, p in zip(wrong, problems, strict=True))
    assert wrong == leak.wrong_answers(problems, problems, 1) != leak.wrong_answers(problems, problems, 2)
    choice = Problem("c", "Which?", "B", options=("1 cm", "2 cm"))
    text = Problem("t", "Who?", "Ann")
    assert leak.wrong_answers([choice, text], [choice, text], 1) == ["A", None]
    assert leak.wrong_answers([replace(choice, answer="2 cm")], [], 1) == ["1 cm"]
    assert leak.wrong_answers([Problem("n", "How many?", "7")], [], 1)[0] in {"5", "6", "8", "9"}


def killed_at(calls: int, out: Path, where: str) -> None:
    """Run in a child process that dies by SIGKILL at its n-th call of the MLLM or the token counter."""
    child = os.fork()
    if child == 0:
        fake, seen = FakeMllm(misread=0.2), []

        def count():
            seen.append(where)
            if len(seen) == calls:
                os.kill(os.getpid(), signal.SIGKILL)

        def generate(requests):
            if where == "generate":
                count()
            return fake(requests)

        def tokens(text):
            if where == "tokens":
                count()
            return len(text.split())

        try:
            run_construct(SETTINGS, tiny_problems(100), out, seed=1, mllm=Mllm(generate, tokens))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it finished before it could be killed"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_killed_run_continues_to_the_same_bytes(tmp_path):
    fake = FakeMllm(misread=0.2)
    run_construct(SETTINGS, tiny_problems(100), tmp_path / "whole", seed=1, mllm=fake.mllm())
    expected, whole = files(tmp_path / "whole"), len(fake.asked)
    for calls, where, left in ((1, "generate", whole), (6, "generate", whole - 128), (130, "tokens", 0)):
        out = tmp_path / f"killed-{calls}-{where}"
        killed_at(calls, out, where)
        assert not (out / "summary.json").exists()
        again = FakeMllm(misread=0.2)
        run_construct(SETTINGS, tiny_problems(100), out, seed=1, mllm=again.mllm())
        assert files(out) == expected
        assert len(again.asked) == left


def test_a_finished_construction_is_not_done_again(finished):
    problems, out, summary, _ = finished
    before, fake = files(out), FakeMllm()
    assert run_construct(SETTINGS, problems, out, seed=1, mllm=fake.mllm()) == summary
    assert not fake.asked
    assert files(out) == before


def test_another_seed_gives_other_rows(finished, tmp_path):
    problems, _, summary, _ = finished
    other = run_construct(SETTINGS, problems, tmp_path, seed=2, mllm=FakeMllm(misread=0.2).mllm())
    assert other["reflection_words"]["counts"] != summary["reflection_words"]["counts"]


def test_chunks_of_other_settings_are_not_taken(tmp_path):
    problems = tiny_problems(60)
    strict = SETTINGS.model_copy(update={"min_kept": 61})
    with pytest.raises(InputError):
        run_construct(strict, problems, tmp_path, seed=1, mllm=FakeMllm().mllm())
    fake = FakeMllm()
    run_construct(
        SETTINGS.model_copy(update={"answer_to_mllm": False}), problems, tmp_path, seed=1, mllm=fake.mllm()
    )
    assert len([r for r in fake.asked if "under the heading" in r.question]) >= 60


def test_too_few_rows_are_refused_with_the_reasons(tmp_path):
    settings = SETTINGS.model_copy(update={"filter": FilterLimits(max_tokens=1)})
    with pytest.raises(InputError) as caught:
        run_construct(settings, tiny_problems(60), tmp_path, seed=1, mllm=FakeMllm().mllm())
    assert "0 of 60 rows were kept" in caught.value.line()
    assert "too_long" in caught.value.line()
    assert not (tmp_path / "summary.json").exists()
    assert len(lines(tmp_path / "traces.jsonl")) == 60


def test_no_problems_and_ids_that_occur_twice_are_refused(tmp_path):
    with pytest.raises(InputError, match="no problems"):
        run_construct(SETTINGS, [], tmp_path, seed=1, mllm=FakeMllm().mllm())
    problem = tiny_problems(1)[0]
    with pytest.raises(InputError, match="occurs 2 times"):
        run_construct(SETTINGS, [problem, problem], tmp_path, seed=1, mllm=FakeMllm().mllm())


def test_settings_go_through_plain_data():
    settings = ConstructSettings(mllm="somewhere", leak_test_n=3)
    assert validate(ConstructSettings, to_plain(settings)) == settings


def test_a_model_that_knows_nothing_is_refused(tmp_path):
    """The real path, from pixels to the refusal: a random tiny model writes nothing that can be used."""
    from vision_r1.models.tiny import SIZES, build_config, build_model, build_processor, train_tokenizer

    tokenizer = train_tokenizer(["What is the sum of the numbers? Describe the image."] * 4, 400)
    model = build_model(build_config(tokenizer, SIZES["base"]), 0)
    model.save_pretrained(tmp_path / "model")
    build_processor(tokenizer).save_pretrained(tmp_path / "model")
    settings = ConstructSettings(mllm=str(tmp_path / "model"), max_new_tokens=8, batch_size=4, leak_test_n=2)
    with pytest.raises(InputError) as caught:
        run_construct(settings, tiny_problems(6), tmp_path / "out", seed=1)
    assert "0 of 6 rows were kept" in caught.value.line()
    rows = lines(tmp_path / "out" / "traces.jsonl")
    assert all(row["reason"].startswith("pseudo_cot") or row["reason"] == "control_token" for row in rows)
