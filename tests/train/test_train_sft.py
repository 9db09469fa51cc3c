"""Which tokens carry loss, how it is normalised, and in which order rows come."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
import train_small as small_world
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from trl.trainer.utils import add_fused_lm_head

from vision_r1.core.errors import InputError
from vision_r1.models.chat import prompt_messages, render_prompt
from vision_r1.models.encode import encode_prompts
from vision_r1.models.load import load_model
from vision_r1.models.processor_load import load_processor
from vision_r1.problems.chat import ChatRow
from vision_r1.train.chat_store import ChatStore, Passes, validation_loss
from vision_r1.train.data import Ask, PromptStore, epochs_of, take
from vision_r1.train.resume import read_rows
from vision_r1.train.sft import best_step, grouped_order, levelled_off, run_sft


def llama_factory(question: str, images: int) -> str:
    """LLaMA-Factory's `qwen2_vl` template, written out: default system, user turn, assistant opening."""
    text = question if "<image>" in question else "<image>" * images + question
    text = text.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>")
    return (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    )


def test_sft_rl_and_evaluation_see_one_prompt(small: Path) -> None:
    processor = load_processor(str(small))
    row = small_world.chat_rows(1)[0]
    picture = row.media[0].load()
    for question in (row.user, f"<image>{row.user}", f"Look: <image> {row.user}"):
        text = render_prompt(processor, prompt_messages(question, 1))
        assert text == llama_factory(question, 1)
        evaluation = encode_prompts(processor, [question], [[picture]], ["x"])
        store = ChatStore(processor, [replace(row, user=question)])
        batch = store.padded([0])
        prompt = int((batch["labels"][0] == -100).sum())
        assert batch["input_ids"][0, :prompt].tolist() == evaluation["input_ids"][0].tolist()
        rl = PromptStore(processor, [Ask("x", question, row.media)])[0]
        assert list(rl.ids) == evaluation["input_ids"][0].tolist()
        assert torch.equal(rl.pixels, evaluation["pixel_values"])
        collapsed = [
            t for k, t in enumerate(rl.ids) if not (k and t == rl.ids[k - 1] == processor.image_token_id)
        ]
        assert processor.tokenizer.decode(collapsed) == text


def test_loss_on_the_assistant_text_and_its_end_alone(small: Path) -> None:
    processor = load_processor(str(small))
    rows = small_world.chat_rows(6)
    batch = ChatStore(processor, rows).padded(range(6))
    for row, labels, ids, mask in zip(
        rows, batch["labels"], batch["input_ids"], batch["attention_mask"], strict=True
    ):
        kept = labels[labels != -100]
        assert processor.tokenizer.decode(kept.tolist()) == row.assistant + "<|im_end|>"
        assert torch.equal(kept, ids[labels != -100])
        last = int(mask.sum()) - 1
        assert labels[last] == processor.tokenizer.convert_tokens_to_ids("<|im_end|>")
        assert (labels[last + 1 :] == -100).all() and (labels[mask == 0] == -100).all()
        assert int((labels != -100).nonzero()[0]) + len(kept) == last + 1, "one unbroken stretch"


def passes_of(model: Path, rows: list[ChatRow], tokens: int) -> Passes:
    loaded = load_model(str(model))
    add_fused_lm_head(loaded.model)
    return Passes(loaded.model, ChatStore(loaded.processor, rows), tokens)


def test_the_loss_is_the_token_mean_of_the_global_batch(small: Path, tmp_path: Path) -> None:
    """However the batch is cut into packed passes, its first loss is that of the formula."""
    rows = small_world.chat_rows(8)
    expected = None
    for tokens in (1, 150, 4096):
        options = small_world.sft_settings(
            batch_size=8, tokens_per_pass=tokens, max_epochs=1, learning_rate=1e-4
        )
        run_sft(options, str(small), rows, [], tmp_path / str(tokens), seed=1)
        expected = validation_loss(passes_of(small, rows, 200), 8)
        assert read_rows(tmp_path / str(tokens) / "log.jsonl")[0]["loss"] == pytest.approx(expected, rel=1e-5)
    inputs = ChatStore(load_processor(str(small)), rows).padded(range(8))
    labels = inputs.pop("labels")[:, 1:]
    logs = torch.log_softmax(load_model(str(small)).model(**inputs).logits[:, :-1].double(), -1)
    chosen = logs.gather(-1, labels.clamp(min=0)[..., None])[..., 0][labels != -100]
    assert float(-chosen.mean().detach()) == pytest.approx(expected, rel=1e-5)


