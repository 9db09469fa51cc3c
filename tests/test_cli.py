"""The command line as a user meets it: one line on bad input, exit code 2, nothing lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from vision_r1.recipes import build

COMMAND = [sys.executable, "-m", "vision_r1"]


def call(*arguments, cwd=None):
    env = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, env=env, check=False
    )


def refused(*arguments, cwd=None):
    """The single line of an error; asserts exit code 2 and no traceback."""
    result = call(*arguments, cwd=cwd)
    assert result.returncode == 2, result.stdout + result.stderr
    lines = [line for line in result.stderr.splitlines() if "error:" in line]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    return lines[0]


def test_help_lists_every_command():
    out = call("--help").stdout
    for name in (
        "list",
        "show",
        "run",
        "grade",
        "eval",
        "infer",
        "report",
        "init",
        "study",
        "doctor",
        "tiny",
    ):
        assert name in out


def test_list_and_show():
    assert "2503.06749" in call("list").stdout
    shown = call("show", "vision-r1", "stages.sft.batch_size=7", "--scale", "7b").stdout
    assert yaml.safe_load(shown)["stages"]["sft"]["batch_size"] == 7
    assert yaml.safe_load(shown)["model"] == "Qwen/Qwen2.5-VL-7B-Instruct"


def test_doctor_prints_versions_devices_and_advice():
    out = call("doctor").stdout
    for word in ("python", "torch", "transformers", "trl", "cpu", "cuda", "deepspeed", "->", "tiny:base"):
        assert word in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "vision-r2"], "did you mean 'vision-r1'"),
        (["run", "vision-r1", "stages.sft.batch_sizes=3"], "did you mean 'batch_size'"),
        (["run", "vision-r1", "stages.sfft.batch_size=3"], "did you mean 'sft'"),
        (["run", "vision-r1", "stages.sft.batch_size=many"], r"error: stages\.sft\.batch_size: "),
        (["run", "vision-r1", "stages.sft.lerning_rate=1"], r"error: stages\.sft\.lerning_rate: .*'learning_rate'"),
        (["run", "vision-r1", "seed=2020-13-45"], "error: seed: .*2020-13-45"),
        (["run", "vision-r1", "--seed", "-1"], "--seed: -1 is below 0"),
        (["tiny", "train", "base", "--out", "x", "--shrink", "nan"], "--shrink: nan is not above 0"),
        (["tiny", "train", "base", "--out", "x", "--shrink", "-1"], "--shrink: -1.0 is not above 0"),
        (["eval", "tiny:base", "--data", ".", "--out", "x"], "not a YAML text file"),
        (["run", "vision-r1", "nonsense"], "not KEY=VALUE"),
        (["show", "vision-r1", "--scale", "8b"], "unknown scale"),
        (["run", "missing.yaml"], "no such file"),
        (["run", "vision-r1", "stages.rl.trl={epslon_high: 1}"], "did you mean 'epsilon_high'"),
        (["run", "vision-r1", "model=/no/model"], "no such model"),
        (["infer", "tiny:base", "missing.png", "What?"], "missing.png"),
        (["study", "nothing", "somewhere"], "unknown study"),
        (["report", "nowhere"], "nowhere"),
    ],
)  # fmt: skip
def test_bad_arguments_give_one_line(arguments, expected, tmp_path):
    import re

    line = refused(*arguments, cwd=tmp_path)
    assert re.search(expected, line), line


def test_eval_refuses_a_binary_config_and_an_out_that_is_a_file(tmp_path):
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00\x81")
    (tmp_path / "good.yaml").write_text("kind: tiny_world\nsplit: test\nn: 1\n")
    assert "bad.yaml" in refused(
        "eval", "tiny:base", "--data", tmp_path / "bad.yaml", "--out", tmp_path / "x"
    )
    (tmp_path / "note.txt").write_text("mine")
    line = refused("eval", "tiny:base", "--data", tmp_path / "good.yaml", "--out", tmp_path / "note.txt")
    assert "is a file" in line
    assert (tmp_path / "note.txt").read_text() == "mine"


FAILING = """
import sys
from vision_r1 import cli
def fail():
    raise {error}
