"""Train the tiny models from scratch: first to see, then to read, then to answer (or to describe);
the base then mends its arithmetic.

One digit comes first and jitter grows, because a model that starts with whole, freely placed
rows learns nothing for a long time. Only scans of the train split are ever drawn from; the
validation accuracy that is logged uses the validation split.

    vision-r1 tiny train base --out DIR        about an hour on two cores
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vision_r1.core.errors import RunStateError
from vision_r1.core.files import atomic_directory, read_json, recover_directory, write_json
from vision_r1.core.seeds import derive_seed
from vision_r1.models.chat import prompt_messages, render_prompt
from vision_r1.models.load import load_model
from vision_r1.models.processor import patches_of
from vision_r1.models.tiny import SIZES, Role, build_config, build_model, build_processor, train_tokenizer
from vision_r1.problems.drawing import draw
from vision_r1.problems.tiny_world import FAMILIES
from vision_r1.teachers.reasoner import sample_corpus
from vision_r1.train.curriculum import FULL, PARTS, Part, learning_rate, parts_of, phase_at
from vision_r1.train.lessons import EXAMPLES, READ, Example

VOCABULARY = 704
READING_BATCH = 96
PIECES = 6
PICTURE = 60  # a picture's tokens, counted in characters of text, roughly
BATCH: dict[Role, int] = {"base": 96, "teacher": 40}  # the teacher's rows are three times as long


def corpus(seed: int) -> list[str]:
    """Texts the tokenizer is made from: every prompt, reply and trace style of the tiny world."""
    rng = np.random.default_rng(seed)
    mixes = PARTS[0].mix
    examples = [make(rng, FULL, mixes[role], 1.0) for role, make in EXAMPLES.items() for _ in range(3000)]
    texts = [text for example in examples for text in (example.question, example.reply)]
    return texts + sample_corpus(seed, 3000) + ["system user assistant You are a helpful assistant."] * 100


@dataclass
class Collator:
    """Examples to padded batches; prompts are tokenised once per text."""

    processor: Any
    merge: int = 4
    cache: dict[tuple[str, bool], str] = field(default_factory=dict)

    def __call__(self, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        """Build a right-padded batch with labels on the reply only."""
        tokenizer = self.processor.tokenizer
        pad_id = tokenizer.pad_token_id
        rows, labels, patches, grids = [], [], [], []
        for example in examples:
            key = (example.question, example.scene is not None)
            if key not in self.cache:
                messages = prompt_messages(example.question, int(key[1]))
                self.cache[key] = render_prompt(self.processor, messages)
            prompt = self.cache[key]
            if example.scene is not None:
                pixels, grid = patches_of(draw(example.scene))
                patches.append(pixels)
                grids.append(grid)
                pads = grid[1] * grid[2] // self.merge
                prompt = prompt.replace("<|image_pad|>", "<|image_pad|>" * pads)
            prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
            reply_ids = tokenizer(example.reply + "<|im_end|>", add_special_tokens=False)["input_ids"]
            rows.append(prompt_ids + reply_ids)
            labels.append([-100] * len(prompt_ids) + reply_ids)
        width = max(map(len, rows))
        input_ids = torch.tensor([row + [pad_id] * (width - len(row)) for row in rows])
        batch = {
            "input_ids": input_ids,
            "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
            "labels": torch.tensor([row + [-100] * (width - len(row)) for row in labels]),
            "mm_token_type_ids": (input_ids == self.processor.image_token_id).int(),
        }
        if patches:
            batch["pixel_values"] = torch.from_numpy(np.concatenate(patches))
            batch["image_grid_thw"] = torch.tensor(grids)
        return batch


def reply_weights(labels: torch.Tensor) -> torch.Tensor:
    """Each reply's tokens weigh the square root of its length together: float (batch, length - 1).

    A plain token mean would drown the two tokens of a direct answer in the long readings.

    Args:
        labels: int64 of shape (batch, length), -100 where nothing is learned.
    """
    keep = labels[:, 1:] != -100
    return keep / keep.sum(1, keepdim=True).clamp(min=1).sqrt()


def reply_loss(logits: torch.Tensor, labels: torch.Tensor, total: float | None = None) -> torch.Tensor:
    """Cross-entropy weighed by `reply_weights`.

    Args:
        logits: float of shape (batch, length, vocabulary).
        labels: int64 of shape (batch, length), -100 where nothing is learned.
        total: what the weighted sum is divided by, where this is one piece of a larger batch.
    """
    targets, weights = labels[:, 1:], reply_weights(labels)
    keep = targets != -100
    losses = torch.nn.functional.cross_entropy(logits[:, :-1][keep], targets[keep], reduction="none")
    return (losses * weights[keep]).sum() / (weights.sum() if total is None else total)


def in_pieces(examples: Sequence[Example], pieces: int) -> list[list[Example]]:
    """The examples by length in pieces of equal number: a batch as it comes is half padding."""
    ordered = sorted(
        examples, key=lambda each: len(each.question) + len(each.reply) + PICTURE * bool(each.scene)
    )
    size = -(-len(ordered) // pieces)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


@torch.no_grad()
def exact_replies(model: Any, collate: Collator, examples: Sequence[Example]) -> list[bool]:
    """Whether the whole reply is what greedy decoding would give (teacher-forced, all tokens)."""
    model.eval()
    right: list[bool] = []
    for start in range(0, len(examples), 100):
        batch = collate(examples[start : start + 100])
        labels = batch.pop("labels")
        predicted = model(**batch).logits[:, :-1].argmax(-1)
        wanted = labels[:, 1:]
        right += ((predicted == wanted) | (wanted == -100)).all(1).tolist()
    model.train()
    return right


def validation_report(role: Role, model: Any, collate: Collator, n: int, seed: int) -> dict[str, float]:
    """Share of exact replies on validation scans, by kind of question; always of the second part's mix."""
    rng = np.random.default_rng(derive_seed(seed, "validation"))
    examples = [EXAMPLES[role](rng, FULL, PARTS[1].mix[role], 1.0, "validation") for _ in range(n)]
    right = exact_replies(model, collate, examples)
    groups: dict[str, list[bool]] = {}
    for example, ok in zip(examples, right, strict=True):
        direct = next((f.name for f in FAMILIES.values() if example.question in f.questions), None)
        kind = "text" if example.scene is None else "read" if example.question == READ else direct or "teach"
        groups.setdefault(kind, []).append(ok)
        if direct:
            groups.setdefault("direct", []).append(ok)
    return {kind: round(sum(oks) / len(oks), 4) for kind, oks in sorted(groups.items())}


