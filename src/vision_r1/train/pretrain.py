"""Train the tiny models from scratch: first to see, then to read, then to answer (or to describe).

One digit comes first and jitter grows, because a model that starts with whole, freely placed
rows learns nothing for a long time. Only scans of the train split are ever drawn from; the
validation accuracy that is logged uses the validation split.

    vision-r1 tiny train base --out DIR        under an hour on one core
"""

from __future__ import annotations

import functools
import itertools
import math
import random
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
from vision_r1.problems.drawing import SHAPES, Layout, Scene, draw
from vision_r1.problems.scans import Split
from vision_r1.problems.tiny_world import FAMILIES, TRAINING_FAMILIES, random_problem, random_scene
from vision_r1.teachers import language, prompts
from vision_r1.teachers.reasoner import sample_corpus

Mix = tuple[float, ...]
READ = "Read the image."
VOCABULARY = 704
READING_BATCH = 96
BATCH: dict[Role, int] = {"base": 96, "teacher": 40}  # the teacher's rows are three times as long


@dataclass(frozen=True, slots=True)
class Example:
    """A question, the reply to learn, and the picture, if any."""

    question: str
    reply: str
    scene: Scene | None = None


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a part.

    Attributes:
        until: where it ends, as a share of the part's steps.
        digits: the most digits a row holds while only reading is learned; 0 for the full mix.
        jitter: the jitter reached at its end; it grows linearly from the phase before.
    """

    until: float
    digits: int
    jitter: float


@dataclass(frozen=True, slots=True)
class Part:
    """One run of the optimizer.

    Attributes:
        steps: optimizer steps, by role; 0 where a role has no such part.
        horizon: steps that phases and learning rate are planned over; a part may end before them.
        peak: learning rate after the warm-up.
        flat: share of the steps before it falls as a cosine to 2% of the peak; 1 for never.
        phases: the curriculum.
        mix: cumulative shares of the kinds of examples, by role. Base: reading, text-only facts,
            words to repeat and longer facts; the rest are direct answers. A fourth figure is the
            share of single steps among the longer facts. Teacher: reading, captions, Pseudo-CoTs; the
            rest are descriptions.
    """

    steps: dict[Role, int]
    horizon: dict[Role, int]
    peak: float
    flat: float
    phases: tuple[Phase, ...]
    mix: dict[Role, tuple[float, ...]]


FULL = Phase(1.0, 0, 1.0)
PARTS: tuple[Part, ...] = (
    Part(  # to see: one digit, then two, then rows, then everything while the jitter grows
        {"base": 1746, "teacher": 1550},
        {"base": 1746, "teacher": 1550},
        1.5e-3,
        1.0,
        (Phase(0.08, 1, 0.0), Phase(0.13, 2, 0.1), Phase(0.21, 5, 0.3), Phase(0.8, 0, 1.0), FULL),
        {"base": (0.30, 0.52, 0.52), "teacher": (0.15, 0.20, 0.60)},
    ),
    Part(  # to answer
        {"base": 2550, "teacher": 1500},
        {"base": 3000, "teacher": 1500},
        1.2e-3,
        0.5,
        (FULL,),
        {"base": (0.25, 0.60, 0.60), "teacher": (0.30, 0.34, 0.60)},
    ),
    Part(  # to know the words: a token that was never written is like every other such token
        {"base": 1000, "teacher": 0},
        {"base": 1000, "teacher": 0},
        1.2e-3,
        0.25,
        (FULL,),
        {"base": (0.22, 0.47, 0.65), "teacher": ()},
    ),
    Part(  # to know single steps in text
        {"base": 700, "teacher": 0},
        {"base": 700, "teacher": 0},
        1e-3,
        0.3,
        (FULL,),
        {"base": (0.12, 0.24, 0.74, 0.9), "teacher": ()},
    ),
)


def arithmetic(rng: random.Random) -> Example:
    """A text-only fact: a sum, difference or product, or an order, extreme or even ones of a list."""
    kind = rng.randrange(9)
    if kind < 6:
        op = "+-*+-+"[kind]
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
    if kind == 6:
        return Example(f"Sort {text} from smallest to largest.", language.spaced(sorted(numbers)))
    if kind == 7:
        which, value = ("largest", max(numbers)) if rng.random() < 0.5 else ("smallest", min(numbers))
        return Example(f"What is the {which} of {text}?", str(value))
    parity = rng.randrange(2)
    chosen = [n for n in numbers if n % 2 == parity]
    return Example(
        f"Which of {text} are {('even', 'odd')[parity]}?", language.spaced(chosen) if chosen else "none"
    )


def long_sum(rng: np.random.Generator) -> Example:
    """A text-only sum of several numbers, written out."""
    numbers = [int(n) for n in rng.integers(10, size=int(rng.integers(3, 7)))]
    totals = list(itertools.accumulate(numbers))
    sums = [f"{a}+{b}={c}" for a, b, c in zip(totals, numbers[1:], totals[1:], strict=False)]
    return Example(f"Add {language.spaced(numbers)}.", ", ".join(sums) + ".")


def step_fact(rng: np.random.Generator) -> Example:
    """A text-only fact about a few numbers, said in one sentence: one step, never two."""
    numbers = [int(n) for n in rng.integers(10, size=int(rng.integers(3, 6)))]
    text, kind = language.spaced(numbers), int(rng.integers(7))
    if kind == 0:
        return long_sum(rng)
    if kind == 1:
        word, parity = (("Even", 0), ("Odd", 1))[int(rng.integers(2))]
        chosen = [n for n in numbers if n % 2 == parity]
        said = f"{word}: {language.spaced(chosen) if chosen else 'none'}"
        if rng.random() < 0.4:
            return Example(f"{word} ones of {text}, and how many?", f"{said}, so {len(chosen)}.")
        return Example(f"{word} ones of {text}?", f"{said}.")
    if kind == 2:
        largest, smallest = max(numbers), min(numbers)
        if rng.random() < 0.4:
            reply = f"The largest is {largest} and the smallest is {smallest}."
            return Example(f"Largest and smallest of {text}?", reply)
        return Example(f"Largest of {text}?", f"The largest is {largest}.")
    if kind == 3:
        return Example(f"Sort {text}.", f"Sorted: {language.spaced(sorted(numbers))}.")
    if kind == 4:
        heights = [int(h) + 1 for h in rng.permutation(6)[: len(numbers)]]
        taller = [n for n, h in zip(numbers, heights, strict=True) if h > heights[0]]
        said = language.spaced(taller) if taller else "none"
        question = f"heights {language.spaced(heights)}, numbers {text}. Taller than the first?"
        return Example(question, f"Taller than {heights[0]}: {said}.")
    shapes = [SHAPES[int(i)] for i in rng.integers(len(SHAPES), size=len(numbers))]
    wanted = SHAPES[int(rng.integers(len(SHAPES)))]
    inside = [n for n, shape in zip(numbers, shapes, strict=True) if shape == wanted]
    listed = ", ".join(f"{shape} {n}" for shape, n in zip(shapes, numbers, strict=True))
    return Example(f"{listed}. In {wanted}s?", f"In {wanted}s: {language.spaced(inside) if inside else 'none'}.")


@functools.cache
def vocabulary_words() -> tuple[str, ...]:
    """The words of the tiny world's texts, in alphabetical order; repeated at random, they say nothing."""
    return tuple(
        sorted(
            {
                word
                for text in sample_corpus(0, 600)
                for word in text.split()
                if not any(c.isdigit() for c in word)
            }
        )
    )


