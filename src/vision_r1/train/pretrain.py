"""Train the tiny models from scratch: first to see, then to read, then to answer (or to describe).

One digit comes first and jitter grows, because a model that starts with whole, freely placed
rows learns nothing for a long time. Only scans of the train split are ever drawn from; the
validation accuracy that is logged uses the validation split.

    vision-r1 tiny train base --out DIR        about an hour on one core
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vision_r1.core.files import atomic_directory, write_json
from vision_r1.core.seeds import derive_seed
from vision_r1.models.chat import prompt_messages, render_prompt
from vision_r1.models.processor import patches_of
from vision_r1.models.tiny import SIZES, Role, build_config, build_model, build_processor, train_tokenizer
from vision_r1.problems.drawing import Layout, Scene, draw
from vision_r1.problems.scans import Split
from vision_r1.problems.tiny_world import FAMILIES, TRAINING_FAMILIES, random_problem, random_scene
from vision_r1.teachers import language, prompts
from vision_r1.teachers.reasoner import sample_corpus

READ = "Read the image."
VOCABULARY = 704
READING_BATCH = 96
STEPS: dict[Role, int] = {"base": 4400, "teacher": 2800}
BATCH: dict[Role, int] = {"base": 96, "teacher": 40}  # the teacher's rows are three times as long


@dataclass(frozen=True, slots=True)
class Example:
    """A question, the reply to learn, and the picture, if any."""

    question: str
    reply: str
    scene: Scene | None = None


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the curriculum, as shares of all steps.

    Attributes:
        until: where it ends, as a share of the steps.
        digits: the most digits a row holds while only reading is learned; 0 for the full mix.
        jitter: the jitter reached at its end; it grows linearly from the phase before.
    """

    until: float
    digits: int
    jitter: float


CURRICULUM = (
    Phase(0.03, 1, 0.0),
    Phase(0.05, 2, 0.1),
    Phase(0.08, 5, 0.3),
    Phase(0.30, 0, 1.0),
    Phase(1.0, 0, 1.0),
)


def arithmetic(rng: random.Random) -> Example:
    """A text-only fact: a sum, difference or product, or an order, extreme or even ones of a list."""
    kind = rng.randrange(8)
    if kind < 5:
        op = "+-*+-"[kind]
        a, b = (rng.randrange(7), rng.randrange(10)) if op == "*" else (rng.randrange(55), rng.randrange(10))
        if op == "-":
            b = rng.randrange(10) if rng.random() < 0.5 else rng.randrange(a + 1)
            a = max(a, b)
        value = a + b if op == "+" else a - b if op == "-" else a * b
        if rng.random() < 0.5:
            return Example(f"What is {a}{op}{b}?", str(value))
        return Example(f"Calculate {a}{op}{b}.", f"{a}{op}{b}={value}")
    numbers = [rng.randrange(10) for _ in range(rng.randint(2, 6))]
    text = language.spaced(numbers)
    if kind == 5:
        return Example(f"Sort {text} from smallest to largest.", language.spaced(sorted(numbers)))
    if kind == 6:
        which, value = ("largest", max(numbers)) if rng.random() < 0.5 else ("smallest", min(numbers))
        return Example(f"What is the {which} of {text}?", str(value))
    parity = rng.randrange(2)
    chosen = [n for n in numbers if n % 2 == parity]
    return Example(
        f"Which of {text} are {('even', 'odd')[parity]}?", language.spaced(chosen) if chosen else "none"
    )


def _reading_scene(rng: np.random.Generator, phase: Phase, jitter: float, split: Split) -> Scene:
    if phase.digits:
        return random_scene(rng, "row", (1, int(rng.integers(1, phase.digits + 1))), split, jitter)
    layout: Layout = ("row", "row", "table", "bars", "shapes")[int(rng.integers(5))]
    size = (2, int(rng.integers(2, 4))) if layout == "table" else (1, int(rng.integers(3, 6)))
    return random_scene(rng, layout, size, split, jitter)


def base_example(rng: np.random.Generator, phase: Phase, jitter: float, split: Split = "train") -> Example:
    """Reading, a text-only fact, or a direct answer."""
    draw_kind = rng.random()
    if phase.digits or draw_kind < 0.30:
        scene = _reading_scene(rng, phase, jitter, split)
        return Example(READ, language.transcript(language.facts_of(scene)), scene)
    if draw_kind < 0.52:
        return arithmetic(random.Random(int(rng.integers(2**31))))
    family = FAMILIES[TRAINING_FAMILIES[int(rng.integers(len(TRAINING_FAMILIES)))]]
    problem = random_problem(rng, family, split, jitter=jitter)
    return Example(problem.question, problem.answer, problem.meta["scene"])


def pseudo_cot(facts: language.Facts, answer: str) -> str:
    """The reply the teacher learns for step 1."""
    return (
        f"Caption: {language.caption(facts)}\n"
        f"Reasoning: The image reads {language.transcript(facts)}. So the answer is {answer}."
    )


def _misread(facts: language.Facts, rng: np.random.Generator) -> language.Facts:
    """The facts with one digit changed, as a careless Pseudo-CoT has them."""
    rows = [list(row) for row in facts.rows]
    row = rows[int(rng.integers(len(rows)))]
    row[int(rng.integers(len(row)))] = int(rng.integers(10))
    return language.Facts(facts.layout, tuple(map(tuple, rows)), facts.heights, facts.shapes)