def train_tiny(
    role: Role,
    out: Path,
    *,
    seed: int = 0,
    shrink: float = 1.0,
    log: Callable[[str], None] = print,
) -> None:
    """Train a tiny model from scratch and write it as bf16 safetensors with its processor.

    `out` is written at the end of each part, and only then: a killed call starts again with the part
    it was in, from the end of the part before, and ends with the weights of an uninterrupted one. The
    record of the training is written to `training.json` beside the weights.

    Args:
        role: which model.
        out: the model directory.
        seed: of the weights and of the examples.
        shrink: factor on the steps of every part, for a quick look.
        log: called with a line now and then.

    Raises:
        RunStateError: `out` holds anything but an earlier call's part of the same training.
    """
    history = _earlier_parts(role, out, seed, shrink)
    done = {entry["part"] for entry in history if entry["last"]}
    for index, part in parts_of(role).items():
        if index in done:
            continue
        if index == 0:
            processor = build_processor(train_tokenizer(corpus(0), VOCABULARY))
            model: Any = build_model(build_config(processor.tokenizer, SIZES[role]), derive_seed(seed, role))
        else:
            loaded = load_model(str(out))
            processor, model = loaded.processor, loaded.model
        _train_part(role, index, part, model, processor, history, out, seed, shrink, log)


