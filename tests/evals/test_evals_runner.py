"""The runner with scripted generation: counting, grading, resuming after SIGKILL, refusing."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from evals_fakes import FakeEngine, settings, text_problems, thought

from vision_r1.core.errors import InputError, RunStateError
from vision_r1.core.files import read_jsonl
from vision_r1.evals.config import EvaluateSettings
from vision_r1.evals.golds import ungradeable
from vision_r1.evals.order import decoding_order
from vision_r1.evals.runner import evaluate_variant, spread
from vision_r1.problems.drawing import BlankImage
from vision_r1.problems.problem import Problem
from vision_r1.rollout.request import Request
from vision_r1.rollout.trace import StopReason

CAP = 64


def right(problem_id: str) -> str:
    return str(int(problem_id[1:]) + 1)


def mixed(problem_id: str, index: int, greedy: bool) -> tuple[str, StopReason, int]:
    """Greedy: p0 right, p1 right but without the format, p2 wrong, p3 cut off, p4 cut off yet right."""
    number = int(problem_id[1:]) % 5
    if not greedy:
        return thought(right(problem_id) if index < number else "no"), "eos", 10 + index
    return [
        (thought(right(problem_id)), "eos", 20),
        (f"The answer is {right(problem_id)}.", "eos", 8),
        (thought(999), "eos", 40),
        ("<think>and then and then", "length", CAP),
        (thought(right(problem_id)), "length", CAP),
    ][number]


def run(
    out: Path, engine: FakeEngine, n: int = 10, chosen: EvaluateSettings | None = None, **more: object
) -> dict:
    options = {"name": "x", **more}
    return evaluate_variant(engine, text_problems(n), chosen or settings(), CAP, out, **options)


def test_figures_of_a_known_set(tmp_path: Path) -> None:
    block = run(tmp_path, FakeEngine(mixed), chosen=settings(sampled_problems=10))
    assert block["n"] == 10
    assert block["accuracy"] == pytest.approx(0.6)  # p0, p1 and p4 of every five
    assert block["format_rate"] == pytest.approx(0.4)  # p0 and p2; a truncated one has not got it
    assert block["truncation_rate"] == pytest.approx(0.4)
    assert block["accuracy_finished"] == pytest.approx(4 / 6)
    assert block["mean_tokens"] == pytest.approx((20 + 8 + 40 + CAP + CAP) / 5)
    assert block["sampled_n"] == 10
    assert block["pass_at_1_sampled"] == pytest.approx((0 + 1 + 2 + 3 + 4) / 5 / 8)
    assert block["pass_at_8"] == pytest.approx(4 / 5)
    for name in ("ci95", "pass_at_8_ci95", "pass_at_1_sampled_ci95"):
        low, high = block[name]
        assert 0 <= low < high <= 1
    assert sum(row["n"] for row in block["by_family"].values()) == 10
    assert set(block["by_level"]) == {"0", "1", "2"}
    assert sum(row["share"] for row in block["by_length"]) == pytest.approx(1)
    assert (block["prompt"], block["cap"], block["ungradeable"]) == ("direct", CAP, [])


def test_rows_are_complete_and_in_the_order_of_the_problems(tmp_path: Path) -> None:
    run(tmp_path, FakeEngine(mixed))
    rows = [row for _, row in read_jsonl(tmp_path / "traces.jsonl")]
    greedy = [row for row in rows if row["decoding"] == "greedy"]
    assert [row["problem_id"] for row in greedy] == [f"p{i}" for i in range(10)]
    assert len(rows) == 10 + 4 * 8
    assert [row["sample_index"] for row in rows[10:18]] == list(range(8))
    assert set(rows[0]) == {
        "problem_id", "family", "level", "question", "answer", "decoding", "sample_index", "text",
        "stop_reason", "tokens", "correct", "status", "extracted", "format_ok", "image_key",
    }  # fmt: skip
    assert greedy[2]["status"] == "wrong"
    assert greedy[2]["extracted"] == "999"
    assert not (tmp_path / "work").exists()


def test_decoding_settings_reach_the_engine(tmp_path: Path) -> None:
    engine = FakeEngine(mixed)
    run(tmp_path, engine, prompt="think", seed=3)
    greedy = [sampling for _, sampling, _ in engine.calls if sampling.temperature == 0]
    sampled = [sampling for _, sampling, _ in engine.calls if sampling.temperature > 0]
    assert {(s.n, s.max_new_tokens, s.top_p) for s in greedy} == {(1, CAP, 1.0)}
    assert {(s.n, s.temperature, s.max_new_tokens, s.top_p) for s in sampled} == {(8, 0.6, CAP, 0.95)}
    assert all(len(requests) * sampling.n <= 16 for requests, sampling, _ in engine.calls)
    instruction = EvaluateSettings().think_instruction
    assert all(r.question.endswith(f"?\n{instruction}") for requests, _, _ in engine.calls for r in requests)


def test_direct_prompt_is_the_question_untouched(tmp_path: Path) -> None:
    engine = FakeEngine(mixed)
    run(tmp_path, engine)
    asked = {r.id: r.question for requests, _, _ in engine.calls for r in requests}
    assert asked == {p.id: p.question for p in text_problems(10)}


def test_without_sampling_the_figures_are_none(tmp_path: Path) -> None:
    block = run(tmp_path, FakeEngine(mixed), chosen=settings(sampled_problems=0))
    assert block["pass_at_8"] is None
    assert block["pass_at_1_sampled_ci95"] is None
    assert block["sampled_n"] == 0


def test_too_few_samples_give_no_pass_at_8(tmp_path: Path) -> None:
    block = run(tmp_path, FakeEngine(mixed), chosen=settings(samples=4))
    assert block["pass_at_8"] is block["pass_at_8_ci95"] is None
    assert block["pass_at_1_sampled"] > 0


def test_a_finished_evaluation_is_read_back(tmp_path: Path) -> None:
    first = run(tmp_path, FakeEngine(mixed))
    before = (tmp_path / "traces.jsonl").read_bytes()
    engine = FakeEngine(mixed)
    assert run(tmp_path, engine) == first
    assert engine.calls == []
    assert (tmp_path / "traces.jsonl").read_bytes() == before


class Killer(FakeEngine):
    """Kills its own process, as a power cut would, when asked for its n-th chunk."""

    def __init__(self, allowed: int) -> None:
        super().__init__(mixed)
        self.allowed = allowed

    def complete(self, *arguments):
        if len(self.calls) == self.allowed:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().complete(*arguments)


SMALL = {"batch_size": 8, "sampled_problems": 3}
CHUNKS = 3 + 3  # 20 greedy completions by eight, 3 sampled problems of eight completions each


@pytest.mark.parametrize("allowed", range(CHUNKS))
def test_killed_and_run_again_gives_the_same_bytes(tmp_path: Path, allowed: int) -> None:
    whole = FakeEngine(mixed)
    expected = run(tmp_path / "whole", whole, 20, settings(**SMALL))
    assert len(whole.calls) == CHUNKS
    out = tmp_path / "cut"
    child = multiprocessing.get_context("fork").Process(
        target=run, args=(out, Killer(allowed), 20, settings(**SMALL))
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert not (out / "traces.jsonl").exists()
    rest = FakeEngine(mixed)
    assert run(out, rest, 20, settings(**SMALL)) == expected
    assert len(rest.calls) == CHUNKS - allowed
    assert [call[2] for call in rest.calls] == [call[2] for call in whole.calls[allowed:]]
    assert (out / "traces.jsonl").read_bytes() == (tmp_path / "whole" / "traces.jsonl").read_bytes()
    assert sorted(p.name for p in out.iterdir()) == ["plan.json", "traces.jsonl"]


def test_killed_after_the_traces_leaves_no_work_behind(tmp_path: Path) -> None:
    expected = run(tmp_path, FakeEngine(mixed))
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "greedy-00000.jsonl").write_text("{}\n")
    assert run(tmp_path, FakeEngine(mixed)) == expected
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"cap": 65}, "cap"),
        ({"seed": 1}, "seed"),
        ({"prompt": "think"}, "prompt"),
        ({"chosen": settings(temperature=0.7)}, "temperature"),
        ({"n": 9}, "problems"),
        ({"model": "other"}, "model"),
    ],
)
def test_another_evaluation_in_the_folder_is_refused(tmp_path: Path, change: dict, word: str) -> None:
    run(tmp_path, FakeEngine(mixed))
    before = (tmp_path / "traces.jsonl").read_bytes()
    with pytest.raises(RunStateError, match=f"another {word}"):
        evaluate_variant(
            FakeEngine(mixed, change.get("model", "fake")),
            text_problems(change.get("n", 10)),
            change.get("chosen", settings()),
            change.get("cap", CAP),
            tmp_path,
            name="x",
            prompt=change.get("prompt", "direct"),
            seed=change.get("seed", 0),
        )
    assert (tmp_path / "traces.jsonl").read_bytes() == before


def test_statistics_may_change_without_new_completions(tmp_path: Path) -> None:
    run(tmp_path, FakeEngine(mixed))
    engine = FakeEngine(mixed)
    run(tmp_path, engine, chosen=settings(bootstrap=500, image_use=True))
    assert engine.calls == []


def test_foreign_traces_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "traces.jsonl").write_text("mine\n")
    with pytest.raises(RunStateError, match="unknown origin"):
        run(tmp_path, FakeEngine(mixed))
    assert (tmp_path / "traces.jsonl").read_text() == "mine\n"


@pytest.mark.parametrize("name", ["work/mine.txt", "summary.json", "image_use/notes.md"])
def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, name: str) -> None:
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine\n")
    with pytest.raises(RunStateError, match="holds other files and is not an evaluation"):
        run(tmp_path, FakeEngine(mixed))
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [mine]
    assert mine.read_text() == "mine\n"


def test_a_kill_while_the_plan_is_written_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    (tmp_path / ".plan.json.abc.tmp").write_text("{")
    assert run(tmp_path, FakeEngine(mixed))["n"]


def test_problems_that_cannot_be_measured_are_refused_before_generating(tmp_path: Path) -> None:
    engine = FakeEngine(mixed)
    twice = [text_problems(1)[0]] * 2
    for problems, word in (([], "no problems"), (twice, "share the id")):
        with pytest.raises(InputError, match=word):
            evaluate_variant(engine, problems, settings(), CAP, tmp_path, name="x")
    assert engine.calls == []
    assert list(tmp_path.iterdir()) == []


def test_golds_that_cannot_grade_themselves_are_listed(tmp_path: Path) -> None:
    good, bad = text_problems(2)
    bad = replace(bad, answer="see </answer> above")
    faults = ungradeable([good, bad])
    assert [fault["problem_id"] for fault in faults] == ["p1"]
    with pytest.raises(InputError, match="none of the 1 gold answers"):
        ungradeable([bad])
    block = evaluate_variant(FakeEngine(mixed), [good, bad], settings(), CAP, tmp_path, name="x")
    assert block["ungradeable"] == faults
    assert block["n"] == 2


def test_sampled_problems_are_spread_over_families() -> None:
    problems = [Problem(f"{i}", "q", "1", meta={"family": "a" if i < 90 else "b"}) for i in range(100)]
    chosen = spread(problems, 10)
    assert chosen == [0, 1, 2, 3, 4, 90, 91, 92, 93, 94]
    assert spread(problems, 1000) == list(range(100))
    assert len(spread(problems, 30)) == 30


def test_batches_hold_prompts_of_like_length() -> None:
    problems = [
        Problem(f"{i}", "short" if i % 2 else "a longer question", "1", (BlankImage(28 * (1 + i % 4), 28),))
        for i in range(40)
    ]
    order = decoding_order([Request(p.id, p.question, p.media) for p in problems])
    lengths = [problems[i].media[0].load().size[0] // 28 + len(problems[i].question) // 4 for i in order]
    assert sorted(order) == list(range(40))
    assert lengths == sorted(lengths, reverse=True)


def test_untrusted_completions_are_data(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>\u2028\n\x00\u202e<|im_end|>" + "(" * 3000
    block = run(tmp_path, FakeEngine(lambda *_: (hostile, "eos", 5)))
    assert block["accuracy"] == 0
    assert next(iter(read_jsonl(tmp_path / "traces.jsonl")))[1]["text"] == hostile


def test_progress_counts_completions_and_goes_on_where_it_was(tmp_path: Path) -> None:
    class Recorder:
        def __init__(self) -> None:
            self.lines: list[tuple] = []

        def start(self, stage: str, total: int, unit: str = "step") -> None:
            self.lines.append(("start", stage, total))

        def advance(self, done: int, **fields: float) -> None:
            self.lines.append(("advance", done, sorted(fields)))

        def finish(self) -> None:
            self.lines.append(("finish",))

        def say(self, text: str) -> None:
            self.lines.append(("say", text))

    recorder = Recorder()
    run(tmp_path, FakeEngine(mixed), progress=recorder)
    assert recorder.lines[0] == ("start", "evaluate x", 10 + 4 * 8)
    assert recorder.lines[-2] == ("advance", 42, ["accuracy", "truncation"])
    assert recorder.lines[-1] == ("finish",)
