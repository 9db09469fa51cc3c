"""A whole run on small models: what it writes, that it can be killed, repeated, continued and refused."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from vision_r1.core.config import apply_overrides, to_plain, validate
from vision_r1.core.errors import RunStateError, VisionR1Error
from vision_r1.models.packing import Sharing
from vision_r1.pipeline import evaluation
from vision_r1.pipeline.config import Recipe
from vision_r1.pipeline.run import run_recipe
from vision_r1.pipeline.study import run_study, shorter_half
from vision_r1.problems.chat import ChatRow, load_chat_rows
from vision_r1.problems.config import ChatData
from vision_r1.problems.contamination import overlap_block, overlap_line, read_record
from vision_r1.problems.load import load_problems
from vision_r1.recipes import build
from vision_r1.train.resume import read_rows

SMALL = [
    "data.cold_start.n=150", "data.rl.n=40", "data.test.n=27", "data.validation.n=18", "data.generalisation={}",
    "stages.construct.leak_test_n=9", "stages.construct.min_kept=16", "stages.construct.batch_size=32",
    "stages.sft.max_epochs=1", "stages.sft.batch_size=16", "stages.sft.tokens_per_pass=4096", "stages.sft.eval_steps=2",
    "stages.rl.length_problems=9", "stages.rl.length_cap=40", "stages.rl.prompts_per_step=2", "stages.rl.save_steps=2",
    "stages.rl.schedule.0={name: ptst_1, max_completion_length: 24, group_size: 4, steps: 3, learning_rate: 1.0e-3}",
    "stages.rl.schedule.1={name: ptst_2, max_completion_length: 32, group_size: 2, steps: 3, learning_rate: 1.0e-3}",
    "stages.evaluate.sampled_problems=4", "stages.evaluate.batch_size=32", "threads=1",
]  # fmt: skip
SCRIPT = """
import sys, yaml
from pathlib import Path
from vision_r1.core.config import validate
from vision_r1.pipeline.config import Recipe
from vision_r1.pipeline.run import run_recipe
run_recipe(validate(Recipe, yaml.safe_load(Path(sys.argv[1]).read_text())), Path(sys.argv[2]))
"""


def small(model, *overrides):
    plain = to_plain(build("vision-r1"))
    return validate(Recipe, apply_overrides(plain, [*SMALL, f"model={model}", *overrides]))


def weights(run, stage="ptst_2"):
    return load_file(run / "stages" / stage / "model" / "model.safetensors")


def training_record(run, stage="ptst_2"):
    return (run / "stages" / stage / "model" / "training_data.parquet").read_bytes()


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def comparable(run):
    """The results without times and memory."""
    results = json.loads((run / "results.json").read_text())
    return {k: v for k, v in results.items() if k not in ("seconds", "peak_rss_mb")}


@pytest.fixture(scope="module")
def finished(random_model_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    run_recipe(small(random_model_dir), out)
    return out


def test_results_have_what_the_issue_asks_for(finished):
    results = json.loads((finished / "results.json").read_text())
    assert list(results["variants"]) == ["base", "base_think", "cold_start", "ptst_1", "vision_r1"]
    for block in results["variants"].values():
        for key in (
            "accuracy",
            "ci95",
            "pass_at_8",
            "format_rate",
            "truncation_rate",
            "mean_tokens",
            "by_family",
        ):
            assert key in block
        assert block["n"] == 27
    assert {"blank", "swapped", "question_only"} <= set(results["image_use"])
    assert {"construct", "sft", "ptst_1", "ptst_2", "evaluate"} <= set(results["seconds"])
    assert results["peak_rss_mb"] > 100
    assert results["seed"] == 0
    assert results["versions"]["torch"]


def test_each_stage_records_what_it_and_those_before_it_trained_on(finished, random_model_dir):
    records = {name: read_record(finished / "stages" / name) for name in ("sft", "ptst_1", "ptst_2")}
    assert [{row.source for row in record.rows} for record in records.values()] == [
        {"sft"}, {"sft", "ptst_1"}, {"sft", "ptst_1", "ptst_2"},
    ]  # fmt: skip
    assert {record.start for record in records.values()} == {random_model_dir.name}
    cold = load_chat_rows(
        ChatData(path=finished / "stages" / "construct" / "vision_r1_cold.json", layout="sharegpt")
    )
    learned = overlap_block(str(finished / "stages" / "sft"), [row.as_problem() for row in cold])
    summary = json.loads((finished / "stages" / "sft" / "summary.json").read_text())
    assert learned["both"] >= summary["rows"] > 0


def test_a_model_that_is_asked_what_it_was_trained_on_is_reported(finished):
    recipe = small("tiny:base")
    model, seen = str(finished / "stages" / "ptst_2"), load_problems(recipe.data.rl)
    block = overlap_block(model, seen)
    asked = sum(row.source.startswith("ptst") for row in read_record(finished / "stages" / "ptst_2").rows)
    assert block["both"] == block["same_image"] == asked == 3 * 2 * 2
    assert {(e["kind"], e["source"]) for e in block["examples"]} >= {("both", "ptst_1"), ("both", "ptst_2")}
    assert f"{block['found']} of 40 problems are in the model's recorded training data" in overlap_line(
        block, "x"
    )
    held_out = overlap_block(model, load_problems(recipe.data.test))
    assert held_out["both"] == held_out["same_image"] == 0


def test_a_finished_run_is_left_as_it_is(finished, random_model_dir):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file() and p.name != ".lock"}
    run_recipe(small(random_model_dir), finished)
    after = {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file() and p.name != ".lock"}
    assert before == after


@pytest.mark.parametrize("damage", ["{", "null", '{"variants": 3}'])
def test_damaged_results_of_a_finished_run_are_made_again(finished, random_model_dir, tmp_path, damage):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "results.json").write_text(damage)
    run_recipe(small(random_model_dir), run)
    assert comparable(run) == comparable(finished)


def test_a_damaged_stage_is_named_with_the_way_to_mend(finished, random_model_dir, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    shutil.rmtree(run / "stages" / "ptst_1" / "model")
    with pytest.raises(
        RunStateError, match=r"ptst_1: the stage is finished, but its model is gone -- remove"
    ):
        run_recipe(small(random_model_dir), run)
    shutil.copytree(finished / "stages" / "ptst_1" / "model", run / "stages" / "ptst_1" / "model")
    (run / "results.json").unlink()
    (run / "stages" / "sft" / "done.json").write_text("[")
    with pytest.raises(
        RunStateError, match=r"done.json: the record of the finished stage is damaged -- remove"
    ):
        run_recipe(small(random_model_dir), run)


def test_data_that_change_under_a_run_are_refused_and_a_changed_reward_is_put_on_record(
    random_model_dir, tmp_path
):
    table, reward, run = tmp_path / "qa.jsonl", tmp_path / "my.py", tmp_path / "run"
    rows = [{"id": str(i), "question": f"What is {i}+1?", "answer": str(i + 1)} for i in range(8)]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reward.write_text("def fn(completion, problem, stop_reason):\n    raise ValueError('a bug')\n")
    data = f"{{kind: file, path: {table}}}"
    recipe = small(
        random_model_dir, f"data.rl={data}", f"data.test={data}", "data.generalisation={}",
        f"stages.rl.from={random_model_dir}", f"stages.rl.reward={reward}:fn", "stages.evaluate.image_use=false",
    )  # fmt: skip
    with pytest.raises(VisionR1Error, match="a bug"):
        run_recipe(recipe, run)
    changed = [{**row, "answer": "7"} for row in rows]
    table.write_text("".join(json.dumps(row) + "\n" for row in changed))
    with pytest.raises(
        RunStateError, match=r"^data\.rl\.path: its file has changed since the run was started"
    ):
        run_recipe(recipe, run)
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reward.write_text("def fn(completion, problem, stop_reason):\n    return len(completion) % 2\n")
    run_recipe(recipe, run)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    (dial,) = [event for event in events if event["event"] == "dial changed"]
    assert dial["key"].startswith("stages.rl.reward") and dial["before"] != dial["after"]


def test_another_run_in_the_same_place_is_refused_and_nothing_is_lost(finished, random_model_dir):
    before = (finished / "config.yaml").read_text()
    for override in ("seed=1", "recipe=other", "stages.rl.beta=0.5"):
        with pytest.raises(RunStateError):
            run_recipe(small(random_model_dir, override), finished)
    with pytest.raises(RunStateError, match="finished already"):
        run_recipe(small(random_model_dir, "stages.rl.schedule.1.steps=9"), finished)
    assert (finished / "config.yaml").read_text() == before


def test_a_changed_dial_is_taken_and_recorded(finished, random_model_dir, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    for name in ("ptst_2", "evaluate"):
        shutil.rmtree(run / "stages" / name)
    (run / "results.json").unlink()
    run_recipe(small(random_model_dir, "stages.rl.schedule.1.steps=2"), run)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    changed = [event for event in events if event["event"] == "dial changed"]
    assert [(e["key"], e["before"], e["after"]) for e in changed] == [("stages.rl.schedule.1.steps", 3, 2)]
    assert json.loads((run / "stages" / "ptst_2" / "done.json").read_text())["summary"]["steps"] == 2
    assert equal(weights(run, "ptst_1"), weights(finished, "ptst_1"))


def test_rl_can_start_from_a_model_made_elsewhere(finished, random_model_dir, tmp_path, monkeypatch):
    run, checked = tmp_path / "run", []
    monkeypatch.setattr(evaluation, "check_image_use", lambda model, _: checked.append(model))
    run_recipe(small(random_model_dir, f"stages.rl.from={finished / 'stages' / 'sft'}"), run)
    # Every stage's start is checked, so that a kill between two stages changes nothing.
    assert checked == [
        str(finished / "stages" / "sft" / "model"),
        str(run / "stages" / "ptst_1" / "model"),
    ]
    assert not (run / "stages" / "construct").exists()
    assert not (run / "stages" / "sft").exists()
    assert equal(weights(run), weights(finished))
    assert training_record(run) == training_record(finished)


def test_a_model_given_to_evaluate_is_the_one_measured(random_model_dir, tmp_path):
    small_options = (
        "stages.evaluate.image_use=false",
        "stages.evaluate.max_new_tokens=8",
        f"stages.evaluate.from={random_model_dir}",
    )
    results = run_recipe(small(random_model_dir, *small_options), tmp_path / "run")
    assert list(results["variants"]) == ["base", "base_think", "vision_r1"]
    assert results["variants"]["vision_r1"]["accuracy"] == results["variants"]["base"]["accuracy"]
    record = json.loads((tmp_path / "run" / "stages" / "evaluate" / "done.json").read_text())
    assert record["sessions"] == 1
    assert list(results["seconds"]) == ["evaluate"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_and_another_seed_another(finished, random_model_dir, tmp_path):
    run_recipe(small(random_model_dir), tmp_path / "again")
    assert equal(weights(tmp_path / "again"), weights(finished))
    assert training_record(tmp_path / "again") == training_record(finished)
    assert comparable(tmp_path / "again") == comparable(finished)
    run_recipe(small(random_model_dir, "seed=1"), tmp_path / "other")
    assert not equal(weights(tmp_path / "other"), weights(finished))


@pytest.mark.slow
def test_with_sharing_off_the_run_takes_the_same_steps(finished, random_model_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(Sharing, "on", True)  # put back afterwards
    run_recipe(small(random_model_dir, "share_prompts=false"), tmp_path / "off")
    assert not Sharing.on
    for unit in ("sft", "ptst_1", "ptst_2"):
        steps = [read_rows(run / "stages" / unit / "log.jsonl") for run in (finished, tmp_path / "off")]
        for mine, theirs in zip(*steps, strict=True):
            assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-3)
            assert mine.get("mean_tokens") == theirs.get("mean_tokens")


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_weights(finished, random_model_dir, tmp_path):
    run, config, rng = tmp_path / "run", tmp_path / "recipe.yaml", random.Random(0)
    config.write_text((finished / "config.yaml").read_text())
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    kills = 0
    for _ in range(40):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(config), str(run)], env=env)
        # Later attempts live longer, so that every stage is reached and hit.
        try:
            process.wait(timeout=4.5 + 0.8 * kills + 1.5 * rng.random())
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            time.sleep(0.1)
            continue
        break
    assert process.returncode == 0
    assert kills >= 2
    assert equal(weights(run), weights(finished))
    assert training_record(run) == training_record(finished)
    assert comparable(run) == comparable(finished)


def test_the_controls_run_beside_a_finished_run(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    rows = run_study("controls", run)
    assert [row["arm"] for row in rows] == ["more_sft", "short_sft", "answers_only"]
    for row in rows:
        assert row["n"] == row["final_minus_arm"]["n"] == 27
        assert row["steps"] >= 1
        sampled = row["final_minus_arm_sampled"]
        assert sampled["n"] == 4
        assert sampled["first"] == pytest.approx(row["pass_at_1_sampled"])
        for paired in (row["final_minus_arm"], sampled):
            assert paired["ci95"][0] <= paired["difference"] <= paired["ci95"][1]
    assert run_study("controls", run) == rows


def test_a_study_needs_a_finished_run(tmp_path):
    with pytest.raises(RunStateError, match="is not a finished run"):
        run_study("controls", tmp_path)


def test_the_shorter_half_keeps_every_kind_of_question():
    rows = [ChatRow(f"{q}{i}", q, "x" * i, ()) for q in "ab" for i in range(4)]
    assert [row.id for row in shorter_half(rows)] == ["a0", "a1", "b0", "b1"]
