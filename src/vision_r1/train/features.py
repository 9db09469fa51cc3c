"""What a frozen vision tower makes of a prompt's images: computed once, kept while memory allows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from vision_r1.train.data import Encoded, image_inputs

# Beyond this the features used longest ago are computed again when needed.
FEATURE_BYTES = 512 * 2**20


def tower_of(model: Any) -> Any | None:
    """The vision tower of a model that is not wrapped; None for a text model."""
    return getattr(getattr(model, "model", None), "visual", None)


def is_frozen(model: Any) -> bool:
    """Whether the model has a vision tower and nothing of it is trained."""
    tower = tower_of(model)
    return tower is not None and not any(weight.requires_grad for weight in tower.parameters())


def same_towers(one: Any, other: Any) -> bool:
    """Whether two models' vision towers have equal weights."""
    first, second = tower_of(one), tower_of(other)
    if first is None or second is None:
        return False
    left, right = first.state_dict(), second.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


class VisionFeatures:
    """The outputs of one frozen tower by prompt, for `mm_encoder_outputs`.

    Args:
        model: a vision-language model, not wrapped, whose tower does not change.
        max_bytes: of features kept.
    """

    def __init__(self, model: Any, max_bytes: int = FEATURE_BYTES) -> None:
        self._model, self._room = model, max_bytes
        self._kept: OrderedDict[int, Any] = OrderedDict()

    def inputs(self, keys: Sequence[int], encoded: Callable[[int], Encoded]) -> dict[str, Any]:
        """Keywords of a forward pass over the prompts `keys`, in order; empty where none has an image."""
        outputs = [found for key in keys if (found := self._output(key, encoded)) is not None]
        return {"mm_encoder_outputs": {"image": _joined(outputs)}} if outputs else {}

    def _output(self, key: int, encoded: Callable[[int], Encoded]) -> Any | None:
        if key not in self._kept:
            inputs = image_inputs([encoded(key)])
            self._kept[key] = self._computed(inputs) if inputs else None
            self._room -= _bytes(self._kept[key])
            while self._room < 0 and len(self._kept) > 1:
                self._room += _bytes(self._kept.popitem(last=False)[1])
        self._kept.move_to_end(key)
        return self._kept[key]

    @torch.no_grad()
    def _computed(self, inputs: dict[str, torch.Tensor]) -> Any:
        device = next(self._model.parameters()).device
        output = self._model.model.get_image_features(
            **{key: value.to(device) for key, value in inputs.items()}
        )
        # What only the tower itself needs would take several times the room.
        return replace(output, last_hidden_state=None, hidden_states=None, attentions=None)


def _joined(outputs: Sequence[Any]) -> Any:
    """Outputs of several calls of the tower as those of one."""
    joined: dict[str, Any] = {"pooler_output": [part for output in outputs for part in output.pooler_output]}
    if getattr(outputs[0], "deepstack_features", None) is not None:
        layers = zip(*(output.deepstack_features for output in outputs), strict=True)
        joined["deepstack_features"] = [[part for parts in layer for part in parts] for layer in layers]
    return replace(outputs[0], **joined)


def _bytes(output: Any | None) -> int:
    if output is None:
        return 0
    parts = [*output.pooler_output]
    for layer in getattr(output, "deepstack_features", None) or ():
        parts += list(layer)
    return sum(part.numel() * part.element_size() for part in parts)
