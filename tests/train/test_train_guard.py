"""When training stops by itself, and what it leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import train_small as small_world
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from vision_r1.core.errors import CollapseError
from vision_r1.models.load import load_model
from vision_r1.problems.contamination import read_record
from vision_r1.train.config import Guard
from vision_r1.train.guard import Watch
from vision_r1.train.ptst import run_ptst_stage
from vision_r1.train.resume import checkpoints, read_rows

GOOD = {
    "reward": 0.5,
    "kl": 0.1,
    "entropy": 1.0,
    "mean_tokens": 50.0,
    "truncation_rate": 0.2,
    "loss": 0.0,
    "grad_norm": 1.0,
}


@pytest.mark.parametrize(
    ("measure", "bad", "words"),
    [
        ("reward", 0.0, "reward"),
        ("kl", 11.0, "KL"),
        ("entropy", 0.0, "entropy"),
        ("mean_tokens", 1.0, "tokens"),
        ("truncation_rate", 1.0, "truncated"),
    ],
)
def test_a_bound_must_be_broken_for_patience_steps_running(measure: str, bad: float, words: str) -> None:
    watch = Watch(Guard(patience=3))
    rows = [GOOD, *[{**GOOD, measure: bad}] * 2, GOOD, *[{**GOOD, measure: bad}] * 3]
    said = [watch.see({**row, "step": step}) for step, row in enumerate(rows, start=1)]
    assert said[:-1] == [None] * (len(rows) - 1)
    assert said[-1] is not None and words in said[-1] and "until step 7" in said[-1]
    assert not watch.healthy


@pytest.mark.parametrize("measure", ["loss", "grad_norm", "kl", "entropy"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_stops_at_once(measure: str, value: float) -> None:
    assert measure in str(Watch(Guard()).see({**GOOD, measure: value, "step": 1}))


@given(st.lists(st.sampled_from([0.0, 0.5]), max_size=30), st.integers(1, 5))
def test_the_state_is_a_function_of_the_rows(rewards: list[float], patience: int) -> None:
    rows = [{**GOOD, "reward": reward, "step": step} for step, reward in enumerate(rewards, start=1)]
    guard = Guard(patience=patience)
    expected = "0" * patience in "".join("0" if reward == 0 else "1" for reward in rewards)
    assert (Watch(guard, rows).reason is not None) == expected
    half = len(rows) // 2
    resumed = Watch(guard, rows[:half])
    for row in rows[half:]:
        resumed.see(row)
    assert (resumed.reason, resumed.streaks) == (Watch(guard, rows).reason, Watch(guard, rows).streaks)


def test_a_measure_that_is_not_there_is_not_judged() -> None:
    assert Watch(Guard(patience=1)).see({"step": 1, "reward": 1.0, "kl": None}) is None


def collapse_settings(reward: str, one: Any, patience: int) -> Any:
    return small_world.grpo_settings(
        reward, one, guard=Guard(patience=patience, max_truncated=2.0, min_tokens=0.0)
    )


def test_a_reward_that_is_always_zero_stops_and_keeps_the_last_good_model(
    small: Path, rewards: Path, tmp_path: Path
) -> None:
    one = small_world.stage(6)
    run = lambda patience: run_ptst_stage(  # noqa: E731
        collapse_settings(f"{rewards}:nothing", one, patience),
        one, 6, str(small), str(small), small_world.problems(), tmp_path, seed=1,
    )  # fmt: skip
    with pytest.raises(CollapseError, match="reward") as caught:
        run(4)
    assert caught.value.exit_code == 3
    assert len(read_rows(tmp_path / "log.jsonl")) == 4
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert "reward" in summary["stopped"] and summary["model_step"] == 0
    start, kept = load_file(small / "model.safetensors"), load_file(tmp_path / "model" / "model.safetensors")
    assert all(torch.equal(start[name], kept[name]) for name in start)
    load_model(str(tmp_path / "model"))
    assert read_record(tmp_path).rows == (), "its weights have seen nothing of the stage"
    with pytest.raises(CollapseError, match="reward"):
        run(4)
    assert list(checkpoints(tmp_path / "work")) == [2], "a changed guard can go on from here"
    assert run(100)["stopped"] == "finished"
    assert [row["step"] for row in read_rows(tmp_path / "log.jsonl")] == [1, 2, 3, 4, 5, 6]


def test_the_last_good_checkpoint_is_kept_through_a_long_decline(small: Path, tmp_path: Path) -> None:
    """Rewards for 5 steps, then none: the model kept is that of step 4, though 6 and 8 came after."""
    path = tmp_path / "fading.py"
    calls = "import itertools\ncount = itertools.count()\n"
    path.write_text(calls + "def fading(text, problem, stop):\n    return float(next(count) < 5 * 8)\n")
    one = small_world.stage(12)
    settings = collapse_settings(f"{path}:fading", one, 5)
    with pytest.raises(CollapseError):
        run_ptst_stage(
            settings, one, 6, str(small), str(small), small_world.problems(), tmp_path / "out", seed=1
        )
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["model_step"] == 4 and summary["steps"] == 10
    good = load_file(tmp_path / "out" / "work" / "checkpoint-4" / "model.safetensors")
    kept = load_file(tmp_path / "out" / "model" / "model.safetensors")
    assert all(torch.equal(good[name], kept[name]) for name in good)
    record = read_record(tmp_path / "out")
    assert {row.source for row in record.rows} == {"ptst_1"} and len(record.rows) == 4 * 2


def test_a_model_that_is_not_finite_stops_at_once(small: Path, rewards: Path, tmp_path: Path) -> None:
    loaded = load_model(str(small))
    with torch.no_grad():
        loaded.model.model.language_model.norm.weight.fill_(float("nan"))
    loaded.model.save_pretrained(tmp_path / "broken")
    loaded.processor.save_pretrained(tmp_path / "broken")
    one = small_world.stage(6)
    with pytest.raises(CollapseError, match="not finite"):
        run_ptst_stage(
            small_world.grpo_settings(f"{rewards}:parity", one), one, 6,
            str(tmp_path / "broken"), str(small), small_world.problems(), tmp_path / "out", seed=1,
        )  # fmt: skip
