"""Progressive Thinking Suppression Training (section 3.2): stages of GRPO with a growing length cap.

Each stage starts a new optimizer with a constant learning rate at data position 0 of its own order;
what carries over from stage to stage is the weights alone.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PrinterCallback, TrainerCallback

from vision_r1.core.errors import CollapseError, ConfigError, InputError
from vision_r1.core.files import read_json, write_json
from vision_r1.core.progress import Progress, Silent
from vision_r1.core.seeds import derive_seed
from vision_r1.grading.user import load_reward
from vision_r1.models.encode import forbidden_tokens
from vision_r1.models.load import LoadedModel, load_model
from vision_r1.problems.contamination import inherited_record
from vision_r1.problems.fingerprints import fingerprint
from vision_r1.problems.problem import Problem
from vision_r1.rollout.complete import complete_groups
from vision_r1.rollout.group import Group
from vision_r1.rollout.memory import Budget
from vision_r1.rollout.row import Drawing
from vision_r1.rollout.sampling import warp_of
from vision_r1.train.config import GrpoSettings, PtstStage, Quantile
from vision_r1.train.data import Ask, PromptStore, epochs_of, take
from vision_r1.train.grpo import VisionGrpoTrainer
from vision_r1.train.guard import Watch
from vision_r1.train.quiet import quiet
from vision_r1.train.resume import append_rows, checkpoints, cut_rows, prune, read_rows
from vision_r1.train.saving import save_model
from vision_r1.train.trl_config import grpo_config

SHOWN = ("reward", "mean_tokens", "truncation_rate", "zero_variance_share")  # beside the progress bar
SAMPLED_ROLLOUTS = 4  # written to samples.jsonl every save_steps


def choose_cap(lengths: Sequence[int], rule: Quantile) -> int:
    """The cap of a stage from the cold start's completion lengths.

    The paper's 4K is about their 75th percentile (Figure 1A).

    Raises:
        InputError: no lengths.
    """
    if not lengths:
        raise InputError("no completion lengths to take a quantile of", where="max_completion_length")
    wanted = float(np.quantile(np.asarray(lengths), rule.quantile)) * rule.times
    rounded = math.ceil(wanted / rule.round_to) * rule.round_to
    return max(rule.at_least, min(rule.at_most, rounded))


def measure_lengths(
    loaded: LoadedModel,
    problems: Sequence[Problem],
    cap: int,
    seed: int,
    progress: Progress | None = None,
    *,
    temperature: float = 1.0,
    batch_size: int = 128,
) -> list[int]:
    """Lengths of one sampled completion a problem, in tokens with the end; cut ones count as `cap`."""
    progress = progress or Silent()
    progress.start("measure lengths", len(problems), "problem")
    config = type(loaded.model.generation_config)(temperature=temperature, do_sample=True)
    warp = warp_of(config, forbidden_tokens(loaded.processor))
    drawing = Drawing(warp, frozenset([loaded.processor.tokenizer.eos_token_id]))
    lengths: list[int] = []
    for start in range(0, len(problems), batch_size):
        part = problems[start : start + batch_size]
        asks = [Ask(f"problem {problem.id}", problem.prompt, problem.media) for problem in part]
        store = PromptStore(loaded.processor, asks)
        groups = [
            Group(
                where=store.where(index),
                ids=store[index].ids,
                pixels=store[index].pixels,
                grids=store[index].grids,
                seeds=[derive_seed(seed, "lengths", store.where(index))],
                caps=[cap],
            )
            for index in range(len(part))
        ]
        found = complete_groups(loaded.model, groups, drawing, Budget(rows=batch_size))
        lengths += [len(group[0].ids) for group in found]
        progress.advance(len(lengths), tokens=sum(lengths) / len(lengths))
    progress.finish()
    return lengths


def run_ptst_stage(
    settings: GrpoSettings,
    stage: PtstStage,
    cap: int,
    model_ref: str,
    reference_ref: str | None,
    problems: Sequence[Problem],
    out: Path,
    *,
    seed: int,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train one stage, or go on with it: the same call after a kill continues and ends with the same weights.

    Args:
        settings: of the whole RL part.
        stage: this stage.
        cap: max completion length in tokens.
        model_ref: where the stage starts.
        reference_ref: the reference policy of the KL term; None only with `reference: none`.
        problems: what is asked, any number of them; read epoch after epoch in a keyed order.
        out: gets `model/`, `log.jsonl`, `samples.jsonl`, `summary.json`; `work/` holds checkpoints meanwhile.
        seed: of the order and of the sampling noise.
        progress: told every step.

    Returns:
        The summary, also written to `summary.json`.

    Raises:
        CollapseError: training stopped by `settings.guard`; `model/` is then the last good checkpoint,
            or the model the stage started from. It is raised again until the guard is changed.
        InputError: a problem that cannot be asked, a prompt longer than the context.
    """
    progress = progress or Silent()
    done = _finished(settings, out)
    if done is not None:
        return done
    if not problems:
        raise InputError("no problems to train on", where=f"stage {stage.name}")
    with quiet():
        return _Stage(settings, stage, cap, model_ref, reference_ref, problems, out, seed, progress).run()