def _reading_scene(rng: np.random.Generator, phase: Phase, jitter: float, split: Split) -> Scene:
    if phase.digits:
        return random_scene(rng, "row", (1, int(rng.integers(1, phase.digits + 1))), split, jitter)
    layout: Layout = ("row", "row", "table", "bars", "shapes", "shapes")[int(rng.integers(6))]
    size = (2, int(rng.integers(2, 4))) if layout == "table" else (1, int(rng.integers(3, 6)))
    return random_scene(rng, layout, size, split, jitter)


def base_example(
    rng: np.random.Generator, phase: Phase, mix: Mix, jitter: float, split: Split = "train"
) -> Example:
    """Reading, a text-only fact, words to repeat, or a direct answer."""
    draw_kind = rng.random()
    if phase.digits or draw_kind < mix[0]:
        scene = _reading_scene(rng, phase, jitter, split)
        return Example(READ, language.transcript(language.facts_of(scene)), scene)
    if draw_kind < mix[1]:
        return arithmetic(random.Random(int(rng.integers(2**31))))
    if draw_kind < mix[2]:
        if len(mix) > 3 and rng.random() < mix[3]:
            return step_fact(rng)
        if rng.random() < 0.3:
            return long_sum(rng)
        words = " ".join(rng.choice(vocabulary_words(), size=int(rng.integers(3, 13))))
        return Example(f"Repeat: {words}", words)
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


