"""Conversations as rows of supervised training: tokens, patches, and forward passes over them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch

from vision_r1.core.errors import InputError
from vision_r1.models.chat import refuse_control
from vision_r1.models.packing import can_pack, enable_packing, why_plain
from vision_r1.models.parts import prompt_positions
from vision_r1.problems.chat import ChatRow
from vision_r1.train.data import Ask, PromptStore, check_room, image_inputs, pad_rows
from vision_r1.train.features import VisionFeatures, is_frozen
from vision_r1.train.groups import PackedGroups, cut_by_tokens, cut_padded, pack_groups
from vision_r1.train.logprobs import fused_inputs

logger = logging.getLogger(__name__)
TURN_END = "<|im_end|>"


class ChatStore:
    """Conversations as training rows: each is tokenised once, its patches are kept while memory allows."""

    def __init__(self, processor: Any, rows: Sequence[ChatRow]) -> None:
        self.rows = rows
        self.processor = processor
        self.prompts = PromptStore(processor, [Ask(f"row {row.id}", row.user, row.media) for row in rows])
        self._replies: dict[int, tuple[int, ...]] = {}
        self._positions: dict[int, torch.Tensor] = {}

    def reply(self, index: int) -> tuple[int, ...]:
        """Tokens of the assistant's turn, the end of turn included.

        Raises:
            InputError: the text holds a control token, which would be read as the end of the turn.
        """
        if index not in self._replies:
            text = self.rows[index].assistant
            refuse_control(text, "the answer", f"row {self.rows[index].id}")
            ids = self.processor.tokenizer(text + TURN_END, add_special_tokens=False)["input_ids"]
            self._replies[index] = tuple(ids)
        return self._replies[index]

    def length(self, index: int) -> int:
        """Tokens of the whole row."""
        return len(self.prompts.ids(index)) + len(self.reply(index))

    def packed(self, core: Any, indices: Sequence[int]) -> PackedGroups:
        """Rows side by side, for a model that packs."""
        for index in indices:
            if index not in self._positions:
                encoded = self.prompts[index]
                self._positions[index] = prompt_positions(core, encoded.ids, encoded.grids)
        return pack_groups(
            [self.prompts.ids(index) for index in indices],
            [self._positions[index] for index in indices],
            range(len(indices)),
            [torch.tensor(self.reply(index)) for index in indices],
        )

    def padded(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        """Rows padded on the right, for other models; labels are -100 but on the assistant's turn.

        Returns:
            The model's inputs and `labels`, int64 of shape (rows, longest).
        """
        prompts = [self.prompts[index] for index in indices]
        replies = [self.reply(index) for index in indices]
        pad = self.processor.tokenizer.pad_token_id
        full = [prompt.ids + reply for prompt, reply in zip(prompts, replies, strict=True)]
        hidden = [(-100,) * len(p.ids) + reply for p, reply in zip(prompts, replies, strict=True)]
        ids, mask = pad_rows(full, pad, "right")
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "labels": pad_rows(hidden, -100, "right")[0],
            "mm_token_type_ids": (ids == self.processor.image_token_id).int(),
            **image_inputs(prompts),
        }


def check_rows(store: ChatStore, config: Any, max_length: int) -> list[int]:
    """Lengths of all rows in tokens. Raises InputError naming a row that is too long or has no answer."""
    lengths = []
    for index, row in enumerate(store.rows):
        where = f"row {row.id}"
        if not row.assistant.strip():
            raise InputError("the answer is empty", where=where, fix="remove the row")
        length = store.length(index)
        if length > max_length:
            raise InputError(
                f"{length} tokens exceed max_length {max_length}",
                where=where,
                fix="raise max_length, shorten the row or shrink its images",
            )
        check_room(config, len(store.prompts.ids(index)), len(store.reply(index)), where)
        lengths.append(length)
    return lengths


class Passes:
    """Forward passes over rows of a store: packed and, with a frozen tower, over features kept.

    Args:
        model: with TRL's fused head, not wrapped.
        store: of the rows.
        tokens_per_pass: of one pass.
    """

    def __init__(self, model: Any, store: ChatStore, tokens_per_pass: int) -> None:
        self.core, self.store, self.budget = model, store, tokens_per_pass
        self.packs = can_pack(model)
        if self.packs:
            enable_packing(model)
        else:
            logger.warning("%s: rows are padded", why_plain(model))
        frozen = self.packs and is_frozen(model)
        self._features = VisionFeatures(model) if frozen else None

    def cut(self, rows: Sequence[int]) -> list[list[int]]:
        """Rows in passes of `tokens_per_pass`, each once."""
        lengths = [self.store.length(row) for row in rows]
        if self.packs:
            parts = cut_by_tokens(dict.fromkeys(range(len(rows)), 0), range(len(rows)), lengths, self.budget)
        else:
            parts = cut_padded(lengths, self.budget)
        return [[rows[k] for k in part] for part in parts]

    def losses(self, model: Any, rows: Sequence[int]) -> torch.Tensor:
        """Sum of the negative log-likelihoods of the assistant's tokens of one pass, in nats.

        Args:
            model: what is called, `core` or a wrapper of it.
            rows: of the store.
        """
        device = next(self.core.parameters()).device
        if not self.packs:
            inputs = {key: value.to(device) for key, value in self.store.padded(rows).items()}
            output = model(**inputs, fused_lm_head=True)
        else:
            inputs = fused_inputs(self.core, self.store.packed(self.core, rows), device)
            output = model(**inputs, **self._media(rows, device))
        loss: torch.Tensor = -output.log_probs.sum()
        return loss

    def _media(self, rows: Sequence[int], device: torch.device) -> dict[str, Any]:
        if self._features is not None:
            return self._features.inputs(rows, self.store.prompts.__getitem__)
        pixels = image_inputs([self.store.prompts[row] for row in rows])
        return {key: value.to(device) for key, value in pixels.items()}


@torch.no_grad()
def validation_loss(passes: Passes, count: int) -> float:
    """Mean negative log-likelihood of the assistant tokens of all rows of a store, in nats."""
    training = passes.core.training
    passes.core.eval()
    total = sum(float(passes.losses(passes.core, part)) for part in passes.cut(range(count)))
    passes.core.train(training)
    return total / sum(len(passes.store.reply(row)) for row in range(count))
