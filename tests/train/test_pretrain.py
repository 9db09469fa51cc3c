import itertools
import json

import numpy as np
import pytest
import torch

from vision_r1.core.errors import RunStateError
from vision_r1.models.load import load_model
from vision_r1.problems.scans import split_indices
from vision_r1.train import pretrain
from vision_r1.train.curriculum import FULL, PARTS, learning_rate, parts_of
from vision_r1.train.lessons import (
    EXAMPLES,
    READ,
    WORKED_FAMILIES,
    arithmetic,
    base_example,
    difference,
    longer_text,
)
from vision_r1.train.pretrain import Collator, _backward, in_pieces, reply_loss, train_tiny

ALL_PARTS = list(range(len(PARTS)))


def draw_examples(role, n, split="train"):
    rng = np.random.default_rng(0)
    return [
        EXAMPLES[role](rng, phase, part.mix[role], phase.jitter, split)
        for part in parts_of(role).values()
        for phase in part.phases
        for _ in range(n)
    ]


@pytest.mark.parametrize("role", EXAMPLES)
def test_no_test_or_validation_scan_is_ever_trained_on(role):
    allowed = {i for scans in split_indices("train").values() for i in scans}
    seen = {cell.scan for e in draw_examples(role, 300) if e.scene is not None for cell in e.scene.cells}
    assert len(seen) > 900
    assert seen <= allowed


def test_held_out_questions_and_sizes_are_never_trained_on():
    for role in EXAMPLES:
        for example in draw_examples(role, 300):
            assert "minus the smallest number?" not in example.question
            if example.scene is not None:
                rows = [len(row) for row in example.scene.rows]
                assert max(rows) <= (3 if len(rows) == 2 else 5)


def test_facts_of_arithmetic_are_right():
    import random

    rng = random.Random(0)
    for _ in range(500):
        example = arithmetic(rng)
        if example.question.startswith("What is") and "of" not in example.question:
            assert int(example.reply) == eval(example.question[8:-1])
        if "=" in example.reply:
            left, right = example.reply.split("=")
            assert eval(left) == int(right)


def test_differences_are_right_and_most_of_them_take_away_one_digit():
    rng = np.random.default_rng(0)
    small = 0
    for _ in range(1000):
        example = difference(rng)
        asked = example.question.removeprefix("What is ").removeprefix("Calculate ").rstrip("?.")
        value = eval(asked)
        assert value >= 0
        assert example.reply in (str(value), f"{asked}={value}")
        small += int(asked.split("-")[1]) < 10
    assert 600 < small < 800  # the other half has small ones among its own


@pytest.mark.parametrize("part", range(3))
def test_the_base_gets_each_kind_as_often_as_the_mix_says(part):
    mix, n = PARTS[part].mix["base"], 3000
    rng = np.random.default_rng(1)
    examples = [base_example(rng, FULL, mix, 1.0) for _ in range(n)]
    texts = [e for e in examples if e.scene is None]
    found = {
        "read": sum(e.question == READ for e in examples),
        "differences": sum("-" in e.question and e.question[0] in "WC" for e in texts),
        "parity in text": sum("sum of the even and" in e.question for e in texts),
        "repeat": sum(e.question.startswith("Repeat: ") for e in texts),
        "direct": n - len(texts) - sum(e.question == READ for e in examples),
    }
    reading, facts, differences, longer, single, worked = mix
    longer -= differences
    differences -= facts
    facts -= reading
    families = WORKED_FAMILIES.count("parity") / len(WORKED_FAMILIES)
    wanted = {
        "read": reading,
        "differences": facts * 2 / 9 + 0.55 * differences,
        "parity in text": longer * (worked - single) * families + 0.45 * differences,
        "repeat": longer * (1 - worked) * 0.7,
        "direct": 1 - mix[3],
    }
    for kind, share in wanted.items():
        assert found[kind] / n == pytest.approx(share, abs=4 * (share * (1 - share) / n) ** 0.5), kind


def test_longer_text_is_right_and_has_no_picture():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(400):
        example = longer_text(rng, (0.4, 0.8))
        assert example.scene is None
        seen.add(example.question.split()[0])
        if example.question.startswith("Repeat: "):
            assert example.question == f"Repeat: {example.reply}"
            continue
        for run in example.reply.replace(".", "").split(", "):
            for left, right in [part.split("=") for part in run.split(" ") if "=" in part]:
                assert eval(left) == int(right)
            if "?" in run:
                words = run.split(" ")
                at = next(place for place, word in enumerate(words) if word.endswith("?"))
                shape, wanted, told = words[at - 1 : at + 2]
                assert (shape == wanted.removesuffix("?")) == (told == "yes")
        if example.question.startswith("Even or odd"):
            told = dict(pair.split(" ") for pair in example.reply.removesuffix(".").split(", "))
            assert all((int(n) % 2 == 0) == (word == "even") for n, word in told.items())
        if example.question.startswith("The first is"):
            first = int(example.question.split()[3].removesuffix("."))
            told = dict(pair.split(" ") for pair in example.reply.removesuffix(".").split(", "))
            assert all((int(h) > first) == (word == "yes") for h, word in told.items())
    assert {"Add", "Repeat:", "Sort", "top", "In", "Even", "The"} <= seen


def test_the_loss_weighs_a_reply_by_the_root_of_its_length():
    torch.manual_seed(0)
    logits = torch.randn(2, 6, 7)
    labels = torch.tensor([[-100, -100, 3, -100, -100, -100], [-100, 1, 2, 3, 4, -100]])
    losses = -torch.log_softmax(logits, -1)
    short = losses[0, 1, 3]
    long = torch.stack([losses[1, i, i + 1] for i in range(4)])
    expected = (short * 1 + long.sum() * 0.5) / (1 + 4 * 0.5)
    assert torch.allclose(reply_loss(logits, labels), expected)


