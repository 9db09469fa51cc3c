"""One side of a comparison in a process of its own, that makes a step when it is told to.

Each side has its own process, so that its peak of memory is its own; the two take turns step by step, and
whoever waits sleeps on a pipe. Times are taken inside: from the word to the end of the optimizer's step.
"""

from __future__ import annotations

import importlib
import os
import re
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PrinterCallback, TrainerCallback
from workloads import Forced, Workload

MODULES = {"ours": "ours", "peer": "peer_trl"}
Steps = dict[str, list[dict[str, Any]]]  # by side, what each step reported
Logps = dict[str, dict[tuple[int, ...], list[float]]]  # by model and completion
ENVIRONMENT = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
# Nothing is saved; the last two say what columns a side's rows of SFT have.
MAY_DIFFER = ("output_dir", "seed", "save_steps", "remove_unused_columns", "dataset_kwargs")
# How a batch is cut: ours hands it on whole and cuts it into passes by tokens.
CUTS = ("per_device_train_batch_size", "gradient_accumulation_steps", "steps_per_generation")
SETTLE = 0.1  # seconds between turns, for threads that still spin


@dataclass(frozen=True)
class Job:
    """What a side is to run.

    Attributes:
        side: "ours" or "peer".
        kind: the function of this module that builds the trainer, "grpo" or "sft".
        workloads: one after the other, each with a trainer of its own.
        steps: optimizer steps of each; the first is the warm-up.
        folder: of the model.
        threads: of torch.
    """

    side: str
    kind: str
    workloads: tuple[Any, ...]
    steps: int
    folder: Path
    threads: int


class Side:
    """The parent's handle of a side's process."""

    def __init__(self, job: Job) -> None:
        os.environ |= ENVIRONMENT | {"OMP_NUM_THREADS": str(job.threads)}  # read when a child imports
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.work = tempfile.TemporaryDirectory()  # here, for the process is killed in the end
        self.process = context.Process(target=_main, args=(job, Path(self.work.name), theirs), daemon=True)
        self.process.start()
        theirs.close()

    def answer(self) -> dict[str, Any]:
        """The side's next message. Raises RuntimeError if it has failed; its traceback is on stderr."""
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
        self.work.cleanup()


def alternate(ours: Job, peer: Job) -> Iterator[Steps]:
    """Both sides in turns, step by step: what each step did, for one workload after the other."""
    sides = {job.side: Side(job) for job in (ours, peer)}
    try:
        for _ in ours.workloads:
            found: Steps = {name: [] for name in sides}
            # Both are built before either starts.
            ready = {name: side.answer() for name, side in sides.items()}
            check_settings(ready["ours"], ready["peer"])
            for number in range(ours.steps):
                order = list(sides) if number % 2 == 0 else list(sides)[::-1]
                for name in order:
                    found[name].append(sides[name].step())
            yield found
    finally:
        for side in sides.values():
            side.close()


def check_settings(ours: dict[str, str], peer: dict[str, str]) -> None:
    """Refuse a comparison under settings of TRL's that differ beyond those that cannot matter."""
    apart = {name: (ours[name], peer[name]) for name in ours if ours[name] != peer[name]}
    unexpected = {name: values for name, values in apart.items() if name not in MAY_DIFFER + CUTS}
    if unexpected:
        raise RuntimeError(f"settings differ (ours, peer): {unexpected}")


def _main(job: Job, out: Path, pipe: Connection) -> None:
    """The side's process."""
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(job.threads)
    for workload in job.workloads:
        trainer, phases = globals()[job.kind](job, workload, out)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Turns(pipe, phases))
        trainer.train()
        del trainer


def grpo(job: Job, workload: Workload, out: Path) -> tuple[Any, Phases]:
    """A GRPO trainer whose lengths are forced and whose phases are timed."""
    module = importlib.import_module(MODULES[job.side])
    trainer, tokenizer = module.grpo_trainer(workload, job.folder, job.steps, out)
    module.force(trainer, Forced(workload, job.steps, tokenizer))
    return trainer, Phases(trainer)


def sft(job: Job, workload: Any, out: Path) -> tuple[Any, None]:
    """An SFT trainer."""
    return importlib.import_module(MODULES[job.side]).sft_trainer(workload, job.folder, job.steps, out), None


class Phases:
    """Seconds of a step's parts, by the hooks that TRL's trainer has and ours keeps.

    `rollout` is `_generate` (prompts to tokens, completions, texts), `reference` the scoring without
    gradients, `other` what remains of `_generate_and_score_completions`; the rest of a step is `training`.
    The log-probabilities of the first step, which both sides make of the same completions, are kept.
    """

    def __init__(self, trainer: Any) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.logps: Logps = {"policy": {}, "reference": {}}
        trainer._generate = self._timed("rollout", trainer._generate)
        trainer._generate_and_score_completions = self._timed(
            "prepare", trainer._generate_and_score_completions
        )
        trainer._get_per_token_logps_and_entropies = self._watched(
            trainer, trainer._get_per_token_logps_and_entropies
        )

    @contextmanager
    def _timing(self, name: str) -> Iterator[None]:
        """Add the block's seconds to `name`."""
        start = time.perf_counter()
        yield
        _settle_device()
        self.seconds[name] += time.perf_counter() - start

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self._timing(name):
                return function(*args, **kwargs)

        return wrapped

    def _watched(self, trainer: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(model: Any, ids: Any, mask: Any, keep: int, *args: Any, **kwargs: Any) -> Any:
            training = torch.is_grad_enabled()
            with self._timing("forward" if training else "reference"):
                found = function(model, ids, mask, keep, *args, **kwargs)
            if trainer.state.global_step == 0:
                kept = self.logps["policy" if training else "reference"]
                for row, real, values in zip(ids[:, -keep:], mask[:, -keep:].bool(), found[0], strict=True):
                    kept[tuple(row[real].tolist())] = values.detach()[real].tolist()
            return found

        return wrapped

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


class _Turns(TrainerCallback):  # type: ignore[misc]
    """Ready, go, step, report; what TRL logs comes with the report."""

    def __init__(self, pipe: Connection, phases: Phases | None) -> None:
        self.pipe, self.phases = pipe, phases
        self.start, self.cpu, self.level = 0.0, 0.0, 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ready, with the trainer's settings; memory is counted from here."""
        self.pipe.send({name: str(value) for name, value in args.to_dict().items()})
        self.pipe.recv()
        self.level = _memory()[0]
        self.start, self.cpu = time.perf_counter(), time.process_time()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Report the step: its log follows the optimizer's update. The last log is of the whole run."""
        if "loss" not in logs:
            return
        _settle_device()
        seconds = time.perf_counter() - self.start
        report = {
            "seconds": seconds,
            "cpu_seconds": time.process_time() - self.cpu,
            "logs": logs,
            "memory": _memory()[1] - self.level,
        }
        if self.phases is not None:
            report["phases"] = self.phases.take(seconds)
            report["logps"], self.phases.logps = self.phases.logps, {"policy": {}, "reference": {}}
        self.pipe.send(report)
        if state.global_step < state.max_steps:
            self.pipe.recv()
            self.start, self.cpu = time.perf_counter(), time.process_time()


def _settle_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _memory() -> tuple[int, int]:
    """Bytes of memory now and at the most so far: the device's where there is one, else this process's."""
    if torch.cuda.is_available():
        return torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE))
    return int(found["VmRSS"]) * 1024, int(found["VmHWM"]) * 1024
