"""Cold-start SFT on a thin subclass of TRL's SFTTrainer, loss on the assistant's turn only.

    L = - sum over the batch of log p(token) / number of assistant tokens in the batch

The assistant's turn is its text and the `<|im_end|>` that ends it. Overridden are the order of the
data (explicit, over all epochs at once) and the loss: the rows of a batch lie side by side without padding
(`groups.pack_groups`, which TRL's own packing refuses for vision models), in passes of so many tokens, and
its logits are made in tiles by TRL's fused head.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer
from trl.trainer.utils import add_fused_lm_head

from vision_r1.core.errors import CollapseError, InputError
from vision_r1.core.files import read_json, write_json
from vision_r1.core.progress import Progress, Silent
from vision_r1.core.seeds import derive_seed
from vision_r1.models.load import LoadedModel, load_model
from vision_r1.problems.chat import ChatRow
from vision_r1.problems.contamination import inherited_record
from vision_r1.problems.fingerprints import fingerprint
from vision_r1.train.chat_store import ChatStore, Passes, check_rows, validation_loss
from vision_r1.train.config import SftSettings
from vision_r1.train.data import epochs_of, take
from vision_r1.train.head import lean_head
from vision_r1.train.passes import equalised, summed
from vision_r1.train.quiet import quiet
from vision_r1.train.resume import append_rows, checkpoints, cut_rows, prune, read_rows
from vision_r1.train.saving import Resumable, save_model
from vision_r1.train.trl_config import sft_config

MEGABATCH = 8  # the most batches that are sorted by length together


def grouped_order(lengths: Sequence[int], batch: int, seed: int) -> Iterator[int]:
    """Indices without end, epoch after epoch, where rows of like length share a batch.

    A megabatch of rows in keyed random order is sorted by length, cut into batches, and the batches
    are shuffled. The order up to any step depends on nothing that comes after it.
    """
    source = epochs_of(len(lengths), seed, "order")
    # No more than an epoch: otherwise some rows would come twice before others come once.
    batches = max(1, min(MEGABATCH, len(lengths) // batch))
    number = 0
    while True:
        chunk = sorted(take(source, batches * batch), key=lambda index: lengths[index])
        for part in np.random.default_rng(derive_seed(seed, "megabatch", number)).permutation(batches):
            yield from chunk[part * batch : (part + 1) * batch]
        number += 1


def steps_of(n: int, settings: SftSettings) -> int:
    """Optimizer steps of `max_epochs` passes over `n` rows."""
    return max(1, -(-settings.max_epochs * n // settings.batch_size))


def levelled_off(losses: Sequence[float], patience: int, min_gain: float) -> bool:
    """Whether the last `patience` validation losses brought no gain of `min_gain` on the best before them."""
    best, since = float("inf"), 0
    for loss in losses:
        if loss < best * (1 - min_gain):
            best, since = loss, 0
        else:
            since += 1
    return since >= patience


def best_step(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """The step of the lowest validation loss, the earliest if several; None without validation."""
    found = [(row["val_loss"], row["step"]) for row in rows if row.get("val_loss") is not None]
    return min(found)[1] if found else None


class VisionSftTrainer(Resumable, SFTTrainer):  # type: ignore[misc]
    """TRL's SFTTrainer over a fixed order of rows, its loss a token mean over the global batch.

    Args:
        loaded: the model with its processor.
        args: see `trl_config.sft_config`.
        store: of the rows.
        order: rows of all steps, one after the other.
        tokens_per_pass: see `SftSettings`.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        args: SFTConfig,
        store: ChatStore,
        order: Sequence[int],
        tokens_per_pass: int = 16_384,
    ) -> None:
        super().__init__(
            model=loaded.model,
            args=args,
            data_collator=lambda rows: {"rows": torch.tensor([row["row"] for row in rows])},
            train_dataset=Dataset.from_dict({"row": list(order)}),
            processing_class=loaded.processor,
        )
        # The head that TRL has just put on also makes what only its own log reads.
        core = self.accelerator.unwrap_model(self.model)
        add_fused_lm_head(core, outputs=("log_probs",))
        lean_head(core, 1.0, entropy=False)
        self.store = store
        self.passes = Passes(self.accelerator.unwrap_model(self.model), store, tokens_per_pass)

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The batch's loss, pass by pass; all but the last pass are propagated back at once.

        Raises:
            CollapseError: it is not finite.
        """
        rows = inputs["rows"].tolist()
        device = self.accelerator.device
        tokens = torch.tensor([sum(len(self.store.reply(row)) for row in rows)], device=device)
        whole = torch.tensor([sum(self.store.length(row) for row in rows)], device=device)
        # Wrappers of several processes average gradients: the mean over all tokens is the sum over the mean.
        every = self.accelerator.gather(tokens).float().mean()
        self._total_train_tokens += int(self.accelerator.gather(whole).sum())
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]

        def loss_of(part: list[int]) -> torch.Tensor:
            with self.accelerator.autocast():
                loss: torch.Tensor = self.passes.losses(model, part) / every
            if not bool(torch.isfinite(loss)):
                raise CollapseError(f"the loss is {float(loss)} at step {self.state.global_step + 1}")
            return loss

        parts = [(part, 1.0) for part in self.passes.cut(rows)]
        passes = equalised(self.accelerator, parts, min(rows, key=self.store.length))
        return summed(self.accelerator, model, passes, loss_of)


def run_sft(
    settings: SftSettings,
    model_ref: str,
    rows: Sequence[ChatRow],
    validation: Sequence[ChatRow],
    out: Path,
    *,
    seed: int,
    name: str = "sft",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Fine-tune until validation levels off, or go on with it after a kill, to the same weights.

    Args:
        settings: of the stage.
        model_ref: where it starts.
        rows: conversations to learn.
        validation: conversations to judge by; without any, all epochs are made.
        out: gets `model/` (the best checkpoint), `log.jsonl`, `summary.json`; `work/` meanwhile.
        seed: of the order.
        name: of the stage, for the record of the training data.
        progress: told every step.

    Returns:
        The summary, also written to `summary.json`.

    Raises:
        InputError: no rows; a row that is too long, has no answer or an image that does not fit.
        CollapseError: the loss is not finite; `model/` is then the best checkpoint so far.
    """
    path = out / "summary.json"
    if path.exists():
        summary: dict[str, Any] = read_json(path)
        shutil.rmtree(out / "work", ignore_errors=True)
        if summary.get("collapsed"):
            raise CollapseError(summary["stopped"], where="sft", fix="lower the learning rate in a new run")
        return summary
    if not rows:
        raise InputError("no rows to train on", where="sft")
    with quiet():
        return _Sft(settings, model_ref, rows, validation, out, seed, name, progress or Silent()).run()