def teacher_example(rng: np.random.Generator, phase: Phase, jitter: float, split: Split = "train") -> Example:
    """Reading, a caption, a Pseudo-CoT (answer told or not), or a question-aware description.

    A third of the thinking processes shown in step 2 misread a digit, so that the description is
    learned from the pixels and not by copying.
    """
    draw_kind = rng.random()
    if phase.digits or draw_kind < 0.15:
        scene = _reading_scene(rng, phase, jitter, split)
        return Example(READ, language.transcript(language.facts_of(scene)), scene)
    family = FAMILIES[TRAINING_FAMILIES[int(rng.integers(len(TRAINING_FAMILIES)))]]
    problem = random_problem(rng, family, split, jitter=jitter)
    scene = problem.meta["scene"]
    facts = language.facts_of(scene)
    if draw_kind < 0.20:
        return Example(prompts.caption_prompt(), language.caption(facts), scene)
    if draw_kind < 0.60:
        told = problem.answer if rng.random() < 0.8 else None
        return Example(
            prompts.pseudo_cot_prompt(problem.question, told), pseudo_cot(facts, problem.answer), scene
        )
    thought = pseudo_cot(_misread(facts, rng) if rng.random() < 0.34 else facts, problem.answer)
    return Example(prompts.describe_prompt(problem.question, thought), language.description(facts), scene)


EXAMPLES: dict[Role, Callable[..., Example]] = {"base": base_example, "teacher": teacher_example}


def corpus(seed: int) -> list[str]:
    """Texts the tokenizer is made from: every prompt, reply and trace style of the tiny world."""
    rng = np.random.default_rng(seed)
    full = Phase(1.0, 0, 1.0)
    examples = [make(rng, full, 1.0) for make in EXAMPLES.values() for _ in range(3000)]
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


def _phase_at(share: float) -> tuple[Phase, float]:
    """The phase and jitter at this share of the steps."""
    start, before = 0.0, 0.0
    for phase in CURRICULUM:
        if share < phase.until:
            return phase, before + (phase.jitter - before) * (share - start) / (phase.until - start)
        start, before = phase.until, phase.jitter
    return CURRICULUM[-1], CURRICULUM[-1].jitter


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over 100 steps, flat to 60%, then cosine to 2% of the peak."""
    if step < 100:
        return peak * (step + 1) / 100
    share = max(0.0, (step / steps - 0.6) / 0.4)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


def reply_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with each reply weighed by the square root of its length.

    A plain token mean would drown the two tokens of a direct answer in the long readings.

    Args:
        logits: float of shape (batch, length, vocabulary).
        labels: int64 of shape (batch, length), -100 where nothing is learned.
    """
    targets = labels[:, 1:]
    keep = targets != -100
    weights = (keep / keep.sum(1, keepdim=True).clamp(min=1).sqrt())[keep]
    losses = torch.nn.functional.cross_entropy(logits[:, :-1][keep], targets[keep], reduction="none")
    return (losses * weights).sum() / weights.sum()


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
    """Share of exact replies on validation scans, by the kind of question."""
    rng = np.random.default_rng(derive_seed(seed, "validation"))
    examples = [EXAMPLES[role](rng, CURRICULUM[-1], 1.0, "validation") for _ in range(n)]
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
    steps: int | None = None,
    peak: float = 1.5e-3,
    log: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train a tiny model from scratch and write it as bf16 safetensors with its processor.

    Returns:
        The training record, also written to `training.json` beside the weights.
    """
    steps = STEPS[role] if steps is None else steps
    processor = build_processor(train_tokenizer(corpus(0), VOCABULARY))
    model = build_model(build_config(processor.tokenizer, SIZES[role]), derive_seed(seed, role))
    collate = Collator(processor)
    rng = np.random.default_rng(derive_seed(seed, role, "examples"))
    decay = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}],
        lr=peak,
        betas=(0.9, 0.98),
    )
    history: list[dict[str, Any]] = []
    started, losses = time.monotonic(), []
    for step in range(steps):
        phase, jitter = _phase_at(step / steps)
        batch = READING_BATCH if phase.digits else BATCH[role]
        data = collate([EXAMPLES[role](rng, phase, jitter) for _ in range(batch)])
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak)
        labels = data.pop("labels")
        loss = reply_loss(model(**data).logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
        if (step + 1) % max(1, steps // 45) == 0 or step + 1 == steps:
            report = validation_report(role, model, collate, 600 if step + 1 < steps else 4000, seed)
            entry: dict[str, Any] = {"step": step + 1, "seconds": round(time.monotonic() - started, 1)}
            entry |= {"loss": round(float(np.mean(losses)), 4), "validation": report}
            history.append(entry)
            losses = []
            log(f"{role} {entry}")
            _save(out, model, processor, {"role": role, "seed": seed, "steps": steps, "history": history})
    return {"role": role, "seed": seed, "steps": steps, "history": history}


def _save(out: Path, model: Any, processor: Any, record: dict[str, Any]) -> None:
    with atomic_directory(out) as scratch:
        # A copy: casting the model itself would round the weights that training goes on with.
        state = {name: value.to(torch.bfloat16) for name, value in model.state_dict().items()}
        state.pop("lm_head.weight", None)
        model.config.dtype = torch.bfloat16
        model.save_pretrained(scratch, state_dict=state)
        processor.save_pretrained(scratch)
        write_json(scratch / "training.json", record)
