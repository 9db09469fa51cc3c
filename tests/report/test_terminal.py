from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

from rich.console import Console

from vision_r1.core.progress import Progress
from vision_r1.report.figures import margin
from vision_r1.report.terminal import RichProgress, field_line, print_study, results_table
from vision_r1.train.ptst import SHOWN

FIELDS = dict(zip(SHOWN, (0.431, 44.06, 0.031, 0.21), strict=True))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_fields_are_named_for_people() -> None:
    assert field_line(FIELDS) == "reward 0.43 · tokens 44.1 · truncated 3% · zero variance 21%"
    assert field_line({"loss": 0.12345, "odd_one": float("nan")}) == "loss 0.123 · odd one –"


def test_without_a_terminal_a_plain_line_every_ten_seconds() -> None:
    out, clock = io.StringIO(), Clock()
    progress: Progress = RichProgress(Console(file=out, force_terminal=False, width=60), clock)
    progress.start("ptst_1", 60)
    for step in range(1, 61):
        clock.now += 1.0
        progress.advance(step, **FIELDS)
    progress.say("stopped: finished [bold]")
    progress.finish()
    progress.finish()
    lines = out.getvalue().splitlines()
    assert lines[0] == "ptst_1: 60 steps to go"
    assert lines[1] == f"ptst_1: step 10/60 (17%) · 10 s · 50 s left · {field_line(FIELDS)}"
    assert lines[-2] == "stopped: finished [bold]"
    assert lines[-1].startswith("ptst_1: step 60/60 (100%) · 1 min 00 s") and lines[-1].endswith("-- done")
    assert len(lines) == 1 + 6 + 1 + 1
    assert "\x1b" not in out.getvalue()


def test_a_continued_stage_judges_its_speed_from_where_it_started() -> None:
    out, clock = io.StringIO(), Clock()
    progress = RichProgress(Console(file=out, force_terminal=False), clock)
    progress.start("sft", 100)
    progress.advance(50)
    clock.now += 20.0
    progress.advance(60)
    assert "1 min 20 s left" in out.getvalue()


def test_in_a_terminal_the_bar_tells_everything() -> None:
    out = io.StringIO()
    progress = RichProgress(Console(file=out, force_terminal=True, width=100))
    progress.start("ptst_2 [x]", 60)
    progress.advance(30, **FIELDS)
    progress.say("dial \x1b[2Jchanged")
    progress.start("evaluate", 5, "problem")
    progress.finish()
    progress.advance(3)
    text = out.getvalue()
    for word in ("ptst_2 [x]", "30/60", "left", field_line(FIELDS), "evaluate", "problems", "⟨U+001B⟩"):
        assert word in text


def test_after_an_error_nothing_is_called_done() -> None:
    out = io.StringIO()
    with contextlib.suppress(RuntimeError), RichProgress(Console(file=out, force_terminal=False)) as progress:
        progress.start("sft", 3)
        raise RuntimeError
    assert "done" not in out.getvalue()
    with RichProgress(Console(file=out, force_terminal=False)) as progress:
        progress.start("sft", 3)
    assert "done" in out.getvalue()


def shown(results: dict[str, object], width: int = 120) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(results_table(results))
    return out.getvalue()


def test_the_results_table_has_variants_gains_controls_and_seconds(finished_run: Path) -> None:
    results = json.loads((finished_run / "results.json").read_text())
    text = shown(results)
    final, base, cold = (
        results["variants"][name]["accuracy"] for name in ("vision_r1", "base", "cold_start")
    )
    for word in (
        f"{100 * final:.1f}% ±", f"+{100 * (final - base):.1f}", f"+{100 * (final - cold):.1f}", "pass@8", "Cold start",
        "Blank image: 5.0%", "66.0% follow the new image", "Question only: 11.0%", "held out family (n=200)", "13 min 56 s",
    ):  # fmt: skip
        assert word in text


def test_in_eighty_columns_nothing_is_cut(finished_run: Path) -> None:
    text = shown(json.loads((finished_run / "results.json").read_text()), width=80)
    assert "…" not in text and "Base, asked to think" in text and "cold" in text


def test_the_results_table_stands_missing_and_odd_values() -> None:
    assert "no results yet" in shown({})
    text = shown(
        {
            "variants": {"base": {"accuracy": "x"}, "[red]evil\x1b": {"accuracy": 0.5}},
            "seconds": {"sft": None},
        }
    )
    assert "–" in text and "[red]evil⟨U+001B⟩" in text


def test_a_study_shows_both_paired_gains_and_a_dash_where_nothing_was_sampled() -> None:
    gain = {"difference": 0.061, "ci95": [0.02, 0.1]}
    row = {"steps": 40, "seconds": 61.7, "n": 544, "accuracy": 0.7, "ci95": [0.66, 0.74]}
    rows = [
        {"arm": "more_sft", **row, "final_minus_arm": gain, "final_minus_arm_sampled": gain},
        {"arm": "short_sft", **row, "final_minus_arm": gain},
    ]
    out = io.StringIO()
    print_study(rows, Console(file=out, width=140))
    more, short = (line for line in out.getvalue().splitlines() if "_sft" in line)
    assert more.count("+6.1 (+2.0 to +10.0)") == 2
    assert short.count("+6.1 (+2.0 to +10.0)") == 1
    assert "–" in short
    assert "70.0 (66.0 to 74.0)" in more


def test_a_margin_reaches_to_the_farther_end_of_its_interval() -> None:
    assert margin(0.0, (0.0, 0.041)) == "±4.1"
    assert margin(0.5, (0.45, 0.56)) == "±6.0"
    assert margin(None, (0.0, 1.0)) == margin(0.5, None) == ""


def test_the_widest_figures_stand_whole_in_eighty_columns() -> None:
    wide = {"pass_at_8": 1.0, "format_rate": 1.0, "truncation_rate": 1.0, "mean_tokens": 1343.7}
    shares = {"base": 1.0, "base_think": 0.0, "cold_start": 0.5, "ptst_1": 0.6, "vision_r1": 0.0}
    variants = {
        name: {**wide, "accuracy": share, "ci95": [max(0, share - 0.11), min(1, share + 0.12)]}
        for name, share in shares.items()
    }
    out = io.StringIO()
    Console(file=out, width=80).print(results_table({"variants": variants}))
    (last,) = (line for line in out.getvalue().splitlines() if "Vision-R1" in line)
    assert last.split() == [
        "Vision-R1",
        "0.0%",
        "±12.0",
        "100.0%",
        "100.0%",
        "100.0%",
        "1,344",
        "−100.0",
        "−50.0",
    ]