def test_a_batch_in_pieces_has_the_loss_and_gradients_of_the_whole():
    from vision_r1.models.tiny import Size, build_config, build_model, build_processor, train_tokenizer

    processor = build_processor(train_tokenizer(["What is the sum of the numbers? 12"], 300))
    model = build_model(build_config(processor.tokenizer, Size(32, 64, 2, 2, 32, 64, 1)), 0)
    collate, examples = Collator(processor), draw_examples("base", 2)
    pieces = in_pieces(examples, 4)
    assert sorted(map(id, examples)) == sorted(id(e) for piece in pieces for e in piece)
    lengths = [[len(e.question) + len(e.reply) + 60 * bool(e.scene) for e in piece] for piece in pieces]
    assert all(max(a) <= min(b) for a, b in itertools.pairwise(lengths))
    found = []
    for cut in ([examples], pieces):
        model.zero_grad(set_to_none=True)
        loss = _backward(model, [collate(piece) for piece in cut])
        found.append((loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-5)


def test_only_the_reply_is_learned():
    from vision_r1.models.tiny import build_processor, train_tokenizer

    processor = build_processor(train_tokenizer(["What is the sum of the numbers? 12"], 300))
    collate = Collator(processor)
    examples = draw_examples("base", 1)
    batch = collate(examples)
    for row, example in zip(batch["labels"], examples, strict=True):
        learned = processor.tokenizer.decode(row[row != -100])
        assert learned == example.reply + "<|im_end|>"


def test_the_learning_rate_rises_stays_and_falls():
    rates = [learning_rate(step, 1000, 1.0, 0.5) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[100] == rates[499] == 1.0
    assert rates[999] == pytest.approx(0.02, abs=0.01)
    assert all(a >= b for a, b in itertools.pairwise(rates[100:]))


def test_a_short_training_learns_and_its_model_loads(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "READING_BATCH", 8)
    monkeypatch.setattr(pretrain, "BATCH", {"base": 8, "teacher": 8})
    monkeypatch.setattr(pretrain, "validation_report", lambda *_: {"read": 0.0})
    lines = []
    train_tiny("base", tmp_path / "base", shrink=0.02, log=lines.append)
    loaded = load_model(str(tmp_path / "base"))
    assert next(loaded.model.parameters()).dtype == torch.float32
    history = json.loads((tmp_path / "base" / "training.json").read_text())["history"]
    assert [entry["part"] for entry in history if entry["last"]] == ALL_PARTS
    assert history[-1]["loss"] < history[0]["loss"]
    before = len(lines)
    train_tiny("base", tmp_path / "base", shrink=0.02, log=lines.append)
    assert len(lines) == before


@pytest.fixture
def quick(monkeypatch):
    from vision_r1.models.tiny import Size

    monkeypatch.setattr(pretrain, "READING_BATCH", 2)
    monkeypatch.setattr(pretrain, "BATCH", {"base": 2, "teacher": 2})
    monkeypatch.setattr(pretrain, "SIZES", dict.fromkeys(EXAMPLES, Size(32, 64, 2, 2, 32, 64, 1)))
    monkeypatch.setattr(pretrain, "corpus", lambda _: ["What is the sum of the numbers?"] * 20)
    monkeypatch.setattr(pretrain, "VOCABULARY", 300)
    monkeypatch.setattr(pretrain, "validation_report", lambda *_: {"read": 0.0})


@pytest.mark.parametrize("part", [0, ALL_PARTS[-1]])
def test_killed_in_the_middle_of_a_part_it_ends_with_the_same_weights(tmp_path, quick, part):
    def killed(line):
        if f"'part': {part}, 'step': 2" in line:
            raise KeyboardInterrupt

    train_tiny("base", tmp_path / "whole", shrink=0.003, log=lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        train_tiny("base", tmp_path / "killed", shrink=0.003, log=killed)
    train_tiny("base", tmp_path / "killed", shrink=0.003, log=lambda _: None)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert weights[0] == weights[1]
    history = json.loads((tmp_path / "killed" / "training.json").read_text())["history"]
    assert [entry["part"] for entry in history if entry["last"]] == ALL_PARTS


def test_a_role_skips_the_parts_that_do_not_name_it(tmp_path, quick):
    train_tiny("teacher", tmp_path / "teacher", shrink=0.001, log=lambda _: None)
    history = json.loads((tmp_path / "teacher" / "training.json").read_text())["history"]
    assert [entry["part"] for entry in history if entry["last"]] == [0, 1]


def test_a_folder_with_other_things_or_another_training_is_refused(tmp_path, quick):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(RunStateError, match="holds other files"):
        train_tiny("base", mine, shrink=0.001)
    assert (mine / "thesis.tex").read_text() == "years of work"
    with pytest.raises(RunStateError, match="is a file"):
        train_tiny("base", mine / "thesis.tex", shrink=0.001)
    record = {**pretrain._record("base", 0, 1.0), "history": []}
    (mine / "training.json").write_text(json.dumps(record))
    for role, seed, shrink in (("teacher", 0, 1.0), ("base", 1, 1.0), ("base", 0, 0.5)):
        with pytest.raises(RunStateError, match="holds another training"):
            train_tiny(role, mine, seed=seed, shrink=shrink)
    record["parts"] = record["parts"][:1]
    (mine / "training.json").write_text(json.dumps(record))
    with pytest.raises(RunStateError, match="holds another training: parts"):
        train_tiny("base", mine)
    assert sorted(p.name for p in mine.iterdir()) == ["thesis.tex", "training.json"]