def teacher_example(
    rng: np.random.Generator, phase: Phase, mix: Mix, jitter: float, split: Split = "train"
) -> Example:
    """Reading, a caption, a Pseudo-CoT (answer told or not), or a question-aware description.

    A third of the thinking processes shown in step 2 misread a digit, so that the description is
    learned from the pixels and not by copying.
    """
    draw_kind = rng.random()
    if phase.digits or draw_kind < mix[0]:
        scene = _reading_scene(rng, phase, jitter, split)
        return Example(READ, language.transcript(language.facts_of(scene)), scene)
    family = FAMILIES[TRAINING_FAMILIES[int(rng.integers(len(TRAINING_FAMILIES)))]]
    problem = random_problem(rng, family, split, jitter=jitter)
    scene = problem.meta["scene"]
    facts = language.facts_of(scene)
    if draw_kind < mix[1]:
        return Example(prompts.caption_prompt(), language.caption(facts), scene)
    if draw_kind < mix[2]:
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


def _phase_at(phases: Sequence[Phase], share: float) -> tuple[Phase, float]:
    """The phase and jitter at this share of a part's steps."""
    start, before = 0.0, 0.0 if len(phases) > 1 else 1.0
    for phase in phases:
        if share < phase.until:
            return phase, before + (phase.jitter - before) * (share - start) / (phase.until - start)
        start, before = phase.until, phase.jitter
    return phases[-1], phases[-1].jitter


def learning_rate(step: int, steps: int, peak: float, flat: float) -> float:
    """Linear warm-up over 100 steps, flat, then cosine to 2% of the peak."""
    if step < 100:
        return peak * (step + 1) / 100
    share = max(0.0, (step / steps - flat) / (1 - flat)) if flat < 1 else 0.0
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
    for index, part in enumerate(PARTS):
        if index in done or not part.steps[role]:
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
    asked = {"role": role, "seed": seed, "shrink": shrink}
    theirs = {key: record.get(key, value) for key, value in asked.items()}
    if theirs != asked:
        told = ", ".join(f"{key} {value}" for key, value in theirs.items())
        raise RunStateError(f"holds another training: {told}", where=str(out), fix="name another --out")
    history: list[dict[str, Any]] = record["history"]
    return history


def _optimizer(model: Any) -> torch.optim.Optimizer:
    decay = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.98))


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
    horizon = max(1, round(part.horizon[role] * shrink))
    rng = np.random.default_rng(derive_seed(seed, role, "examples", index))
    optimizer = _optimizer(model)
    model.train()
    started, losses = time.monotonic(), []
    for step in range(steps):
        phase, jitter = _phase_at(part.phases, step / horizon)
        batch = READING_BATCH if phase.digits else BATCH[role]
        data = collate([EXAMPLES[role](rng, phase, part.mix[role], jitter) for _ in range(batch)])
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, horizon, part.peak, part.flat)
        labels = data.pop("labels")
        loss = reply_loss(model(**data).logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
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
    _save(out, model, processor, {"role": role, "seed": seed, "shrink": shrink, "history": history})


def _save(out: Path, model: Any, processor: Any, record: dict[str, Any]) -> None:
    with atomic_directory(out) as scratch:
        # A copy: casting the model itself would round the weights that training goes on with.
        state = {name: value.to(torch.bfloat16) for name, value in model.state_dict().items()}
        state.pop("lm_head.weight", None)
        model.config.dtype = torch.bfloat16
        model.save_pretrained(scratch, state_dict=state)
        processor.save_pretrained(scratch)
        write_json(scratch / "training.json", record)
