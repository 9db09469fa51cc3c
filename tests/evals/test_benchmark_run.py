"""Benchmarks end to end with scripted engines: figures, votes, resuming, re-rolls, faults, re-scoring."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from benchmark_fakes import PUZZLES, ScriptedEngine, load, measure, settings, write_puzzles

from vision_r1.core.errors import InputError, RunStateError, VisionR1Error
from vision_r1.core.files import read_json, read_jsonl, write_jsonl
from vision_r1.core.progress import Silent
from vision_r1.evals.benchmark_run import Evaluation, Judge, rescore, run_benchmark, write_summary
from vision_r1.evals.benchmarks.load import load_benchmark
from vision_r1.evals.compare import compare_evaluations
from vision_r1.evals.config import PROTOCOLS
from vision_r1.evals.paper_protocol import prediction
from vision_r1.evals.scoring import JudgeError
from vision_r1.rollout.trace import Segment


def rows_of(path: Path) -> list[dict]:
    return [row for _, row in read_jsonl(path)]


def half_right(number: int, sample: int, before: int) -> str:
    """Rows 0-3 right; 4 by the text of the option, which the official rule cannot read; 5-7 wrong."""
    if number == 4:
        return "<answer>4</answer>"
    return "The answer is (B)." if number < 4 else "(A)"


def test_figures_of_a_known_set(tmp_path: Path) -> None:
    block = measure(write_puzzles(tmp_path / "rows"), tmp_path / "out", ScriptedEngine(half_right))
    strict, official = block["scorers"]["strict"], block["scorers"]["official"]
    assert (block["n"], block["asked"], block["samples"]) == (8, 8, 1)
    assert strict["accuracy"] == pytest.approx(5 / 8)
    assert official["accuracy"] == pytest.approx(4 / 8)
    assert strict["ci95"][0] < 5 / 8 < strict["ci95"][1]
    assert strict["by_family"]["even"]["accuracy"] == pytest.approx(3 / 4)
    assert strict["by_family"]["odd"]["accuracy"] == pytest.approx(2 / 4)
    assert block["chance"] == pytest.approx(1 / 3)
    assert block["most_frequent"]["accuracy"] == pytest.approx(1 / 8)
    assert block["format_rate"] == 0
    assert block["faults"] == {"unusable": 0, "gold": 0, "noted": 0}
    differ = rows_of(tmp_path / "out" / "puzzlevqa" / "disagreements.jsonl")
    assert [row["id"] for row in differ] == ["images/4.png"]
    assert block["disagreements"] == 1
    assert differ[0]["response_end"] == "<answer>4</answer>"
    assert "judged" not in block["scorers"]


def test_rates_are_over_all_answers(tmp_path: Path) -> None:
    script = ["<think>hm</think><answer>0</answer>", ("no end", "length"), "?" * 400, ("no route", "error")]
    block = measure(
        write_puzzles(tmp_path / "rows", 4), tmp_path / "out", ScriptedEngine(lambda n, s, b: script[n])
    )
    assert block["format_rate"] == 1 / 4
    assert block["truncation_rate"] == 1 / 4
    assert block["error_rate"] == 1 / 4
    assert block["unparseable_rate"] >= 2 / 4
    assert block["scorers"]["strict"]["accuracy"] == 1 / 4
    scores = rows_of(tmp_path / "out" / "puzzlevqa" / "scores.jsonl")
    assert scores[3]["official"] == {"correct": False, "extracted": None, "reason": "error"}


def test_not_one_answer_is_no_score_of_zero(tmp_path: Path) -> None:
    rows = write_puzzles(tmp_path / "rows")
    with pytest.raises(VisionR1Error, match="none of 8 answers came; the first: no route"):
        measure(rows, tmp_path / "out", ScriptedEngine(lambda *_: ("no route", "error")))
    assert not (tmp_path / "out" / "puzzlevqa" / "answers.jsonl").exists()


def test_samples_give_pass_and_maj(tmp_path: Path) -> None:
    """Four samples a row: row 0 right in three, row 1 in one against three that agree, row 2 in one of four."""
    wrong = {0: ["(B)", "(B)", "(A)", "(B)"], 1: ["(B)", "(C)", "(C)", "(C)"], 2: ["(A)", "(B)", "(C)", "no"]}
    block = measure(
        write_puzzles(tmp_path / "rows", 3), tmp_path / "out",
        ScriptedEngine(lambda number, sample, _: wrong[number][sample]), samples=4, temperature=1.0,
    )  # fmt: skip
    found = block["scorers"]["official"]
    assert found["accuracy"] == pytest.approx((3 + 1 + 1) / 12)
    assert set(found["pass_at"]) == set(found["maj_at"]) == {"2", "4"}
    assert found["pass_at"]["4"]["value"] == 1.0
    assert found["pass_at"]["2"]["value"] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    # Row 0 wins, row 1 loses, row 2 ties three ways.
    assert found["maj_at"]["4"]["value"] == pytest.approx((1 + 0 + 1 / 3) / 3)
    # Blocks of two. Row 0: right, tie. Row 1: tie, lost. Row 2: tie; "(C)" alone, as "no" names nothing.
    assert found["maj_at"]["2"]["value"] == pytest.approx((0.75 + 0.25 + 0.25) / 3)


def test_rows_that_cannot_be_asked_count_as_wrong_and_are_listed(tmp_path: Path) -> None:
    changes = {
        1: {"answer": ""}, 2: {"image": "images/none.png"}, 3: {"options": [7, 7, 3]}, 4: {"answer": "Z"},
        5: {"options": []}, 6: {"question": "<|im_start|>system"}, 7: {"image": None},
    }  # fmt: skip
    rows = write_puzzles(tmp_path / "rows", 12, rows=changes)
    engine = ScriptedEngine(lambda number, *_: "(C)" if number == 3 else "(B)")
    block = measure(rows, tmp_path / "out", engine)
    faults = rows_of(tmp_path / "out" / "puzzlevqa" / "faults.jsonl")
    listed = {
        fault["where"].rpartition(" ")[2]: fault["reason"] for fault in faults if fault["kind"] == "unusable"
    }
    assert listed["2"] == "no gold"
    assert "no image 'images/none.png'" in listed["3"]
    assert "outside the 3 options" in listed["5"]
    assert "control token" in listed["7"]
    assert listed["8"] in ("no image", "no id")
    assert {fault["reason"] for fault in faults if fault["kind"] == "noted"} == {"options repeat"}
    assert block["faults"]["unusable"] == len(listed)
    assert block["n"] == 12
    assert block["asked"] == 12 - len(listed)
    right = sum(row["strict"]["correct"] for row in rows_of(tmp_path / "out" / "puzzlevqa" / "scores.jsonl"))
    assert block["scorers"]["strict"]["accuracy"] == pytest.approx(right / 12)
    assert right == block["asked"] - (1 if "6" not in listed else 0)
    assert "images/1.png" not in engine.asked


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    rows = write_puzzles(tmp_path / "rows", 6, rows={i: {"answer": ""} for i in range(4)})
    with pytest.raises(InputError, match=r"4 of 6 rows cannot be used as PuzzleVQA; first .*line 1: no gold"):
        load(rows)
    with pytest.raises(InputError, match="holds no rows"):
        load(tmp_path)


class Killer(ScriptedEngine):
    def complete(self, *arguments):
        if self.calls == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().complete(*arguments)


def test_killed_and_run_again_asks_only_what_is_missing(tmp_path: Path) -> None:
    rows = write_puzzles(tmp_path / "rows")
    whole = measure(rows, tmp_path / "whole", ScriptedEngine(half_right))
    child = multiprocessing.get_context("fork").Process(
        target=measure, args=(rows, tmp_path / "cut", Killer(half_right))
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    engine = ScriptedEngine(half_right)
    assert measure(rows, tmp_path / "cut", engine) == whole
    assert len(engine.asked) == 4  # of two parts of four
    for name in ("answers.jsonl", "scores.jsonl", "plan.json", "disagreements.jsonl", "summary.json"):
        ours, theirs = (tmp_path / run / "puzzlevqa" / name for run in ("cut", "whole"))
        assert ours.read_bytes() == theirs.read_bytes()
    again = ScriptedEngine(half_right)
    measure(rows, tmp_path / "cut", again)
    assert again.asked == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"max_new_tokens": 7}, "setting: max_new_tokens=1024, not 7"),
        ({"seed": 1}, "seed"),
        ({"instruction": "Think."}, "prompts"),
    ],
)
def test_another_evaluation_in_the_folder_is_refused(tmp_path: Path, change: dict, word: str) -> None:
    rows = write_puzzles(tmp_path / "rows")
    measure(rows, tmp_path / "out", ScriptedEngine(half_right))
    with pytest.raises(RunStateError, match=f"another {word}"):
        measure(rows, tmp_path / "out", ScriptedEngine(half_right), **change)
    with pytest.raises(RunStateError, match="another model"):
        measure(rows, tmp_path / "out", ScriptedEngine(half_right, "other"))


def stubborn(number: int, sample: int, before: int) -> str:
    """Rows below 4 finish at once; 4 at the third try, rightly; 5 at the second, wrongly; 6, 7 never."""
    needed = {4: 2, 5: 1, 6: 99, 7: 99}.get(number, 0)
    if before < needed:
        return "<think>Wait, (B)"
    # The paper's pattern needs one space on each side: rows 2 and 3 have none and are scored whole.
    spaces = "" if number in (2, 3) else " "
    letter = "A" if number == 5 else "B"
    return f"<think>(A) no, (C) it is</think><answer>{spaces}Final Answer:({letter}){spaces}</answer>"


def test_the_papers_protocol_rolls_again_and_says_so(tmp_path: Path) -> None:
    rows = write_puzzles(tmp_path / "rows")
    engine = ScriptedEngine(stubborn)
    block = measure(rows, tmp_path / "out", engine, protocol="paper")
    assert engine.asked.count("images/0.png") == 1
    assert engine.asked.count("images/4.png") == 3
    assert engine.asked.count("images/5.png") == 2
    assert engine.asked.count("images/6.png") == 5  # once, and four more times
    assert "not pass@1" in block["protocol"]
    assert block["mean_rolls"] == pytest.approx((4 + 3 + 2 + 5 + 5) / 8)
    answers = rows_of(tmp_path / "out" / "puzzlevqa" / "answers.jsonl")
    assert [len(row["rolls"]) for row in answers] == [0, 0, 0, 0, 2, 1, 4, 4]
    assert answers[4]["rolls"][0]["text"] == "<think>Wait, (B)"
    strict = block["scorers"]["strict"]
    assert strict["accuracy"] == pytest.approx(5 / 8)
    assert strict["first_roll"]["value"] == pytest.approx(4 / 8)


def test_the_papers_pattern_needs_its_spaces() -> None:
    assert prediction("x<answer> Final Answer:B </answer>") == "B"
    for text in ("<answer>Final Answer:B </answer>", "<answer> Final Answer:B</answer>", "B"):
        assert prediction(text) == text


def test_without_the_papers_protocol_nothing_is_rolled_again(tmp_path: Path) -> None:
    engine = ScriptedEngine(stubborn)
    block = measure(write_puzzles(tmp_path / "rows"), tmp_path / "out", engine, temperature=0.6)
    assert len(engine.asked) == 8
    assert block["mean_rolls"] == 1
    assert "first_roll" not in block["scorers"]["strict"]
    assert PROTOCOLS["plain"].rerolls == 0
    paper = PROTOCOLS["paper"]
    assert (paper.temperature, paper.top_p, paper.max_new_tokens, paper.rerolls) == (0.6, 0.95, 16000, 4)


def test_greedy_decoding_has_one_sample() -> None:
    with pytest.raises(ValueError, match="greedy"):
        settings(samples=4)
    with pytest.raises(ValueError, match="greedy"):
        settings(rerolls=1)


def judge(prompt: str, /, *, attempt: int = 0) -> str:
    if "What is number 7" in prompt:
        raise JudgeError("no reply")
    return "(B)"


def test_rescoring_with_a_judge_generates_nothing(tmp_path: Path) -> None:
    rows = write_puzzles(tmp_path / "rows")
    mute = ScriptedEngine(lambda number, *_: "(B)" if number < 2 else "who knows")
    first = measure(rows, tmp_path / "out", mute)
    assert first["judge"] is None
    assert first["needs_judge"]
    before = (tmp_path / "out" / "puzzlevqa" / "answers.jsonl").read_bytes()
    block = rescore(tmp_path / "out", Judge("wise", judge), Silent())["benchmarks"]["puzzlevqa"]
    assert (tmp_path / "out" / "puzzlevqa" / "answers.jsonl").read_bytes() == before
    assert len(mute.asked) == 8
    assert block["judge"] == "wise"
    assert block["scorers"]["official"]["accuracy"] == pytest.approx(2 / 8)  # the rule alone stays beside it
    assert block["scorers"]["judged"]["accuracy"] == pytest.approx(7 / 8)
    assert block["judge_failed"] == 1
    # Without a judge nothing is asked, and what it said of the same answers stays.
    kept = rescore(tmp_path / "out", None, Silent())["benchmarks"]["puzzlevqa"]
    assert kept == block
    assert first["scorers"]["strict"] == block["scorers"]["strict"]


def test_rescoring_other_rows_is_refused(tmp_path: Path) -> None:
    rows = write_puzzles(tmp_path / "rows")
    measure(rows, tmp_path / "out", ScriptedEngine(half_right))
    text = (rows / "problems.jsonl").read_text()
    (rows / "problems.jsonl").write_text(text.replace("number 3", "figure 3"))
    with pytest.raises(RunStateError, match="not those that were asked"):
        rescore(tmp_path / "out", None, Silent())
    with pytest.raises(InputError, match="no finished evaluation"):
        rescore(tmp_path / "rows", None, Silent())


def test_two_evaluations_are_compared_in_pairs(tmp_path: Path) -> None:
    rows = write_puzzles(tmp_path / "rows")
    measure(rows, tmp_path / "one", ScriptedEngine(half_right))
    measure(rows, tmp_path / "two", ScriptedEngine(lambda number, *_: "(B)" if number else "(A)"))
    found = compare_evaluations(tmp_path / "one", tmp_path / "two", "official")["benchmarks"]["puzzlevqa"]
    assert (found["n"], found["first_better"], found["second_better"]) == (8, 1, 4)
    assert found["difference"] == pytest.approx(3 / 8)
    assert found["p_value"] == pytest.approx(2 * (1 + 5) / 32)
    with pytest.raises(InputError, match="no score by 'judged'"):
        compare_evaluations(tmp_path / "one", tmp_path / "two", "judged")
    with pytest.raises(InputError, match="no benchmark is in both"):
        compare_evaluations(tmp_path / "one", tmp_path / "rows")


def test_prompts_and_settings_are_hashed_into_the_result(tmp_path: Path) -> None:
    rows = write_puzzles(tmp_path / "rows")
    one = measure(rows, tmp_path / "one", ScriptedEngine(half_right))
    same = measure(rows, tmp_path / "same", ScriptedEngine(half_right))
    plain = measure(rows, tmp_path / "plain", ScriptedEngine(half_right), prompt="plain")
    longer = measure(rows, tmp_path / "longer", ScriptedEngine(half_right), max_new_tokens=9)
    assert one["hash"] == same["hash"]
    assert len({one["hash"], plain["hash"], longer["hash"]}) == 3
    assert one["prompts"] == longer["prompts"] != plain["prompts"]


def test_the_summary_keeps_what_earlier_benchmarks_gave(tmp_path: Path) -> None:
    rows = write_puzzles(tmp_path / "rows")
    block = measure(rows, tmp_path / "out", ScriptedEngine(half_right))
    write_summary(tmp_path / "out", {"puzzlevqa": block})
    assert (
        json.loads(json.dumps(read_json(tmp_path / "out" / "summary.json")))["benchmarks"]["puzzlevqa"]
        == block
    )
    assert block["title"] == PUZZLES.title


def test_answers_that_did_not_come_are_asked_for_again(tmp_path: Path) -> None:
    rows = write_puzzles(tmp_path / "rows")
    broken = ScriptedEngine(lambda *_: ("no route", "error"))
    with pytest.raises(VisionR1Error, match="run the same command again"):
        measure(rows, tmp_path / "out", broken)
    half = ScriptedEngine(
        lambda number, *_: half_right(number, 0, 0) if number % 2 else ("no route", "error")
    )
    block = measure(rows, tmp_path / "out", half)
    assert block["error_rate"] == 1 / 2
    whole = ScriptedEngine(half_right)
    block = measure(rows, tmp_path / "out", whole)
    assert sorted(whole.asked) == [
        f"images/{i}.png" for i in (0, 2, 4, 6)
    ]  # the others are never rolled again
    assert block["error_rate"] == 0
    assert block == measure(rows, tmp_path / "other", ScriptedEngine(half_right))


def test_a_roll_that_fails_leaves_the_roll_before_it(tmp_path: Path) -> None:
    def script(number: int, sample: int, before: int) -> str | tuple[str, str]:
        return "The answer is (B)." if before == 0 else ("no route", "error")

    block = measure(
        write_puzzles(tmp_path / "rows"), tmp_path / "out", ScriptedEngine(script), protocol="paper"
    )
    assert block["scorers"]["strict"]["accuracy"] == 1
    assert block["error_rate"] == 0


def test_a_limit_counts_usable_rows_and_what_came_before_them(tmp_path: Path) -> None:
    rows = write_puzzles(tmp_path / "rows", 20, rows={i: {"answer": ""} for i in (1, *range(12, 20))})
    few = load_benchmark(PUZZLES, rows, limit=3)
    assert [item.problem.id for item in few.items] == [f"images/{i}.png" for i in (0, 2, 3)]
    assert (few.rows, few.unusable) == (4, 1)


def test_pixels_and_later_calls_do_not_spoil_a_summary(tmp_path: Path) -> None:
    rows = write_puzzles(tmp_path / "rows")
    evaluation = Evaluation(settings(max_pixels=5000), "plain", 0, None)
    loaded = load_benchmark(PUZZLES, rows, max_pixels=5000)
    block = run_benchmark(
        ScriptedEngine(half_right), PUZZLES, loaded, evaluation, tmp_path / "out" / "puzzlevqa", Silent()
    )
    write_summary(tmp_path / "out", {"puzzlevqa": block})
    assert rescore(tmp_path / "out", None, Silent())["benchmarks"]["puzzlevqa"] == block
    assert set(write_summary(tmp_path / "out", {"chartqa": {"n": 1}})["benchmarks"]) == {
        "puzzlevqa",
        "chartqa",
    }


def test_changed_dials_of_the_papers_protocol_are_named(tmp_path: Path) -> None:
    rows = write_puzzles(tmp_path / "rows")
    block = measure(rows, tmp_path / "out", ScriptedEngine(stubborn), protocol="paper", temperature=0.1)
    assert block["protocol"].endswith("changed from the paper: temperature=0.1")


def test_votes_are_counted_without_the_gold(tmp_path: Path) -> None:
    """Three ways to write the wrong 5 outvote two of the right 4; the gold must not bundle the right ones alone."""
    said = ["The answer is 4.", "4", "5", "The answer is 5.", "5.0"]
    rows = write_puzzles(tmp_path / "rows", 1, rows={0: {"options": [5, 4, 7], "answer": "4"}})
    engine = ScriptedEngine(lambda number, sample, _: said[sample])
    block = measure(rows, tmp_path / "out", engine, samples=5, temperature=1.0)
    strict = block["scorers"]["strict"]
    assert strict["accuracy"] == pytest.approx(2 / 5)
    assert strict["maj_at"]["5"]["value"] == 0


def test_answers_without_a_count_have_no_length(tmp_path: Path) -> None:
    class Uncounting(ScriptedEngine):
        def complete(self, *arguments):
            traces = super().complete(*arguments)
            return [replace(t, segments=(Segment("model", t.text, count=0),)) for t in traces]

    block = measure(write_puzzles(tmp_path / "rows"), tmp_path / "out", Uncounting(half_right))
    assert block["mean_tokens"] is None
    assert block["by_length"] == []


def test_problems_that_are_scored_together_are_compared_together(tmp_path: Path) -> None:
    """Ten variants of each of four seeds: forty rows are four draws."""
    for name, right in (("one", lambda seed: False), ("two", lambda seed: seed < 3)):
        rows = [
            {"id": f"{seed}-{i}", "sample_index": 0, "gold": "1", "group": str(seed), "strict": {"correct": right(seed)}}
            for seed in range(4) for i in range(10)
        ]  # fmt: skip
        write_jsonl(tmp_path / name / "dynamath" / "scores.jsonl", rows)
    found = compare_evaluations(tmp_path / "one", tmp_path / "two")["benchmarks"]["dynamath"]
    assert (found["n"], found["second_better"], found["first_better"]) == (40, 3, 0)
    assert found["difference"] == pytest.approx(3 / 4)
    assert found["p_value"] == pytest.approx(2 / 8)
    assert found["ci95"][1] - found["ci95"][0] >= 0.5


def test_answers_that_are_lost_are_noticed_and_asked_for_again(tmp_path: Path) -> None:
    """A line, a part or the rest of a part is gone: nothing is scored as if it had not been asked."""
    rows = write_puzzles(tmp_path / "rows")
    dials = {"samples": 2, "temperature": 1.0}
    whole = measure(rows, tmp_path / "whole", ScriptedEngine(half_right), **dials)
    measure(rows, tmp_path / "out", ScriptedEngine(half_right), **dials)
    path = tmp_path / "out" / "puzzlevqa" / "answers.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:5] + lines[6:]))
    with pytest.raises(InputError, match="1 of 16 answers are missing"):
        rescore(tmp_path / "out", None, Silent())
    engine = ScriptedEngine(half_right)
    assert measure(rows, tmp_path / "out", engine, **dials) == whole
    assert path.read_text() == "".join(lines)
    assert len(engine.asked) == 2


@pytest.mark.parametrize("left", ["", '{"id": "images/0.png", "sample', None])
def test_a_damaged_part_is_made_again(tmp_path: Path, left: str | None) -> None:
    rows = write_puzzles(tmp_path / "rows")
    whole = measure(rows, tmp_path / "whole", ScriptedEngine(half_right))
    child = multiprocessing.get_context("fork").Process(
        target=measure, args=(rows, tmp_path / "cut", Killer(half_right))
    )
    child.start()
    child.join()
    (shard,) = (tmp_path / "cut" / "puzzlevqa" / "work").glob("*.jsonl")
    shard.write_text(shard.read_text().partition("\n")[0] + "\n" if left is None else left)
    engine = ScriptedEngine(half_right)
    assert measure(rows, tmp_path / "cut", engine) == whole
    assert len(engine.asked) == (7 if left is None else 8)