def test_images_change_the_loss(small: Path) -> None:
    rows = small_world.chat_rows(4)
    other = [replace(row, media=rows[-1 - k].media) for k, row in enumerate(rows)]
    losses = [validation_loss(passes_of(small, some, 200), 4) for some in (rows, other)]
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"assistant": " "}, "empty"),
        ({"assistant": "so " * 600}, "max_length"),
        ({"assistant": "a<|im_end|>b"}, "control token"),
        ({"user": "a <|image_pad|>"}, "control token"),
        ({"user": "<image><image> two"}, "marks"),
    ],
)
def test_a_row_that_cannot_be_learned_is_named(
    small: Path, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    rows = small_world.chat_rows(3)
    rows[1] = replace(rows[1], id="the-row", **change)
    with pytest.raises(InputError, match=words) as caught:
        run_sft(small_world.sft_settings(), str(small), rows, [], tmp_path, seed=1)
    assert "the-row" in caught.value.where


def test_levelled_off() -> None:
    assert not levelled_off([3, 2, 1.9], 2, 0.01)
    assert levelled_off([3, 2, 2.1, 1.99], 2, 0.01)
    assert not levelled_off([3, 2, 2.1, 1.9], 2, 0.01)
    assert not levelled_off([], 1, 0.0)
    assert (
        best_step(
            [
                {"step": 2, "val_loss": 1.0},
                {"step": 4, "val_loss": 0.5},
                {"step": 6, "val_loss": 0.5},
                {"step": 7},
            ]
        )
        == 4
    )


@given(st.integers(1, 40), st.integers(0, 99))
def test_every_epoch_is_a_permutation_and_prefixes_are_stable(n: int, seed: int) -> None:
    order = take(epochs_of(n, seed, "a"), 3 * n)
    for epoch in range(3):
        assert sorted(order[epoch * n : (epoch + 1) * n]) == list(range(n))
    assert list(islice(epochs_of(n, seed, "a"), n)) == order[:n]
    if n > 20:
        assert order[:n] != order[n : 2 * n] and order[:n] != take(epochs_of(n, seed + 1, "a"), n)


@settings(max_examples=25)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(1, 8), st.integers(0, 9))
def test_grouped_order_reads_each_row_equally_often(lengths: list[int], batch: int, seed: int) -> None:
    mega = max(1, min(8, len(lengths) // batch)) * batch
    count = mega * len(lengths)
    order = take(grouped_order(lengths, batch, seed), count)
    assert {order.count(k) for k in range(len(lengths))} == {mega}
    assert take(grouped_order(lengths, batch, seed), count // 2) == order[: count // 2]


def test_grouping_saves_padding() -> None:
    lengths = [(k * 37) % 200 + 1 for k in range(256)]
    order = take(grouped_order(lengths, 16, 0), 256)
    padded = sum(16 * max(lengths[k] for k in order[s : s + 16]) for s in range(0, 256, 16))
    assert padded < 1.3 * sum(lengths)


def test_frozen_vision_stays_and_the_rest_learns(small: Path, tmp_path: Path) -> None:
    run_sft(
        small_world.sft_settings(max_epochs=1), str(small), small_world.chat_rows(8), [], tmp_path, seed=1
    )
    before, after = (
        load_file(small / "model.safetensors"),
        load_file(tmp_path / "model" / "model.safetensors"),
    )
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and not any(name.startswith("visual") for name in changed)
    assert {value.dtype for value in after.values()} == {torch.float32}
    assert render_prompt(
        load_model(str(tmp_path / "model")).processor, prompt_messages("a", 1)
    ) == llama_factory("a", 1)


def test_the_store_is_bounded_in_memory(small: Path) -> None:
    rows = small_world.chat_rows(6)
    asks = [Ask(row.id, row.user, row.media) for row in rows]
    store = PromptStore(load_processor(str(small)), asks, max_bytes=1)
    first = [store[k] for k in range(6)]
    again = [store[k] for k in range(6)]
    assert len(store._media) == 1
    assert all(torch.equal(a.pixels, b.pixels) and a.ids == b.ids for a, b in zip(first, again, strict=True))
