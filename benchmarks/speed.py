"""Speed of training and rollouts: ours against the peer's own code in turns, with the limit beside it.

    python benchmarks/speed.py [--part W1 W2 W3 W4 W5 rollouts sft ceiling growth] [--rounds N] [--json]
                               [--threads N] [--plot] [--vllm PYTHON] [--llamafactory PYTHON] [--shape 3b|7b]

W1 ... W5   a GRPO step of `train.grpo.VisionGrpoTrainer` against one of TRL 1.16's GRPOTrainer with its
            in-process generation (`workloads.py` has the workloads; W5 is W5-2K and W5-4K)
rollouts    completions alone, W2 and W4: our engine against transformers' `generate`, and vLLM's tokens a
            second in its own process where `--vllm` names the python of its environment
sft         rows of mixed lengths with images: `train.sft.VisionSftTrainer` against TRL's SFTTrainer, which
            pads, and LLaMA-Factory's neat packing where `--llamafactory` names its environment's python
ceiling     what the same matrix products take alone, see `products.py`
growth      a step's time against G, image size and completion length; `--plot` draws it

The model is the shipped `tiny:base` (1.7M parameters, 682 words) with room for 8,192 tokens and 336x336
pixels, in float32, gradient checkpointing off, 4 prompts a step, beta > 0. Each side has a process of its own
with as many threads. They take turns step by step, the order changes every round, and whoever waits sleeps.
The first step of each is a warm-up. A ratio is of the two steps of a round; quoted are the median and, in
brackets, the least and the largest.

Refused where they are not equal on both sides: every setting of TRL's configuration but the output folder and
the seed (micro-batch, accumulation, one generation for each optimizer step, unshuffled prompts, loss, KL
without bias correction, optimizer, logging), the tokens of prompts and completions in every step, and, to
1e-4, the log-probabilities of the first step, whose completions are the same. The rule of `workloads.Forced`
fixes the lengths on both sides and leaves ordinary tokens alone to be sampled. The reward is the parity of
the text's length. What differs is the code, and with it:

- the seed of the trainers, and how a token is drawn: torch.multinomial in TRL, inverse transform sampling in
  ours;
- TRL shuffles a step's completions before it cuts micro-batches; ours cuts them its own way;
- TRL decodes and preprocesses an image for every completion and pass; ours keeps the patches of a prompt;
- TRL's processor is the stock one without its video part, which needs torchvision; ours is the project's;
- TRL loads its reference from the model's folder, ours is handed over; both are the same weights, and the
  policy is these with the same seeded noise on top, so that the KL term is not 0;
- the seconds of `rollout` include what each side does to its prompts before and its texts after;
- in `sft`, both get the same rows in the same order and batches; TRL's rows are the chat template's text.

Memory is the high-water mark of a process's RAM above its level before the first step. Exits with 1 where a
ratio misses its goal, or where our step takes more memory than the peer's on W1 to W4. On a CUDA device the
same runs in bfloat16; `--shape` takes Qwen2.5-VL's sizes with random weights and adds the fractions of peak
FLOP/s and of memory bandwidth. Neither has been run yet, nor have `--vllm` and `--llamafactory`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import table

if TYPE_CHECKING:
    from workloads import Workload

Say = Callable[[str], None]
PARTS = ("W1", "W2", "W3", "W4", "W5", "rollouts", "sft", "ceiling", "growth")
PLOT = Path(__file__).parent.parent / "docs" / "benchmarks" / "growth.png"
LESS_MEMORY = ("W1", "W2", "W3", "W4")  # where ours may not take more


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--rounds",
        type=int,
        choices=range(1, 10),
        help="timed steps of each side; each part has its own number",
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--plot", action="store_true", help=f"draw growth into {PLOT.parent.name}/{PLOT.name}"
    )
    parser.add_argument("--vllm", metavar="PYTHON")
    parser.add_argument("--llamafactory", metavar="PYTHON")
    parser.add_argument("--shape", choices=("3b", "7b"))
    return parser.parse_args(given)


def measure(options: argparse.Namespace, folder: Path, say: Say) -> dict[str, Any]:
    """All figures by part, and what misses its goal."""
    import growth
    import rollout_speed
    import sft_speed
    from shapes import shaped_folder
    from workloads import WORKLOADS, model_folder

    shaped_folder(folder, options.shape) if options.shape else model_folder(folder)
    threads, parts, rounds = options.threads, options.part, options.rounds
    found: dict[str, Any] = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "threads": threads, "load": [load()]}
    steps = [w for name, w in WORKLOADS.items() if name.split("-")[0] in parts]
    found["steps"] = [measure_step(workload, options, folder, say) for workload in steps]
    if "ceiling" in parts:
        found["ceiling"] = ceilings(steps or list(WORKLOADS.values()), found["steps"], options, folder, say)
    if "rollouts" in parts:
        found["rollouts"] = rollout_speed.part(rounds or 3, folder, threads, options.vllm)
        say("\n".join(map(table.side_by_side, found["rollouts"])))
    if "sft" in parts:
        found["sft"] = sft_speed.part(rounds or 5, folder, threads, options.llamafactory)
        say("\n".join(map(table.side_by_side, found["sft"])))
    if "growth" in parts:
        found["growth"] = growth.part(rounds or 1, folder, threads)
        say("\n".join(map(table.growth, found["growth"])))
        if options.plot:
            growth.plot(found["growth"], PLOT)
    found["load"].append(load())
    return found | {"missed": missed(found)}


def measure_step(workload: Workload, options: argparse.Namespace, folder: Path, say: Say) -> dict[str, Any]:
    """The figures of one of W1 ... W5."""
    import step_times

    figures = step_times.measure(workload, options.rounds or workload.rounds, folder, options.threads)
    say(table.step(figures))
    return figures


def ceilings(
    asked: list[Workload],
    measured: list[dict[str, Any]],
    options: argparse.Namespace,
    folder: Path,
    say: Say,
) -> list[dict[str, Any]]:
    """The products of each workload alone, and what share of a step they are where it was measured."""
    import products
    from shapes import fractions

    limits = products.part(asked, folder, options.threads)
    steps = {figures["workload"]: figures for figures in measured}
    for workload, limit in zip(asked, limits, strict=True):
        if workload.name in steps:
            limit["share"] = products.shares(limit, steps[workload.name])
            if options.shape:
                limit["of_peak"] = fractions(workload, steps[workload.name], limit, folder)
        say(table.ceiling(limit))
    return limits


def load() -> float:
    """Processes that wanted the processor in the last minute, on average."""
    return round(os.getloadavg()[0], 2)


def missed(found: dict[str, Any]) -> list[str]:
    """What is not reached, in words."""
    words = []
    for figures in [*found.get("steps", []), *found.get("rollouts", []), *found.get("sft", [])]:
        name, memory = figures["workload"], figures.get("memory_mib")
        if figures["ratio"] < figures["goal"]:
            words.append(f"{name}: {figures['ratio']} times the peer's speed, not {figures['goal']}")
        if name in LESS_MEMORY and memory["ours"] > memory["peer"]:
            words.append(f"{name}: {memory['ours']} MiB, the peer takes {memory['peer']}")
        for other in ("vllm", "llama_factory"):
            versus = figures.get(other)
            if isinstance(versus, dict) and versus["ratio"] < versus["goal"]:
                words.append(f"{name}: {versus['ratio']} times the speed of {other}, not {versus['goal']}")
    return words


def main() -> int:
    """Measure and print."""
    options = arguments()

    def say(text: str) -> None:
        print(text, file=sys.stderr if options.json else sys.stdout, flush=True)

    with tempfile.TemporaryDirectory() as work:
        found = measure(options, Path(work) / "model", say)
    if options.json:
        print(json.dumps(found))
    for text in found["missed"]:
        say(f"missed: {text}")
    return int(bool(found["missed"]))


if __name__ == "__main__":
    sys.exit(main())
