"""Comparing two traces.jsonl."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_r1.core.errors import InputError
from vision_r1.core.files import write_jsonl
from vision_r1.evals.compare import compare_traces


def traces(path: Path, grades: dict[str, bool], decoding: str = "greedy", gold: str = "1") -> Path:
    write_jsonl(
        path,
        [{"problem_id": k, "answer": gold, "decoding": decoding, "correct": v} for k, v in grades.items()],
    )
    return path


def test_difference_is_paired_whatever_the_order_of_the_rows(tmp_path: Path) -> None:
    grades = {f"p{i}": i % 2 == 0 for i in range(100)}
    better = {name: right or index < 20 for index, (name, right) in enumerate(grades.items())}
    first = traces(tmp_path / "a.jsonl", grades)
    second = traces(tmp_path / "b.jsonl", dict(reversed(better.items())))
    found = compare_traces(first, second)
    assert (found["n"], found["first"], found["second"]) == (100, 0.5, 0.6)
    assert found["difference"] == pytest.approx(0.1)
    assert found["ci95"][0] > 0
    assert (found["first_better"], found["second_better"]) == (0, 10)
    assert found["p_value"] == pytest.approx(2 / 2**10)
    assert compare_traces(first, second) == found


def test_samples_are_averaged_within_their_problem(tmp_path: Path) -> None:
    rows = [
        {"problem_id": f"p{i % 4}", "answer": "1", "decoding": "sampled", "correct": i < 4} for i in range(8)
    ]
    write_jsonl(tmp_path / "a.jsonl", rows)
    write_jsonl(tmp_path / "b.jsonl", [{**row, "correct": True} for row in rows])
    found = compare_traces(tmp_path / "a.jsonl", tmp_path / "b.jsonl", decoding="sampled")
    assert (found["n"], found["first"], found["second"]) == (4, 0.5, 1.0)


def test_traces_of_other_problems_are_refused(tmp_path: Path) -> None:
    first = traces(tmp_path / "a.jsonl", {"p0": True, "p1": False})
    with pytest.raises(InputError, match=r"b.jsonl.*'p1' is not among"):
        compare_traces(first, traces(tmp_path / "b.jsonl", {"p0": True}))
    with pytest.raises(InputError, match="another gold"):
        compare_traces(first, traces(tmp_path / "c.jsonl", {"p0": True, "p1": True}, gold="2"))
    with pytest.raises(InputError, match="no sampled completions"):
        compare_traces(first, first, decoding="sampled")
    (tmp_path / "d.jsonl").write_text('{"problem_id": "p0"}\n')
    with pytest.raises(InputError, match=r"line 1: the row has no 'answer'"):
        compare_traces(first, tmp_path / "d.jsonl")
