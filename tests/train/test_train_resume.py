"""A killed run continues, and ends with the weights of one that was never killed."""

from __future__ import annotations

import importlib
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import train_small as small_world
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from vision_r1.train.ptst import run_ptst_stage
from vision_r1.train.resume import append_rows, checkpoints, cut_rows, prune, read_rows, take_learning_rate
from vision_r1.train.sft import run_sft


def finish(target: Any, arguments: tuple[Any, ...]) -> None:
    process = small_world.context().Process(target=target, args=arguments)
    process.start()
    process.join(120)
    assert process.exitcode == 0


def kill_somewhere(target: Any, arguments: tuple[Any, ...], out: Path, rng: random.Random, rows: int) -> None:
    """SIGKILL at a random moment after the log has `rows` rows."""
    process = small_world.context().Process(target=target, args=arguments)
    process.start()
    until = time.monotonic() + 60
    while process.is_alive() and len(read_rows(out / "log.jsonl")) < rows and time.monotonic() < until:
        time.sleep(0.005)
    time.sleep(rng.random() * 0.15)
    process.kill()
    process.join()


def same_result(a: Path, b: Path) -> None:
    left, right = (load_file(folder / "model" / "model.safetensors") for folder in (a, b))
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)
    rows = [[{**row, "seconds": 0} for row in read_rows(folder / "log.jsonl")] for folder in (a, b)]
    assert rows[0] == rows[1]
    records = [(folder / "model" / "training_data.parquet").read_bytes() for folder in (a, b)]
    assert records[0] == records[1]


def test_killed_grpo_ends_with_the_same_weights(small: Path, rewards: Path, tmp_path: Path) -> None:
    rng, reward, steps = random.Random(time.time_ns()), f"{rewards}:parity", 7
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(small_world.grpo_child, (small, reward, whole, steps))
    for rows in (1, 3, 5):
        kill_somewhere(small_world.grpo_child, (small, reward, killed, steps), killed, rng, rows)
    finish(small_world.grpo_child, (small, reward, killed, steps))
    same_result(whole, killed)
    start = load_file(small / "model.safetensors")
    trained = load_file(whole / "model" / "model.safetensors")
    assert any(not torch.equal(start[name], trained[name]) for name in trained), "nothing was learned"
    assert any(row["reward_std"] > 0 for row in read_rows(whole / "log.jsonl"))


@pytest.mark.parametrize(("min_gain", "stopped"), [(0.0, "finished"), (0.9, "levelled_off")])
def test_killed_sft_ends_with_the_same_weights(
    small: Path, tmp_path: Path, min_gain: float, stopped: str
) -> None:
    rng = random.Random(time.time_ns())
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(small_world.sft_child, (small, whole, min_gain))
    for rows in (2, 5):
        kill_somewhere(small_world.sft_child, (small, killed, min_gain), killed, rng, rows)
    finish(small_world.sft_child, (small, killed, min_gain))
    same_result(whole, killed)
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (whole, killed)]
    assert summaries[0] == summaries[1]
    assert summaries[0]["stopped"] == stopped
    losses = {row["step"]: row["val_loss"] for row in read_rows(whole / "log.jsonl") if "val_loss" in row}
    assert summaries[0]["best_val_loss"] == min(losses.values()) == losses[summaries[0]["best_step"]]
    assert not (killed / "work").exists()


