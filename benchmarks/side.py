"""One side of a comparison in a process of its own, that makes a step when it is told to.

Each side has its own process, so that its peak of memory is its own; the two take turns step by step, and
whoever waits sleeps on a pipe. Times are taken inside: from the word to the end of the optimizer's step.
"""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

SIDES = {"ours": "ours", "peer": "peer_trl"}
SETTLE = 0.1  # seconds between turns, for threads that still spin


@dataclass(frozen=True)
class Job:
    """What a side is to run.

    Attributes:
        side: "ours" or "peer".
        kind: the function of this module that builds the trainer.
        workload: see `workloads`.
        steps: optimizer steps; the first is the warm-up.
        folder: of the model.
        threads: of torch.
    """

    side: str
    kind: str
    workload: Any
    steps: int
    folder: Path
    threads: int


class Side:
    """The parent's handle of a side's process."""

    def __init__(self, job: Job) -> None:
        os.environ["OMP_NUM_THREADS"] = str(job.threads)
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_main, args=(job, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def answer(self) -> dict[str, Any]:
        """The side's next message. Raises RuntimeError with its traceback if it has failed."""
        try:
            message: dict[str, Any] = self.pipe.recv()
        except EOFError:
            raise RuntimeError("a side ended without an answer: its error is above") from None
        return message

    def step(self) -> dict[str, Any]:
        """Let it make a step, and wait for it."""
        time.sleep(SETTLE)
        self.pipe.send("go")
        return self.answer()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def alternate(jobs: tuple[Job, Job]) -> dict[str, list[dict[str, Any]]]:
    """Both sides step by step, the first one first in even rounds: what each step of each side did."""
    sides = {job.side: Side(job) for job in jobs}
    try:
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
        for side in sides.values():
            side.answer()
        for number in range(jobs[0].steps):
            order = list(sides) if number % 2 == 0 else list(sides)[::-1]
            for name in order:
                found[name].append(sides[name].step())
        return found
    finally:
        for side in sides.values():
            side.close()


def _main(job: Job, pipe: Connection) -> None:
    """The side's process."""
    os.environ |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import torch

    from vision_r1.train.quiet import quiet

    torch.set_num_threads(job.threads)
    out = Path(tempfile.mkdtemp())
    try:
        with quiet():
            trainer = globals()[job.kind](job, out)
            trainer.add_callback(_turns(trainer, pipe))
            trainer.train()
    finally:
        shutil.rmtree(out, ignore_errors=True)


def grpo(job: Job, out: Path) -> Any:
    """A GRPO trainer whose lengths are forced and whose phases are timed."""
    from workloads import Forced

    module = importlib.import_module(SIDES[job.side])
    trainer, tokenizer = module.grpo_trainer(job.workload, job.folder, job.steps, out)
    module.force(trainer if job.side == "ours" else trainer.model, Forced(job.workload, job.steps, tokenizer))
    Phases(trainer)
    return trainer


def sft(job: Job, out: Path) -> Any:
    """An SFT trainer."""
    trainer = importlib.import_module(SIDES[job.side]).sft_trainer(job.workload, job.folder, job.steps, out)
    trainer.phases = None
    return trainer


class Phases:
    """Seconds of a step's parts, by the hooks that TRL's trainer has and ours keeps.

    `rollout` is `_generate` (prompts to tokens, completions, texts), `reference` the scoring without
    gradients, `other` what remains of `_generate_and_score_completions`; the rest of a step is `training`.
    The log-probabilities of the training pass of the first step are kept, by completion.
    """

    def __init__(self, trainer: Any) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.logps: dict[tuple[int, ...], list[float]] = {}
        self.scored = 0
        trainer.phases = self
        trainer._generate = self._timed("rollout", trainer._generate)
        trainer._generate_and_score_completions = self._timed(
            "prepare", trainer._generate_and_score_completions
        )
        trainer._get_per_token_logps_and_entropies = self._watched(
            trainer, trainer._get_per_token_logps_and_entropies
        )

    @contextmanager
    def timing(self, name: str) -> Any:
        """Add the block's seconds to `name`."""
        start = time.perf_counter()
        yield
        _settle_device()
        self.seconds[name] += time.perf_counter() - start

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.timing(name):
                return function(*args, **kwargs)

        return wrapped

    def _watched(self, trainer: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        import torch

        def wrapped(model: Any, ids: Any, mask: Any, keep: int, *args: Any, **kwargs: Any) -> Any:
            with self.timing("training forward" if torch.is_grad_enabled() else "reference"):
                found = function(model, ids, mask, keep, *args, **kwargs)
            if torch.is_grad_enabled() and trainer.state.global_step == 0:
                self._keep(ids[:, -keep:], mask[:, -keep:], found[0])
            return found

        return wrapped

    def _keep(self, ids: Any, mask: Any, logps: Any) -> None:
        for row, kept, values in zip(ids, mask.bool(), logps.detach(), strict=True):
            self.logps[tuple(row[kept].tolist())] = values[kept].tolist()
            self.scored += 1

    def take(self, step: float) -> dict[str, float]:
        """Seconds of each phase of the step that took `step` seconds, and start again."""
        seconds = dict(self.seconds)
        self.seconds.clear()
        prepared = seconds.get("prepare", 0.0)
        rollout, reference = seconds.get("rollout", 0.0), seconds.get("reference", 0.0)
        return {
            "rollout": rollout,
            "reference": reference,
            "other": prepared - rollout - reference,
            "training": step - prepared,
        }


def _turns(trainer: Any, pipe: Connection) -> Any:
    """A callback that waits for its turn before each step and tells what the step did after it."""
    import psutil
    from transformers import PrinterCallback, TrainerCallback

    process = psutil.Process()
    trainer.remove_callback(PrinterCallback)

    class Turns(TrainerCallback):  # type: ignore[misc]
        """Ready, go, step, report; what TRL logs comes with the report."""

        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            """Both sides are built before the first step of either."""
            pipe.send({"ready": True})
            self.wait()
            self.level = process.memory_info().rss

        def wait(self) -> None:
            """Sleep until it is this side's turn."""
            pipe.recv()
            self.start = time.perf_counter()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            """What the step did; the log follows the step's end at once."""
            if "loss" not in logs:
                return
            _settle_device()
            seconds = time.perf_counter() - self.start
            report = {"seconds": seconds, "logs": logs, "memory": _high_water() - self.level}
            if trainer.phases is not None:
                report["phases"] = trainer.phases.take(seconds)
                report["logps"], trainer.phases.logps = trainer.phases.logps, {}
            pipe.send(report)
            if state.global_step < state.max_steps:
                self.wait()

    return Turns()


def _settle_device() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _high_water() -> int:
    """The most memory this process has had, in bytes: on the device if there is one, else in RAM."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() + process_level()
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status: peaks of memory are read on Linux alone")
