"""The soft rule, the user's own reward, and grading a file."""

import json

import pytest

from vision_r1.core.errors import InputError
from vision_r1.grading import grade_file, load_reward
from vision_r1.problems.problem import Problem

PROBLEM = Problem("p7", "5 + 7?", "12")
GOOD = "<think>x</think><answer>12</answer>"


@pytest.mark.parametrize(
    ("completion", "stop", "reward", "reason"),
    [
        (GOOD, "eos", 1.0, "right"),
        ("<think>x</think><answer>13</answer>", "eos", 0.5, "wrong"),
        ("The answer is 12", "eos", 0.5, "format:start"),
        ("The answer is 13", "eos", 0.0, "format:start"),
        (GOOD, "length", 0.0, "length"),
    ],
)
def test_soft_rule(completion, stop, reward, reason):
    result = load_reward("soft")(completion, PROBLEM, stop)
    assert (result.reward, result.reason) == (reward, reason)


def test_built_in_hard_rule():
    assert load_reward("hfrrf")(GOOD, PROBLEM, "eos").reward == 1.0
    assert load_reward("hfrrf")("12", PROBLEM, "eos").reason == "format:start"


def user(tmp_path, body, name="fn"):
    path = tmp_path / "my.py"
    path.write_text(body, encoding="utf-8")
    return f"{path}:{name}"


@pytest.mark.parametrize(
    ("value", "reward", "reason"),
    [
        ("0.25", 0.25, "user"),
        ("problem.answer in completion", 1.0, "user"),
        ("{'reward': -1, 'reason': stop_reason}", -1.0, "eos"),
        ("{'reward': 2}", 2.0, "user"),
    ],
)
def test_user_reward(tmp_path, value, reward, reason):
    spec = user(tmp_path, f"def fn(completion, problem, stop_reason):\n    return {value}\n")
    result = load_reward(spec)(GOOD, PROBLEM, "eos")
    assert (result.reward, result.reason, result.format_ok) == (reward, reason, True)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("float('nan')", "nan"),
        ("float('inf')", "inf"),
        ("'1'", "str, not a number"),
        ("None", "NoneType"),
        ("{'rewrad': 1}", "rewrad"),
        ("{'reward': 1, 'reason': 3}", "not text"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_bad_user_reward_names_file_function_and_problem(tmp_path, value, message):
    spec = user(tmp_path, f"def fn(completion, problem, stop_reason):\n    return {value}\n")
    with pytest.raises(InputError, match=message) as caught:
        load_reward(spec)(GOOD, PROBLEM, "eos")
    assert spec in caught.value.line()
    assert "problem p7" in caught.value.line()


@pytest.mark.parametrize(
    ("body", "name", "message"),
    [
        ("x = 1\n", "fn", "no function 'fn'"),
        ("fn = 1\n", "fn", "no function 'fn'"),
        ("def fn(a):\n    return 1\n", "fn", "three arguments"),
        ("def fn(:\n", "fn", "SyntaxError"),
        ("raise RuntimeError('boom')\n", "fn", "boom"),
    ],
)
def test_bad_user_file(tmp_path, body, name, message):
    with pytest.raises(InputError, match=message) as caught:
        load_reward(user(tmp_path, body, name))
    assert "my.py" in caught.value.line()


@pytest.mark.parametrize("spec", ["hffrf", "my.py", "my.txt:fn", "my.py:", "/nowhere/my.py:fn"])
def test_unknown_reward(spec):
    with pytest.raises(InputError):
        load_reward(spec)


def write(path, *rows):
    path.write_text(
        "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def test_file(tmp_path, capsys):
    path = write(
        tmp_path / "in.jsonl",
        {"id": 1, "gold": 12, "response": GOOD, "benchmark": "a", "more": [1]},
        {"id": "b", "gold": "4", "response": "C", "options": [6, "3", 4], "benchmark": "a"},
        {
            "id": "c",
            "gold": "2.0944",
            "response": "2.09",
            "answer_type": "float",
            "precision": 2.0,
            "unit": None,
        },
        {"id": "d", "gold": "12", "response": ""},
        {"id": "e", "gold": "12", "response": "\u001b[31m13"},
    )
    out = tmp_path / "out.jsonl"
    summary = grade_file(path, out)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [(row["id"], row["correct"]) for row in rows] == [
        (1, True),
        ("b", True),
        ("c", True),
        ("d", False),
        ("e", False),
    ]
    assert set(rows[0]) == {
        "id",
        "correct",
        "status",
        "extracted",
        "normalized_gold",
        "normalized_answer",
        "reason",
    }
    assert (summary.n, summary.accuracy, summary.benchmarks) == (5, 0.6, {"a": (2, 2)})
    assert summary.statuses == {"right": 3, "unparseable": 1, "wrong": 1}
    grade_file(path, None)
    printed = capsys.readouterr().out
    assert [json.loads(line) for line in printed.splitlines()] == rows
    assert "\u001b" not in printed


GOOD_ROW = {"id": 1, "gold": "12", "response": "12"}


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"gold": "12", "response": "12"}, "field id"),
        ({"id": 2, "response": "12"}, "field gold"),
        ({"id": 2, "gold": " ", "response": "12"}, "field gold"),
        ({"id": 2, "gold": None, "response": "12"}, "field gold"),
        ({"id": 2, "gold": "12"}, "field response"),
        ({"id": 2, "gold": "12", "response": ["12"]}, "field response"),
        ({"id": 2, "gold": "12", "response": "12", "answer_type": "numbr"}, "field answer_type"),
        ({"id": 2, "gold": "12", "response": "12", "options": "A"}, "field 'options'"),
        ({"id": 2, "gold": "12", "response": "12", "precision": 1.5}, "field precision"),
        ({"id": 2, "gold": "12", "response": "12", "precision": -1}, "field precision"),
        ({"id": 1, "gold": "12", "response": "12"}, "field id"),
    ],
)
def test_a_bad_row_is_listed_counted_and_never_right(tmp_path, row, field):
    path = write(tmp_path / "in.jsonl", GOOD_ROW, row, {**GOOD_ROW, "id": 9})
    out = tmp_path / "out.jsonl"
    summary = grade_file(path, out)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["status"] for row in rows] == ["right", "unparseable", "right"]
    assert (rows[1]["correct"], rows[1]["reason"]) == (False, "bad_row")
    (line,) = summary.bad
    assert f"{path}, line 2" in line
    assert field in line
    assert summary.accuracy == 2 / 3
    with pytest.raises(InputError, match="not one of 1 rows"):
        grade_file(write(tmp_path / "bad.jsonl", row if field != "field id" else {"gold": "1"}), None)


