from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest
from fake_run import make_run

from vision_r1.core.errors import InputError
from vision_r1.report.studies import compare_runs, study_table


def test_three_seeds_give_rows_and_their_mean(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / f"seed{seed}", problems=40, seed=seed, shift=0.05 * seed) for seed in range(3)
    ]
    accuracies = [
        json.loads((run / "results.json").read_text())["variants"]["vision_r1"]["accuracy"] for run in runs
    ]
    text = compare_runs(runs)
    lines = text.splitlines()
    assert [line.split(" |")[0] for line in lines if line.startswith("| seed")] == [
        f"| seed{i} (seed {i})" for i in range(3)
    ]
    mean = next(line for line in lines if line.startswith("| mean of 3"))
    assert f"{100 * statistics.fmean(accuracies):.1f}%" in mean
    low, high = min(accuracies), max(accuracies)
    assert f"({100 * low:.1f}–{100 * high:.1f})" in next(
        line for line in lines if line.startswith("| Vision-R1 ")
    )
    tables = [line.count("|") for line in lines if line.startswith("|")]
    assert len(set(tables[:5])) == 1


def test_cells_cannot_break_the_table() -> None:
    text = study_table([{"run": "a|b\n<script>`", "x": "1"}, {"run": "c"}])
    assert text == "| run | x |\n|---|---:|\n| a\\|b &lt;script&gt;' | 1 |\n| c | – |\n"


def test_runs_without_results_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"results\.json"):
        compare_runs([tmp_path])
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(InputError, match="holds no variants"):
        compare_runs([tmp_path])
    with pytest.raises(InputError, match="no run"):
        compare_runs([])
