"""`eval --benchmark`, `rescore`, `compare` and `benchmarks` as a user meets them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmark_fakes import write_puzzles

from vision_r1.core.files import read_json, read_jsonl

FEW = ("max_new_tokens=4", "bootstrap=100", "batch_size=4")


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vision_r1", *map(str, arguments)],
        capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip


def refused(*arguments: object) -> str:
    result = call(*arguments)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return next(line for line in result.stderr.splitlines() if "error:" in line)


def test_a_model_on_two_folders_then_scored_again_and_compared(
    tmp_path: Path, random_model_dir: Path
) -> None:
    write_puzzles(tmp_path / "data" / "puzzlevqa_small", 5)
    out = tmp_path / "out"
    result = call(
        "eval", random_model_dir, "--benchmark", "all", "--data", tmp_path / "data", "--out", out, *FEW
    )
    assert result.returncode == 0, result.stderr
    header = next(line for line in result.stdout.splitlines() if "benchmark" in line)
    row = next(line for line in result.stdout.splitlines() if "PuzzleVQA" in line)
    assert "chance" in header
    assert "33.3" in row  # three options each
    assert max(len(line) for line in result.stdout.splitlines() if str(out) not in line) <= 80
    block = read_json(out / "summary.json")["benchmarks"]["puzzlevqa"]
    assert (block["n"], block["model"]) == (5, str(random_model_dir))
    answers = [row for _, row in read_jsonl(out / "puzzlevqa" / "answers.jsonl")]
    assert len(answers) == 5
    assert all(answer["tokens"] for answer in answers)
    again = call("rescore", out)
    assert again.returncode == 0, again.stderr
    assert "PuzzleVQA" in again.stdout
    assert read_json(out / "summary.json")["benchmarks"]["puzzlevqa"] == block
    compared = call("compare", out, out)
    assert compared.returncode == 0, compared.stderr
    assert "1.0000" in compared.stdout


def test_sampling_and_the_papers_protocol_reach_the_table(tmp_path: Path, random_model_dir: Path) -> None:
    rows = write_puzzles(tmp_path / "rows", 3)
    place = ("--benchmark", f"puzzlevqa={rows}")
    sampled = call(
        "eval", random_model_dir, *place, "--out", tmp_path / "a", *FEW, "samples=3", "temperature=1.0"
    )
    assert "pass@1 over 3 sample(s), T=1" in " ".join(sampled.stdout.split()), sampled.stderr
    paper = call("eval", random_model_dir, *place, "--out", tmp_path / "b", *FEW, "--protocol", "paper")
    text = " ".join(paper.stdout.split())
    assert "not pass@1" in text, paper.stderr
    assert "strict of the first roll alone, which is pass@1" in text
    assert read_json(tmp_path / "b" / "puzzlevqa" / "summary.json")["mean_rolls"] == 5  # none ever ends


def test_a_prompt_longer_than_the_context_is_counted_and_said(tmp_path: Path, random_model_dir: Path) -> None:
    rows = write_puzzles(tmp_path / "rows", 4, rows={1: {"question": "word " * 4000}})
    out = tmp_path / "out"
    result = call("eval", random_model_dir, "--benchmark", "puzzlevqa", "--data", rows, "--out", out, *FEW)
    assert "25.0% of the answers did not come" in result.stdout, result.stderr
    answers = [row for _, row in read_jsonl(out / "puzzlevqa" / "answers.jsonl")]
    assert [answer["stop_reason"] == "error" for answer in answers] == [False, True, False, False]
    assert "exceed the context" in answers[1]["error"]


def test_every_benchmark_is_listed() -> None:
    shown = call("benchmarks").stdout
    for title in (
        "MathVista",
        "MathVerse",
        "MM-Math",
        "DynaMath",
        "MATH-Vision",
        "We-Math",
        "Geometry3K",
        "ChartQA",
    ):
        assert title in shown
    for title in ("TabMWP", "PuzzleVQA", "LogicVista", "MMStar", "HallusionBench", "MME"):
        assert title in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to evaluate on"),
        (("--benchmark", "mathvist"), "did you mean 'mathvista'"),
        (("--benchmark", "puzzlevqa=nowhere"), "no such folder"),
        (("--benchmark", "all", "--data", "nowhere"), "no such folder"),
        (("--benchmark", "puzzlevqa", "--benchmark", "puzzlevqa"), "named twice"),
        (("--benchmark", "puzzlevqa", "--protocol", "papr"), "did you mean 'paper'"),
        (("--benchmark", "puzzlevqa", "--engine", "vlm"), "did you mean 'vllm'"),
        (("--benchmark", "puzzlevqa", "samples=4"), "greedy"),
        (("--benchmark", "puzzlevqa", "rerolls=2", "temperature=1.0"), "never rolled again"),
        (("--benchmark", "puzzlevqa", "sample=4"), "did you mean 'samples'"),
        (("--benchmark", "puzzlevqa", "vllm.dtype=float32"), "for another engine"),
        (("--benchmark", "puzzlevqa", "--endpoint", "localhost:8000"), "not an http or https address"),
        (
            ("--benchmark", "puzzlevqa", "--endpoint", "http://a/v1", "endpoint.key_env=sk-1"),
            "not the name of an env",
        ),
        (("--benchmark", "puzzlevqa", "judge.key_env=KEY"), "for a judge"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    rows = write_puzzles(tmp_path / "puzzlevqa", 2)
    given = list(arguments)
    if "--data" not in given:
        given += ["--data", str(rows)] if given else []
    assert words in refused("eval", "tiny:base", "--out", tmp_path / "out", *given)
    assert not (tmp_path / "out" / "puzzlevqa").exists()


def test_folders_that_cannot_be_told_apart_or_are_missing(tmp_path: Path) -> None:
    for name in ("puzzlevqa_a", "puzzlevqa_b"):
        write_puzzles(tmp_path / name, 2)
    data = ("--data", tmp_path, "--out", tmp_path / "out")
    assert "several folders of puzzlevqa" in refused("eval", "tiny:base", "--benchmark", "puzzlevqa", *data)
    several = ("--benchmark", "chartqa", "--benchmark", "mme")
    assert "no folder of chartqa" in refused("eval", "tiny:base", *several, *data)


def test_folders_of_other_things_are_left_alone(tmp_path: Path) -> None:
    assert "holds no finished evaluation" in refused("rescore", tmp_path)
    assert "no benchmark is in both" in refused("compare", tmp_path, tmp_path)
    (tmp_path / "out" / "puzzlevqa").mkdir(parents=True)
    (tmp_path / "out" / "puzzlevqa" / "mine.txt").write_text("mine")
    rows = write_puzzles(tmp_path / "rows", 2)
    line = refused("eval", "tiny:base", "--benchmark", f"puzzlevqa={rows}", "--out", tmp_path / "out", *FEW)
    assert "holds other files" in line
    assert (tmp_path / "out" / "puzzlevqa" / "mine.txt").read_text() == "mine"
