r"""How long filtering, grading and rewriting of construction rows take, and how much memory.

    python benchmarks/filtering.py [--rows 200000] [--workers N] [--rules] [--json]

Thoughts of about 600 words in the manner of a text-only reasoner, nine answers in ten plain (numbers,
choices, words) and one symbolic; a tenth of the rows has one of the faults that rules are for. What each
row must come to is known and checked. Exit status 1 over 600 seconds, over 2 GiB in all processes together,
or where a row came to something else. `--rules` times each rule by itself in one process instead.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator

import psutil

from vision_r1.construct.config import FilterLimits
from vision_r1.construct.filters import RULES, Candidate, Reading
from vision_r1.construct.judge import judge, judge_rows
from vision_r1.construct.rewrite import leftover_talk, rewrite
from vision_r1.grading import GradeSpec

SEED = 11
WORDS = 600
LIMITS = FilterLimits(max_tokens=4096)
MOST_SECONDS, MOST_BYTES = 600.0, 2 * 2**30
TALK = (
    "The description says that the bar for {a} stands at {b}.",
    "According to the image description, the label next to the point is {a}.",
    "Let me re-read the description, in case I missed something about row {a}.",
    "The description also mentions that there are {a} marks on the axis.",
    "Since I can't see the image, I have to rely on the description.",
    "The user provided a description of a chart with {a} groups.",
)
PROSE = (
    "Okay, let's see, so I need to work out what is asked here, and then go on from there step by step.",
    "Wait, let me check that again, because it is easy to mix up the rows {a} and {b} in such a table.",
    "Hmm, the value at position {a} seems to be larger than the one at position {b}, which fits the trend.",
    "First, {a} + {b} = {c}, and that is the part that belongs to the left side of the figure.",
    "Then I take {c} - {b} = {a}, which brings me back to where I began, so the step was right.",
    "Alternatively, I could count from the other end, which gives the same number after {a} steps.",
    "The angle at the top and the one at the base add up to a right angle, as they must in this triangle.",
    "So the slope between the two points follows from the difference of their heights over the distance {a}.",
    "Now the question asks about the whole, not about the part, so I have to be careful with the units.",
    "If that is the case, then the remaining {a} items belong to the second group and the other {b} do not.",
    "But maybe I should look at the legend once more, since the colours of series {a} and {b} are close.",
    "From {a} to {b} is a step of the scale, which I will need for the second part of this task as well.",
    "Let me think about what that means for the shaded region, since it is bounded by {a} on one side.",
    "It would be wrong to read {a} off the left axis here, as the line belongs to the axis on the right.",
    "To be sure, I go over row {a} a second time: it has {b} in its last cell, and nothing after that.",
    "So far so good; with {a} done, what is left is to compare the two candidates with one another.",
    "Given the symmetry, the point at {a} has a partner at {b}, and their midpoint lies on the axis.",
    "Another way to see this is to cut the shape into {a} smaller ones, each with the same area.",
    "No, wait, {a} is the label of the category and {b} is its value, so I must not add these two.",
    "All in all there are {a} of them before the change and {b} after it, if I have counted well.",
    "Putting the pieces together, I have {a} on one hand and {b} on the other, and the rest cancels.",
    "The tallest one reaches {a}, the next one {b}, and the others are so low that they do not matter.",
    "Since {a} comes before {b} in the order of the months, the trend goes down first and then up.",
    "Multiplying by the number of groups, {a} * {b} = {d}, I get the total for the first half of the year.",
)
SYMBOLIC = (
    (r"\frac{%d}{%d}", r"\frac{%d}{%d}", lambda n: (n, n + 7), lambda n: (2 * n, 2 * n + 14)),
    (r"%d\sqrt{%d}", r"\sqrt{%d}", lambda n: (n, 3), lambda n: (3 * n * n,)),
    (r"x^2+%dx", r"x(x+%d)", lambda n: (n,), lambda n: (n,)),
)


def thought(rng: random.Random) -> str:
    """About 600 words, a tenth of the sentences talk of a description."""
    sentences, words, order = [], 0, list(PROSE)
    rng.shuffle(order)
    while words < WORDS:
        a, b = rng.randrange(10, 5000), rng.randrange(10, 5000)
        pattern = rng.choice(TALK) if rng.random() < 0.1 else order[len(sentences) % len(order)]
        sentences.append(pattern.format(a=a, b=b, c=a + b, d=a * b))
        words += len(sentences[-1].split())
    return " ".join(sentences)


def row(index: int) -> tuple[Candidate, str]:
    """A candidate and the rule that must drop it, or "kept"."""
    rng = random.Random(SEED * 1_000_003 + index)
    text, n = thought(rng), rng.randrange(2, 900)
    options: tuple[str, ...] = ()
    if index % 10 == 0:
        gold, answer, numbers, same = rng.choice(SYMBOLIC)
        spec, reply = GradeSpec(gold % numbers(n)), rf"So it is \boxed{{{answer % same(n)}}}."
    elif index % 3 == 0:
        options = tuple(f"{n + step} cm" for step in range(4))
        spec, reply = GradeSpec("C", "choice", options), rf"The answer is \boxed{{C}}. It is {n + 2} cm."
    else:
        spec, reply = GradeSpec(str(n)), f"**Final Answer:** {n}"
    fault = rng.choice(("wrong", "missing", "refusal", "sum", "loop")) if index % 10 == 3 else ""
    if fault == "wrong":
        reply = r"\boxed{-1}"
    elif fault == "missing":
        text += " The description does not mention the height, so I will go on without it."
    elif fault == "refusal":
        reply = "I'm sorry, but I can't assist with that."
    elif fault == "sum":
        text += " In the end 17 + 25 = 52. That is all."
    elif fault == "loop":
        text += " Wait, let me check the numbers in this row again, they are 4 7 1." * 9
    rule = {"": "kept", "wrong": "wrong_answer", "missing": "missing_information", "sum": "arithmetic"}
    return Candidate(text, reply, spec, WORDS), rule.get(fault, {"loop": "repetition"}.get(fault, fault))


class Memory(threading.Thread):
    """Watches the resident memory and the processor time of this process and of all below it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.ended = 0, threading.Event()
        self._spent: dict[int, float] = {}

    def run(self) -> None:
        """Look twice a second."""
        own = psutil.Process()
        while not self.ended.wait(0.5):
            total = 0
            for process in (own, *own.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                    times = process.cpu_times()
                    self._spent[process.pid] = times.user + times.system
                except psutil.NoSuchProcess:
                    continue
            self.peak = max(self.peak, total)

    @property
    def cpu_seconds(self) -> float:
        """Processor time of all of them, as they were last seen."""
        return sum(self._spent.values())


def whole(rows: int, workers: int | None) -> dict[str, object]:
    """Judge `rows` rows and hold each against what it must come to."""
    memory = Memory()
    memory.start()
    begin = time.monotonic()
    cases = ((row(index)) for index in range(rows))
    expected: list[str] = []

    def candidates() -> Iterator[Candidate]:
        for candidate, rule in cases:
            expected.append(rule)
            yield candidate

    reasons: Counter[str] = Counter()
    misjudged, rewritten = 0, 0
    for index, judged in enumerate(judge_rows(candidates(), LIMITS, workers)):
        reasons[judged.reason] += 1
        rewritten += judged.rewritten
        misjudged += judged.reason != expected[index]
    seconds = time.monotonic() - begin
    memory.ended.set()
    memory.join()
    return {
        "rows": rows, "seconds": round(seconds, 1), "rows_per_s": round(rows / seconds),
        "cpu_seconds": round(memory.cpu_seconds), "peak_mib": round(memory.peak / 2**20),
        "rewritten": rewritten, "misjudged": misjudged,
        "reasons": dict(reasons.most_common()),
    }  # fmt: skip


def by_rule(rows: int) -> dict[str, float]:
    """Microseconds a row of each rule, of rewriting and of all together, in one process."""
    candidates = [row(index)[0] for index in range(rows)]
    spent: Counter[str] = Counter()
    for candidate in candidates:
        reading = Reading(candidate, LIMITS)
        for name, rule in RULES.items():
            begin = time.perf_counter()
            rule(reading)
            spent[name] += time.perf_counter() - begin
        begin = time.perf_counter()
        rewrite(candidate.thought)
        spent["rewrite, by itself"] += time.perf_counter() - begin
        begin = time.perf_counter()
        leftover_talk(reading.thought)
        spent["residual_talk"] += time.perf_counter() - begin
        begin = time.perf_counter()
        judge(candidate, LIMITS)
        spent["all"] += time.perf_counter() - begin
    return {name: round(1e6 * seconds / rows, 1) for name, seconds in spent.most_common()}


def main() -> int:
    """Run, print, and say whether the limits were kept."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--rules", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.rules:
        for name, micros in by_rule(min(given.rows, 2000)).items():
            print(f"{micros:10.1f} us  {name}")
        return 0
    result = whole(given.rows, given.workers)
    if given.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:12} {value}")
    slow = float(str(result["seconds"])) > MOST_SECONDS
    large = int(str(result["peak_mib"])) * 2**20 > MOST_BYTES
    return int(slow or large or bool(result["misjudged"]))


if __name__ == "__main__":
    sys.exit(main())