def _finished(settings: GrpoSettings, out: Path) -> dict[str, Any] | None:
    """The summary of a stage that is done; a collapse is raised again unless the guard has changed."""
    path = out / "summary.json"
    if not path.exists():
        return None
    summary: dict[str, Any] = read_json(path)
    if not summary.get("collapsed"):
        shutil.rmtree(out / "work", ignore_errors=True)
        return summary
    if summary.get("guard") == settings.guard.model_dump():
        raise CollapseError(summary["stopped"], fix="change the stage's guard or settings to go on")
    path.unlink()
    return None


class _Stage:
    """One stage's run: builds the trainer, resumes it, writes what it leaves."""

    def __init__(
        self,
        settings: GrpoSettings,
        stage: PtstStage,
        cap: int,
        model_ref: str,
        reference_ref: str | None,
        problems: Sequence[Problem],
        out: Path,
        seed: int,
        progress: Progress,
    ) -> None:
        self.settings, self.stage, self.cap, self.out, self.progress = settings, stage, cap, out, progress
        self.model_ref, self.reference_ref = model_ref, reference_ref
        self.inherited = inherited_record(model_ref)
        self.seed = derive_seed(seed, "ptst", stage.name)
        order = epochs_of(len(problems), self.seed, "order")
        self.problems = [problems[k] for k in take(order, stage.steps * settings.prompts_per_step)]
        self.work, self.log, self.samples = out / "work", out / "log.jsonl", out / "samples.jsonl"

    def run(self) -> dict[str, Any]:
        self.work.mkdir(parents=True, exist_ok=True)
        whole = checkpoints(self.work)
        step = max((k for k in whole if k <= self.stage.steps), default=0)
        prune(self.work, [k for k in whole if k <= step])
        rows = cut_rows(self.log, step)
        cut_rows(self.samples, step)
        self.watch = Watch(self.settings.guard, rows)
        try:
            if self.watch.reason is not None:
                raise CollapseError(self.watch.reason)
            if step < self.stage.steps:
                self._train(whole.get(step))
        except CollapseError as error:
            self._save(self._last_good(), f"collapsed: {error.what}", collapsed=True)
            raise CollapseError(error.what, where=f"stage {self.stage.name}") from error
        return self._save(checkpoints(self.work)[self.stage.steps], "finished", collapsed=False)

    def _train(self, checkpoint: Path | None) -> None:
        settings, stage = self.settings, self.stage
        loaded = load_model(self.model_ref, settings.precision)
        reference = None
        if stage.reference != "none" and settings.beta > 0:
            if self.reference_ref is None:
                raise ConfigError(
                    "this stage's KL term needs a reference policy", where=f"stage {stage.name}"
                )
            reference = load_model(self.reference_ref, settings.precision).model
        if settings.freeze_vision:
            loaded.model.model.visual.requires_grad_(False)
        trainer = VisionGrpoTrainer(
            loaded,
            reference,
            grpo_config(settings, stage, self.cap, self.work, self.seed),
            self.problems,
            load_reward(settings.reward),
            stage.name,
            self.seed,
            tokens_per_pass=settings.tokens_per_pass,
            flat_groups=settings.flat_groups,
            resamples=settings.resamples,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Recorder(self, trainer))
        self.progress.start(stage.name, stage.steps)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        self.progress.finish()

    def _last_good(self) -> Path | None:
        good = [k for k in checkpoints(self.work) if good_at(self.settings, self.log, k)]
        return self.work / f"checkpoint-{max(good)}" if good else None

    def _save(self, checkpoint: Path | None, stopped: str, *, collapsed: bool) -> dict[str, Any]:
        rows = read_rows(self.log)
        loaded = load_model(self.model_ref, self.settings.precision)
        if checkpoint is not None:
            loaded = LoadedModel(
                load_model(str(checkpoint), self.settings.precision).model, loaded.processor, str(checkpoint)
            )
        kept = 0 if checkpoint is None else int(checkpoint.name.removeprefix("checkpoint-"))
        asked = {p.id: p for p in self.problems[: kept * self.settings.prompts_per_step]}
        prints = fingerprint(list(asked.values()), self.stage.name)
        save_model(loaded, self.out / "model", prints, self.inherited)
        summary: dict[str, Any] = {
            "steps": rows[-1]["step"] if rows else 0,
            "stopped": stopped,
            "model_step": kept,
            "max_completion_length": self.cap,
            "group_size": self.stage.group_size,
            "prompts_per_step": self.settings.prompts_per_step,
            "learning_rate": self.stage.learning_rate,
            "reference": self.stage.reference,
            "carried_over": "weights only; new optimizer, constant learning rate, own data order",
            "last": rows[-1] if rows else None,
        }
        if collapsed:
            summary |= {"collapsed": True, "guard": self.settings.guard.model_dump()}
        write_json(self.out / "summary.json", summary)
        if not collapsed:  # after a collapse the checkpoints stay: a changed guard may go on from them
            shutil.rmtree(self.work)
        return summary