class _Sft:
    """One SFT run: builds the trainer, resumes it, writes what it leaves."""

    def __init__(
        self,
        settings: SftSettings,
        model_ref: str,
        rows: Sequence[ChatRow],
        validation: Sequence[ChatRow],
        out: Path,
        seed: int,
        name: str,
        progress: Progress,
    ) -> None:
        self.settings, self.model_ref, self.out, self.progress = settings, model_ref, out, progress
        self.name, self.inherited = name, inherited_record(model_ref)
        self.seed = derive_seed(seed, "sft")
        self.rows, self.validation = rows, validation
        self.steps = steps_of(len(rows), settings)
        self.work, self.log = out / "work", out / "log.jsonl"

    def run(self) -> dict[str, Any]:
        self.work.mkdir(parents=True, exist_ok=True)
        whole = checkpoints(self.work)
        step = max((k for k in whole if k <= self.steps), default=0)
        prune(self.work, [k for k in whole if k <= step])
        rows = cut_rows(self.log, step)
        try:
            if step < self.steps and not self.is_level(rows):
                self._train(whole.get(step))
        except CollapseError as error:
            self._save(f"collapsed: {error.what}", collapsed=True)
            raise CollapseError(error.what, where="sft", fix="lower the learning rate") from error
        return self._save(
            "levelled_off" if self.is_level(read_rows(self.log)) else "finished", collapsed=False
        )

    def is_level(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        losses = [row["val_loss"] for row in rows if row.get("val_loss") is not None]
        return levelled_off(losses, self.settings.patience, self.settings.min_gain)

    def _train(self, checkpoint: Path | None) -> None:
        settings = self.settings
        loaded = load_model(self.model_ref, settings.precision)
        if settings.freeze_vision:
            loaded.model.model.visual.requires_grad_(False)
        store = ChatStore(loaded.processor, self.rows)
        lengths = check_rows(store, loaded.model.config, settings.max_length)
        judge = ChatStore(loaded.processor, self.validation)
        judged = check_rows(judge, loaded.model.config, settings.max_length)
        order = take(grouped_order(lengths, settings.batch_size, self.seed), self.steps * settings.batch_size)
        args = sft_config(settings, self.steps, self.work, self.seed)
        trainer = VisionSftTrainer(loaded, args, store, order, settings.tokens_per_pass)
        trainer.remove_callback(PrinterCallback)
        core = trainer.accelerator.unwrap_model(trainer.model)
        trainer.add_callback(_Recorder(self, Passes(core, judge, settings.tokens_per_pass), len(judged)))
        self.progress.start("sft", self.steps)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        self.progress.finish()

    def _save(self, stopped: str, *, collapsed: bool) -> dict[str, Any]:
        rows, whole = read_rows(self.log), checkpoints(self.work)
        best = best_step([row for row in rows if row["step"] in whole])
        kept = best if best is not None else max(whole, default=0)
        loaded = load_model(self.model_ref, self.settings.precision)
        if kept:
            model = load_model(str(whole[kept]), self.settings.precision).model
            loaded = LoadedModel(model, loaded.processor, str(whole[kept]))
        learned = [row.as_problem() for row in self.rows] if kept else []
        save_model(loaded, self.out / "model", fingerprint(learned, self.name), self.inherited)
        losses = {row["step"]: row["val_loss"] for row in rows if row.get("val_loss") is not None}
        summary: dict[str, Any] = {
            "steps": rows[-1]["step"] if rows else 0,
            "stopped": stopped,
            "best_step": kept,
            "best_val_loss": losses.get(kept),
            "rows": len(self.rows),
            "validation_rows": len(self.validation),
            "epochs": round((rows[-1]["step"] if rows else 0) * self.settings.batch_size / len(self.rows), 2),
        }
        if collapsed:
            summary["collapsed"] = True
        write_json(self.out / "summary.json", summary)
        shutil.rmtree(self.work)
        return summary


class _Recorder(TrainerCallback):  # type: ignore[misc]
    """Validates and saves every `eval_steps`, writes a row a step, keeps the checkpoints that matter."""

    def __init__(self, run: _Sft, judge: Passes, judged: int) -> None:
        self.run, self.judge, self.judged = run, judge, judged
        self.started = time.monotonic()
        self.val_loss: float | None = None

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Validate before the step's row is written; the checkpoint follows the row."""
        self.val_loss = None
        if state.global_step % self.run.settings.eval_steps and state.global_step < state.max_steps:
            return
        control.should_save = True
        if self.judged:
            self.val_loss = validation_loss(self.judge, self.judged)
            rows = [*read_rows(self.run.log), {"val_loss": self.val_loss}]
            control.should_training_stop |= self.run.is_level(rows)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        """One row a step."""
        if logs is None or "loss" not in logs:
            return
        row = {
            "step": state.global_step,
            "steps": self.run.steps,
            "loss": logs["loss"],
            "learning_rate": logs["learning_rate"],
            "seconds": round(time.monotonic() - self.started, 3),
        }
        shown = {"loss": logs["loss"]}
        if self.val_loss is not None:
            row["val_loss"] = shown["val_loss"] = self.val_loss
        append_rows(self.run.log, [row])
        self.run.progress.advance(state.global_step, **shown)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the last two checkpoints and the best one."""
        whole = list(checkpoints(self.run.work))
        best = best_step([row for row in read_rows(self.run.log) if row["step"] in whole])
        prune(self.run.work, {*whole[-2:], *([best] if best is not None else [])})