def _earlier_parts(role: Role, out: Path, seed: int, shrink: float) -> list[dict[str, Any]]:
    """The history of the parts that are done; refuses a folder that this training did not write."""
    recover_directory(out)
    if out.exists() and not out.is_dir():
        raise RunStateError("is a file, not a folder", where=str(out), fix="name another --out")
    if not out.is_dir() or not any(out.iterdir()):
        return []
    if not (out / "training.json").is_file():
        raise RunStateError(
            "the folder holds other files and no tiny training", where=str(out), fix="name another --out"
        )
    record = read_json(out / "training.json")
    asked = _record(role, seed, shrink)
    theirs = {key: record.get(key) for key in asked}
    if theirs != asked:
        told = ", ".join(f"{key} {theirs[key]}" for key in asked if theirs[key] != asked[key])
        raise RunStateError(f"holds another training: {told}", where=str(out), fix="name another --out")
    history: list[dict[str, Any]] = record["history"]
    return history


def _record(role: Role, seed: int, shrink: float) -> dict[str, Any]:
    """What tells one training from another, as JSON has it."""
    parts = [
        {"steps": p.steps[role], "peak": p.peak, "flat": p.flat, "mix": list(p.mix[role])}
        for p in parts_of(role).values()
    ]
    return {"role": role, "seed": seed, "shrink": shrink, "parts": parts}


def _optimizer(model: Any) -> torch.optim.Optimizer:
    decay = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.98))


def _backward(model: Any, pieces: Sequence[dict[str, torch.Tensor]]) -> float:
    """Gradients of the loss over all pieces of a batch; returns the loss."""
    labels = [piece.pop("labels") for piece in pieces]
    total = float(sum(reply_weights(each).sum() for each in labels))
    value = 0.0
    for piece, wanted in zip(pieces, labels, strict=True):
        loss = reply_loss(model(**piece).logits, wanted, total)
        loss.backward()  # type: ignore[no-untyped-call]
        value += float(loss.detach())
    return value


def _train_part(
    role: Role,
    index: int,
    part: Part,
    model: Any,
    processor: Any,
    history: list[dict[str, Any]],
    out: Path,
    seed: int,
    shrink: float,
    log: Callable[[str], None],
) -> None:
    collate, steps = Collator(processor), max(1, round(part.steps[role] * shrink))
    rng = np.random.default_rng(derive_seed(seed, role, "examples", index))
    optimizer = _optimizer(model)
    model.train()
    started, losses = time.monotonic(), []
    for step in range(steps):
        phase, jitter = phase_at(part.phases, step / steps)
        batch = READING_BATCH if phase.digits else BATCH[role]
        examples = [EXAMPLES[role](rng, phase, part.mix[role], jitter) for _ in range(batch)]
        losses.append(_backward(model, [collate(piece) for piece in in_pieces(examples, PIECES)]))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, part.peak, part.flat)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        last = step + 1 == steps
        if (step + 1) % max(1, steps // 20) == 0 or last:
            n = 4000 if last and index > 0 else 600
            entry: dict[str, Any] = {"part": index, "step": step + 1, "last": last}
            entry |= {
                "seconds": round(time.monotonic() - started, 1),
                "loss": round(float(np.mean(losses)), 4),
            }
            entry["validation"] = validation_report(role, model, collate, n, seed)
            history.append(entry)
            losses = []
            log(f"{role} {entry}")
    _save(out, model, processor, {**_record(role, seed, shrink), "history": history})


def _save(out: Path, model: Any, processor: Any, record: dict[str, Any]) -> None:
    with atomic_directory(out) as scratch:
        # A copy: casting the model itself would round the weights that training goes on with.
        state = {name: value.to(torch.bfloat16) for name, value in model.state_dict().items()}
        state.pop("lm_head.weight", None)
        model.config.dtype = torch.bfloat16
        model.save_pretrained(scratch, state_dict=state)
        processor.save_pretrained(scratch)
        write_json(scratch / "training.json", record)