def good_at(settings: GrpoSettings, log: Path, step: int) -> bool:
    """Whether no bound of the guard was broken at `step`."""
    rows = [row for row in read_rows(log) if row["step"] <= step]
    return Watch(settings.guard, rows).healthy


class _Recorder(TrainerCallback):  # type: ignore[misc]
    """Writes a row a step, samples now and then, keeps the checkpoints that matter, stops on collapse."""

    def __init__(self, stage: _Stage, trainer: VisionGrpoTrainer) -> None:
        self.stage, self.trainer, self.started = stage, trainer, time.monotonic()

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        """One row; raises CollapseError at once when the guard says so."""
        if logs is None or "reward" not in logs:
            return
        run = self.stage
        row = {"step": state.global_step, "steps": run.stage.steps, **self.trainer.step_row(logs)}
        row["seconds"] = round(time.monotonic() - self.started, 3)
        append_rows(run.log, [row])
        if state.global_step == 1 or state.global_step % run.settings.save_steps == 0:
            append_rows(run.samples, self._samples(state.global_step))
        run.progress.advance(
            state.global_step,
            **{key: row[key] for key in SHOWN},
        )
        reason = run.watch.see(row)
        if reason is not None:
            raise CollapseError(reason)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The last step is always saved: the result is made from its checkpoint."""
        if state.global_step >= state.max_steps:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the last two checkpoints and the last good one."""
        whole = list(checkpoints(self.stage.work))
        good = [step for step in whole if good_at(self.stage.settings, self.stage.log, step)]
        prune(self.stage.work, {*whole[-2:], *good[-1:]})

    def _samples(self, step: int) -> list[dict[str, Any]]:
        group = self.stage.stage.group_size
        chosen = self.trainer.rollouts[::group][:SAMPLED_ROLLOUTS]
        return [
            {
                "step": step,
                "problem_id": rollout.problem.id,
                "question": rollout.problem.question,
                "answer": rollout.problem.answer,
                "completion": rollout.text,
                "reward": rollout.reward.reward,
                "reason": rollout.reward.reason,
                "stop_reason": rollout.stop_reason,
                "tokens": rollout.tokens,
            }
            for rollout in chosen
        ]