@pytest.mark.parametrize("line", ["{broken\n", "[1]\n"])
def test_a_line_that_is_no_object_stops_and_leaves_the_old_output(tmp_path, line):
    path = write(tmp_path / "in.jsonl", GOOD_ROW, line)
    old = '{"id": 0, "correct": true, "status": "right", "extracted": "4"}\n'
    out = write(tmp_path / "out.jsonl", old)
    with pytest.raises(InputError, match="line 2"):
        grade_file(path, out)
    assert out.read_text(encoding="utf-8") == old


def test_odd_rows_are_noted_and_golds_may_be_lists_or_truths(tmp_path):
    path = write(
        tmp_path / "in.jsonl",
        {"id": 1, "gold": "B", "response": "B", "options": ["4", "5", "5"]},
        {"id": 2, "gold": ["2", 3], "response": "2, 3", "answer_type": "list"},
        {"id": 3, "gold": True, "response": "Yes"},
    )
    summary = grade_file(path, tmp_path / "out.jsonl")
    assert summary.statuses == {"right": 3}
    assert summary.noted == (f"{path}, line 1: options repeat",)
    assert summary.lines()[-1] == "3 rows: 3 right"


def test_empty_missing_and_self_overwriting_files(tmp_path):
    path = write(tmp_path / "in.jsonl", "\n")
    for source, out in (
        (path, None),
        (tmp_path / "none.jsonl", None),
        (write(tmp_path / "x.jsonl", GOOD_ROW), tmp_path / "x.jsonl"),
    ):
        with pytest.raises(InputError):
            grade_file(source, out)
