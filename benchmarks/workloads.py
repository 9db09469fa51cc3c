"""What both sides of `benchmarks/speed.py` train on: prompts, images, completion lengths, the model.

Nothing here is ours or the peer's. Rows are plain text and PNG bytes, the model is a folder on disk, and the
rule that fixes the completions' lengths reads token ids alone, so that both sides run the same code for it.
"""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

SHIPPED = Path(__file__).parent.parent / "src" / "vision_r1" / "models" / "checkpoints" / "base"
PROMPTS = 4  # a step
SEED = 7
BETA = 0.04
LEARNING_RATE = 1e-6
CONTEXT = 8192
MAX_PIXELS = 336 * 336
QUESTION = "What is the sum of the numbers in the picture?"
FRAME = 28  # tokens of the chat template, the marks around the image, and the number of the row
FILLER = "The numbers stand in a row. "


@dataclass(frozen=True, slots=True)
class Tail:
    """Long-tailed lengths: of 8 samples 6 are short, one is middling, and one is as long as the cap.

    Attributes:
        short, middle: the least and the largest length, in tokens.
    """

    short: tuple[int, int]
    middle: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Workload:
    """The shape of a GRPO step.

    Attributes:
        name: as on the command line.
        side: of the square images, in pixels.
        group: completions for each of the four prompts (G).
        tokens: of each completion, the end included; with `tail` the most.
        micro: completions in a forward and backward pass of the training, on both sides.
        goal: the least ratio of the peer's step time to ours; 0 for none.
        tail: how lengths are spread; None makes all of them `tokens`.
        prompt_tokens: the question is filled up with sentences to this many tokens; 0 leaves it short.
        warm_up: completion tokens of the first step, which is not timed; 0 for those of the others.
        rounds: timed steps of each side, unless told otherwise.
    """

    name: str
    side: int
    group: int
    tokens: int
    micro: int
    goal: float = 0.0
    tail: Tail | None = None
    prompt_tokens: int = 0
    warm_up: int = 0
    rounds: int = 3

    @property
    def rows(self) -> int:
        """Completions in a step."""
        return PROMPTS * self.group

    def lengths(self, step: int) -> np.ndarray[Any, Any]:
        """Completion lengths of step `step`, in tokens: int64 of shape (prompts, group)."""
        shape = (PROMPTS, self.group)
        if step == 0 and self.warm_up:
            return np.full(shape, self.warm_up)
        if self.tail is None:
            return np.full(shape, self.tokens)
        rng = np.random.default_rng([SEED, step])
        eighth = max(1, self.rows // 8)
        kinds = [
            np.full(eighth, self.tokens),
            rng.integers(*self.tail.middle, size=eighth, endpoint=True),
            rng.integers(*self.tail.short, size=self.rows - 2 * eighth, endpoint=True),
        ]
        return rng.permutation(np.concatenate(kinds)).reshape(shape)


WORKLOADS = {
    w.name: w
    for w in (
        Workload("W1", 112, 16, 128, 16, 1.7, rounds=5),
        Workload("W2", 336, 16, 64, 16, 5.0, rounds=4),
        Workload("W3", 336, 16, 256, 16, 2.5),
        Workload("W4", 112, 8, 512, 8, 3.0, Tail((8, 63), (64, 255))),
        Workload("W5-2K", 112, 4, 2048, 4, 0.97, prompt_tokens=500, warm_up=64, rounds=1),
        Workload("W5-4K", 112, 4, 4096, 4, 0.97, prompt_tokens=500, warm_up=64, rounds=1),
    )
}


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt.

    Attributes:
        question: ends with the two digits of the row's number, by which `Forced` knows it.
        png: its image, as a file's bytes.
    """

    question: str
    png: bytes


def rows(workload: Workload, steps: int, tokenizer: Any) -> list[Row]:
    """The prompts of `steps` steps, all with equally many tokens, each with an image of its own."""
    count = steps * PROMPTS
    if count > 100:
        raise ValueError(f"{steps} steps of {PROMPTS} prompts: two digits number 100 prompts at the most")
    rng = np.random.default_rng([SEED, workload.side])
    return [Row(f"{_padded(workload, tokenizer)} {n:02d}", _png(rng, workload.side)) for n in range(count)]


def _padded(workload: Workload, tokenizer: Any) -> str:
    """The question behind as many whole filling sentences as fit in `prompt_tokens`."""
    text = QUESTION
    while _length(workload, FILLER + text, tokenizer) <= workload.prompt_tokens:
        text = FILLER + text
    return text


def _length(workload: Workload, question: str, tokenizer: Any) -> int:
    return FRAME + (workload.side // 28) ** 2 + len(tokenizer(question)["input_ids"])


def prompt_length(workload: Workload, tokenizer: Any) -> int:
    """Tokens of a prompt, the image's included."""
    return _length(workload, _padded(workload, tokenizer), tokenizer)


def _png(rng: np.random.Generator, side: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class SftLoad:
    """The shape of an SFT step: rows of very different lengths, each with an image.

    Attributes:
        name: as on the command line.
        side: of the square images, in pixels.
        batch: rows of a step.
        shortest, longest: answer tokens, the end included; log-uniform in between, as answers are.
        goal: the least ratio of the peer's step time to ours.
    """

    name: str = "sft"
    side: int = 112
    batch: int = 16
    shortest: int = 32
    longest: int = 1024
    goal: float = 2.0

    def lengths(self, steps: int) -> list[int]:
        """Answer tokens of all rows, in their order."""
        rng = np.random.default_rng([SEED, self.longest])
        low, high = np.log(self.shortest), np.log(self.longest)
        return [round(n) for n in np.exp(rng.uniform(low, high, steps * self.batch)).tolist()]


@dataclass(frozen=True, slots=True)
class Answered:
    """A row of SFT: a prompt with its image, and the answer's text."""

    question: str
    png: bytes
    answer: str


def answered(load: SftLoad, steps: int, tokenizer: Any) -> list[Answered]:
    """The rows of `steps` steps; an answer is words of one token each, and its end is the last token."""
    rng = np.random.default_rng(SEED)
    split = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str
    words = [
        tokenizer.decode([n])
        for n in range(len(tokenizer))
        if (text := tokenizer.decode([n])).startswith(" ") and text[1:].isalpha() and len(split(text)) == 1
    ]
    return [
        Answered(QUESTION, _png(rng, load.side), "".join(rng.choice(words, length - 1).tolist()))
        for length in load.lengths(steps)
    ]


def model_folder(out: Path) -> Path:
    """The shipped `tiny:base` (1.7M parameters, 682 words) with room for longer texts and larger images."""
    shutil.copytree(SHIPPED, out)
    for name, keys, value in (
        ("config.json", ("text_config", "max_position_embeddings"), CONTEXT),
        ("tokenizer_config.json", ("model_max_length",), CONTEXT),
        ("preprocessor_config.json", ("size", "longest_edge"), MAX_PIXELS),
    ):
        path = out / name
        data = json.loads(path.read_text(encoding="utf-8"))
        place = data
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        path.write_text(json.dumps(data, indent=2), encoding="utf-8")
    return out


@torch.no_grad()
def perturb(model: Any) -> None:
    """Move the policy's weights a little off the reference's, by the same seeded noise on both sides.

    Otherwise the KL term of the first step would be 0 on both sides and its agreement would say nothing.
    """
    generator = torch.Generator().manual_seed(SEED)
    for weights in model.parameters():
        noise = torch.randn(weights.shape, generator=generator)
        if weights.dim() > 1:
            weights += (0.02 * weights.float().std().cpu() * noise).to(weights)


class Forced:
    """The end-of-sequence rule of both sides: (ids so far, logits) -> logits.

    The end of sequence has a logit of -inf up to the length that the workload's table gives to a row's
    (problem, sample), and is then the only token left; what lies between is sampled, from ordinary tokens
    alone. A row is known by its first token, which is therefore fixed: rows of a problem, which the two
    digits at the end of its question name, get those of sample 0, 1, ... in the order in which they ask for
    them. The completions of the first step are fixed as a whole, so that both sides score the same ones.

    A row holds its prompt, padded on the left, and its completion so far. Raises ValueError for more rows
    than there are ordinary tokens.
    """

    def __init__(self, workload: Workload, steps: int, tokenizer: Any) -> None:
        special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
        ordinary = [n for n in range(len(tokenizer)) if n not in special]
        count = steps * workload.rows
        if count > len(ordinary):
            raise ValueError(f"{count} completions, but {len(ordinary)} tokens to tell them apart by")
        self.workload, self.rows, self.group = workload, workload.rows, workload.group
        self.start = tokenizer.convert_tokens_to_ids("<|im_start|>")
        self.end = tokenizer.eos_token_id
        self.prompt = prompt_length(workload, tokenizer)
        self.header = len(tokenizer("<|im_start|>assistant\n")["input_ids"])
        self.digit = {tokenizer.convert_tokens_to_ids(str(n)): n for n in range(10)}
        self.arrived: Counter[int] = Counter()
        self.first = torch.tensor(ordinary[:count])
        # By token, so that a step of decoding costs little: the number of a completion, and its length.
        self.number = torch.full((len(tokenizer),), count)
        self.number[self.first] = torch.arange(count)
        self.length = torch.zeros(len(tokenizer), dtype=torch.long)
        lengths = np.concatenate([workload.lengths(step).ravel() for step in range(steps)])
        self.length[self.first] = torch.from_numpy(lengths)
        self.barred = torch.full((len(tokenizer),), float("-inf"))
        self.barred[ordinary] = 0.0
        self.script = self._script(torch.tensor(ordinary), torch.from_numpy(lengths[: workload.rows]))

    def _script(self, ordinary: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """The first step's completions, int64 of shape (rows, longest)."""
        generator = torch.Generator().manual_seed(SEED)
        shape = (self.rows, int(lengths.max()))
        script = ordinary[torch.randint(len(ordinary), shape, generator=generator)]
        return script.scatter_(1, lengths[:, None] - 1, self.end)

    def __call__(self, ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Logits of the next token, float of shape (rows, vocabulary), for ids of shape (rows, position)."""
        width = ids.shape[1]
        if self.first.device != ids.device or self.barred.shape[0] != logits.shape[1]:
            self._move(ids.device, logits.shape[1])
        logits = logits.float() + self.barred
        begin = self._begin(ids)
        fresh = begin == width
        if bool(fresh.any()):
            which = fresh.nonzero()[:, 0]
            _force(logits, which, self.first[self._arrive(ids[which])])
        first = ids.gather(1, begin.clamp(max=width - 1)[:, None])[:, 0]
        place, number = width - begin, self.number[first]
        told = (number < self.rows) & ~fresh
        if bool(told.any()):
            which = told.nonzero()[:, 0]
            column = place[which].clamp(max=self.script.shape[1] - 1)
            _force(logits, which, self.script[number[which], column])
        # Rows that have ended may stay in the peer's batch; whatever they are given is thrown away.
        ends = (place >= self.length[first] - 1) & ~fresh
        if bool(ends.any()):
            _force(logits, ends.nonzero()[:, 0], torch.tensor(self.end, device=ids.device))
        return logits

    def _begin(self, ids: torch.Tensor) -> torch.Tensor:
        """Where each row's completion begins, int64 of shape (rows,); searched for only in padded rows."""
        opened = self.prompt - self.header
        if bool((ids[:, opened] == self.start).all()):
            return torch.full((len(ids),), self.prompt, device=ids.device)
        columns = torch.arange(ids.shape[1], device=ids.device)
        return ((ids == self.start) * columns).amax(1) + self.header

    def _arrive(self, ids: torch.Tensor) -> torch.Tensor:
        """Numbers of completions that are about to get their first token."""
        numbers = []
        for tens, ones in ids[:, -self.header - 4 : -self.header - 2].tolist():
            problem = 10 * self.digit[tens] + self.digit[ones]
            numbers.append(problem * self.group + self.arrived[problem])
            self.arrived[problem] += 1
        return torch.tensor(numbers, device=ids.device)

    def _move(self, device: torch.device, vocabulary: int) -> None:
        """Onto the model's device; words that the model has beyond the tokenizer's are never sampled."""
        more = vocabulary - self.barred.shape[0]
        self.barred = torch.nn.functional.pad(self.barred, (0, more), value=float("-inf"))
        for name in ("first", "number", "length", "barred", "script"):
            setattr(self, name, getattr(self, name).to(device))


def _force(logits: torch.Tensor, rows: torch.Tensor, tokens: torch.Tensor) -> None:
    """Leave one token to each of the rows."""
    logits[rows] = float("-inf")
    logits[rows, tokens] = 0.0


def reward_of(text: str) -> float:
    """A reward that costs nothing and differs within a group: whether the text has an even length."""
    return float(len(text) % 2 == 0)
