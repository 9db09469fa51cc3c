"""Two teachers at one made-up endpoint, and a set of problems for them. Answers depend on the request alone."""

from __future__ import annotations

import hashlib
import json
import random
import re
from pathlib import Path
from typing import Any

from PIL import Image

from faulty_server import Answer, prompt_of, reply

EYES, MIND = "eyes", "mind"
IMAGE_TOKENS = 4
_SUM = re.compile(r"What is (\d+) plus (\d+)")


def choice(body: dict[str, Any], of: int) -> int:
    """A number below `of` that depends on the request alone."""
    text = json.dumps([body["model"], prompt_of(body), body.get("seed")])
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % of


def images_in(body: dict[str, Any]) -> int:
    """How many images a request brings."""
    content = body["messages"][-1]["content"]
    return 0 if isinstance(content, str) else sum("image_url" in part for part in content)


def counted(body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """The answer of a server that counts images into the prompt, as a real one does."""
    answer["usage"]["prompt_tokens"] += IMAGE_TOKENS * images_in(body)
    return answer


def said_by(body: dict[str, Any]) -> dict[str, Any]:
    """What the teachers say, with what it cost."""
    return counted(body, _said_by(body))


def _said_by(body: dict[str, Any]) -> dict[str, Any]:
    """What the teachers say: the MLLM forgets its headings now and then, the reasoner is wrong now and then."""
    prompt = prompt_of(body)
    if prompt == "Describe the image in detail.":
        return reply("Grey noise.")
    a, b = map(int, _SUM.search(prompt).groups())
    if body["model"] == MIND:
        wrong = choice(body, 10) == 0
        total = a + b + wrong
        thought = f"The description says there are {a} and {b}. Wait, let me check. {a} + {b} = {a + b}."
        return reply(f"The sum is what we want.\n\nFinal Answer: {total}", reasoning_content=thought)
    if "under its heading" in prompt:
        if choice(body, 12) == 0:
            return reply("I see a picture.")
        return reply(f"Caption: two numbers, {a} and {b}\nReasoning: {a} and {b} make {a + b}.")
    return reply(f"The image shows the numbers {a} and {b}, side by side.")


def script(delay: float = 0.0):
    """The script of a `FaultyServer`."""
    return lambda body, before: Answer(said_by(body), delay=delay)


def write_problems(folder: Path, n: int, seed: int = 0) -> Path:
    """`n` problems with an image each, as a table of JSON lines."""
    rng = random.Random(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = []
    for index in range(n):
        a, b = rng.randrange(1, 900), rng.randrange(1, 90)
        image = Image.effect_noise((24, 24), 90 + index % 7).convert("RGB")
        image.putpixel((0, 0), (index % 256, index // 256, seed % 256))
        image.save(folder / "images" / f"{index}.png")
        question = f"What is {a} plus {b} in the image?"
        lines.append(
            {"id": f"q{index}", "question": question, "answer": str(a + b), "image": f"images/{index}.png"}
        )
    path = folder / "problems.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def settings(url: str, table: Path, **changes: Any) -> dict[str, Any]:
    """A construction of that table with both teachers at `url`."""
    role = {"endpoints": [{"url": url, "max_in_flight": 16}], "max_tokens": 512}
    return {
        "data": {"sums": {"kind": "file", "path": str(table)}},
        "mllm": {"model": EYES, "temperature": 0.0, **role},
        "reasoner": {"model": MIND, "temperature": 0.6, **role},
        "near_duplicates": False,
        **changes,
    }