def test_a_finished_stage_is_left_alone(
    small: Path, rewards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = small_world.stage(2)
    arguments = (small_world.grpo_settings(f"{rewards}:parity", one), one, 6, str(small), str(small))
    first = run_ptst_stage(*arguments, small_world.problems(), tmp_path, seed=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    monkeypatch.setattr("vision_r1.train.ptst.VisionGrpoTrainer", None)
    assert run_ptst_stage(*arguments, small_world.problems(), tmp_path, seed=1) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_another_seed_gives_another_result(small: Path, rewards: Path, tmp_path: Path) -> None:
    one = small_world.stage(2)
    arguments = (small_world.grpo_settings(f"{rewards}:parity", one), one, 6, str(small), str(small))
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run_ptst_stage(*arguments, small_world.problems(), tmp_path / name, seed=seed)
    same_result(tmp_path / "a", tmp_path / "b")
    with pytest.raises(AssertionError):
        same_result(tmp_path / "a", tmp_path / "c")


class Killed(BaseException):
    """Stands for a kill after a checkpoint was written."""


def rates_after_a_change(
    run: Callable[[Any, float], Any], out: Path, monkeypatch: pytest.MonkeyPatch, trainer: str
) -> list[float]:
    """Learning rates of the logged steps of a run killed at step 4 and continued at half the rate."""
    module, name = trainer.rsplit(".", 1)
    original = getattr(importlib.import_module(module), name).training_step
    rates: dict[int, float] = {}

    def watched(self: Any, *arguments: Any, **options: Any) -> Any:
        rates[self.state.global_step + 1] = self.optimizer.param_groups[0]["lr"]
        if self.state.global_step == 4 and not (out / "killed").exists():
            (out / "killed").touch()
            raise Killed
        return original(self, *arguments, **options)

    monkeypatch.setattr(f"{trainer}.training_step", watched)
    with pytest.raises(Killed):
        run(out, 1e-3)
    before = dict(rates)
    rates.clear()
    run(out, 5e-4)
    assert min(rates) > 1, "it did not go on from a checkpoint"
    return [rates[step] / before[step] for step in sorted(rates) if step in before]


def test_a_changed_learning_rate_is_taken_when_grpo_goes_on(
    small: Path, rewards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(out: Path, rate: float) -> None:
        one = small_world.stage(6, learning_rate=rate)
        settings = small_world.grpo_settings(f"{rewards}:parity", one)
        run_ptst_stage(settings, one, 6, str(small), str(small), small_world.problems(), out, seed=1)

    ratios = rates_after_a_change(run, tmp_path, monkeypatch, "vision_r1.train.ptst.VisionGrpoTrainer")
    assert ratios == pytest.approx([0.5] * len(ratios))
    assert ratios
    logged = {row["step"]: row["learning_rate"] for row in read_rows(tmp_path / "log.jsonl")}
    assert logged[2] == pytest.approx(1e-3)
    assert logged[6] == pytest.approx(5e-4)


def test_a_changed_learning_rate_is_taken_when_sft_goes_on(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(out: Path, rate: float) -> None:
        settings = small_world.sft_settings(learning_rate=rate)
        rows = small_world.chat_rows()
        run_sft(settings, str(small), rows, small_world.chat_rows(26)[20:], out, seed=1)

    ratios = rates_after_a_change(run, tmp_path, monkeypatch, "vision_r1.train.sft.VisionSftTrainer")
    assert ratios == pytest.approx([0.5] * len(ratios))
    assert ratios


def test_an_unchanged_rate_touches_nothing() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.3)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 3))
    optimizer.step()
    scheduler.step()
    before = (scheduler.state_dict(), optimizer.state_dict())
    take_learning_rate(optimizer, scheduler, 0.3)
    assert (scheduler.state_dict(), optimizer.state_dict()) == before
    take_learning_rate(optimizer, scheduler, 0.6)
    assert optimizer.param_groups[0]["lr"] == scheduler.get_last_lr()[0] == pytest.approx(0.6 / 4)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.6 / 5)


def fake_checkpoint(work: Path, step: int, without: str = "", state: str | None = None) -> Path:
    folder = work / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    for name in ("config.json", "optimizer.pt", "scheduler.pt", "rng_state.pth", "model.safetensors"):
        if name != without:
            (folder / name).write_text("x")
    if without != "trainer_state.json":
        text = json.dumps({"global_step": step}) if state is None else state
        (folder / "trainer_state.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    "without", ["optimizer.pt", "rng_state.pth", "scheduler.pt", "trainer_state.json", "model.safetensors"]
)
def test_a_half_written_checkpoint_does_not_count(tmp_path: Path, without: str) -> None:
    fake_checkpoint(tmp_path, 2)
    fake_checkpoint(tmp_path, 4, without=without)
    fake_checkpoint(tmp_path, 6, state='{"global_st')
    fake_checkpoint(tmp_path, 8, state='{"global_step": 7}')
    assert list(checkpoints(tmp_path)) == [2]
    prune(tmp_path, [2])
    assert [folder.name for folder in tmp_path.iterdir()] == ["checkpoint-2"]


def test_checkpoints_are_ordered_by_step_not_by_name(tmp_path: Path) -> None:
    for step in (100, 20, 3):
        fake_checkpoint(tmp_path, step)
    assert list(checkpoints(tmp_path)) == [3, 20, 100]


@given(st.lists(st.integers(1, 50), max_size=8), st.integers(0, 60), st.integers(0, 30))
def test_rows_past_the_checkpoint_are_cut(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], step: int, torn: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    rows = [
        {"step": k, "loss": float("nan") if k == 7 else 0.5, "reasons": {"länge": 1}} for k in sorted(steps)
    ]
    append_rows(path, rows)
    with path.open("a") as handle:
        handle.write('{"step": 3, "loss": 0.123456789}'[:torn])
    kept = cut_rows(path, step)
    assert [row["step"] for row in kept] == [k for k in sorted(steps) if k <= step]
    assert read_rows(path) == kept