cli.app.command("fail")(fail)
sys.argv = ["vision-r1", "fail"]
cli.main()
"""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ('OSError(28, "No space left on device", "a/b")', "the disk is full"),
        ('OSError(36, "File name too long", "abc")', "abc: File name too long"),
        ('PermissionError(13, "Permission denied", "/x")', "name a folder you may write to"),
        ('__import__("safetensors").SafetensorError("I/O error: No space left on device")', "the disk is full"),
        ('__import__("safetensors").SafetensorError("invalid header")', "invalid header"),
        ('RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")', "unexpected pos"),
    ],
)  # fmt: skip
def test_faults_of_the_disk_are_one_line(error, expected):
    call = [sys.executable, "-c", FAILING.format(error=error)]
    result = subprocess.run(call, capture_output=True, text=True, check=False)
    assert result.returncode == 2, result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert expected in result.stderr


def test_nothing_of_the_libraries_comes_before_the_error(random_model_dir, tmp_path):
    rows = [{"question": "What?" * 4000, "answer": "1"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "data.yaml").write_text("kind: file\npath: rows.jsonl\n")
    result = call("eval", random_model_dir, "--data", tmp_path / "data.yaml", "--out", tmp_path / "out")
    assert result.returncode == 2, result.stderr
    assert "Loading weights" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith("vision-r1: error:")
    assert not [line for line in result.stderr.splitlines() if "it/s" in line or "Warning" in line]


def test_the_seed_of_a_recipe_file_can_be_set_and_its_scale_not(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(call("show", "vision-r1").stdout)
    assert "\nseed: 0\n" in call("show", str(path)).stdout
    assert "\nseed: 5\n" in call("show", str(path), "--seed", "5").stdout
    assert "a recipe file has its own scale" in refused("show", path, "--scale", "7b")


def test_a_broken_recipe_file_names_its_line(tmp_path):
    (tmp_path / "bad.yaml").write_text("recipe: x\nstages: [1, 2\n")
    assert "bad.yaml, line" in refused("run", tmp_path / "bad.yaml")


def test_grade_writes_verdicts_and_names_bad_rows(tmp_path):
    rows = [
        {"id": "1", "gold": "18", "response": "<think> x </think><answer> Final Answer:18 </answer>"},
        {"id": "2", "gold": "18", "response": "It is 17 or 18."},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert call("grade", path, "--out", tmp_path / "out.jsonl").returncode == 0
    verdicts = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(v["id"], v["correct"]) for v in verdicts] == [("1", True), ("2", False)]
    path.write_text(path.read_text() + '{"id": "3", "gold": "1"}\n')
    result = call("grade", path, "--out", tmp_path / "out.jsonl")
    assert result.returncode == 2
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("bad row:")]
    assert "rows.jsonl, line 3" in line
    assert "response" in line
    assert "3 rows: 1 right, 1 unparseable, 1 wrong; 1 bad" in result.stderr
    verdicts = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(v["id"], v["correct"], v["reason"] == "bad_row") for v in verdicts] == [
        ("1", True, False), ("2", False, False), ("3", False, True),
    ]  # fmt: skip


def test_infer_answers_about_a_picture(random_model_dir, tmp_path):
    Image.new("RGB", (90, 60), (200, 10, 10)).save(tmp_path / "a.png")
    result = call("infer", random_model_dir, tmp_path / "a.png", "What is this?", "--max-new-tokens", "5")
    assert result.returncode == 0, result.stderr
    assert "cut off at 5 tokens" in result.stderr or result.stdout.strip()


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n broken"])
def test_infer_refuses_a_broken_picture(random_model_dir, tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    assert "a.png" in refused("infer", random_model_dir, tmp_path / "a.png", "What?")


def user_folder(folder: Path, rows: int = 30) -> Path:
    folder.mkdir()
    lines = ["image,question,answer"]
    for index in range(rows):
        Image.new("RGB", (60, 40), (index * 8 % 256, 50, 90)).save(folder / f"{index}.png")
        lines.append(f"{index}.png,Which number is this?,{index % 5}")
    (folder / "questions.csv").write_text("\n".join(lines))
    return folder


def test_init_makes_a_config_that_resolves_and_never_overwrites(tmp_path):
    folder = user_folder(tmp_path / "mine")
    result = call("init", folder)
    assert result.returncode == 0, result.stderr
    config = folder / "vision-r1.yaml"
    assert call("show", config).returncode == 0
    before = config.read_text()
    assert "exists already" in refused("init", folder)
    assert config.read_text() == before


def test_eval_takes_the_test_problems_of_a_recipe(tmp_path, random_model_dir):
    folder = user_folder(tmp_path / "mine")
    assert call("init", folder).returncode == 0
    config = folder / "vision-r1.yaml"
    few = ["sampled_problems=0", "max_new_tokens=4", "image_use=false"]
    result = call("eval", random_model_dir, "--data", config, "--out", tmp_path / "out", *few)
    assert result.returncode == 0, result.stderr
    recipe = yaml.safe_load(config.read_text())
    recipe["data"]["test"] = None
    config.write_text(yaml.safe_dump(recipe))
    line = refused("eval", random_model_dir, "--data", config, "--out", tmp_path / "other")
    assert "data.test: the recipe has no test problems" in line


def test_the_default_run_folder_tells_projects_apart(tmp_path):
    from vision_r1.cli import _run_name

    resolved = build("vision-r1", seed=3)
    (tmp_path / "mine").mkdir()
    for name in ("vision-r1.yaml", "short.yaml"):
        (tmp_path / "mine" / name).touch()
    assert _run_name("vision-r1", resolved) == "vision-r1-tiny-seed3"
    assert _run_name(str(tmp_path / "mine" / "vision-r1.yaml"), resolved) == "mine-seed3"
    assert _run_name(str(tmp_path / "mine" / "short.yaml"), resolved) == "short-seed3"


def test_files_of_others_are_not_written_over(tmp_path):
    rows, notes = tmp_path / "rows.jsonl", tmp_path / "notes.txt"
    rows.write_text('{"id": 1, "gold": "4", "response": "4"}\n')
    notes.write_text("years of work")
    assert "is another file" in refused("grade", rows, "--out", notes)
    assert "is another file" in refused("report", tmp_path / "a", tmp_path / "b", "--out", notes)
    assert notes.read_text() == "years of work"
    assert "is for several runs" in refused("report", tmp_path, "--out", tmp_path / "x.md")
    assert "named twice" in refused("report", tmp_path, tmp_path)
    for _ in range(2):  # its own verdicts may be made anew
        assert call("grade", rows, "--out", tmp_path / "verdicts.jsonl").returncode == 0


@pytest.mark.slow
def test_what_init_makes_runs(tmp_path):
    folder = user_folder(tmp_path / "mine")
    assert call("init", folder).returncode == 0
    small = ["stages.rl.schedule.0.steps=1", "stages.rl.schedule.1.steps=1", "stages.sft.max_epochs=8"]
    result = call("run", folder / "vision-r1.yaml", *small, "--out", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "run" / "results.json").read_text())["variants"]["vision_r1"]["n"] > 0
    assert (tmp_path / "run" / "report.html").exists()
