"""Load a model with its processor, and refuse what cannot be right."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import safe_open
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
)

from vision_r1.core.errors import InputError
from vision_r1.core.files import read_json
from vision_r1.models.place import readable, resolve
from vision_r1.models.processor_load import TEXT_FAMILIES, check_vocabulary, load_processor

Precision = Literal["float32", "bfloat16"]
# In the order in which transformers looks for them.
_WEIGHTS = (
    *("model.safetensors", "model.safetensors.index.json"),
    *("pytorch_model.bin", "pytorch_model.bin.index.json"),
)


@dataclass(frozen=True)
class LoadedModel:
    """A vision-language model with its processor, or a model of text alone.

    Attributes:
        model: a transformers image-text-to-text or causal language model, in eval mode.
        processor: its processor; `.tokenizer` pads on the left.
        name: the reference it was loaded from.
    """

    model: Any
    processor: Any
    name: str


def check_model(reference: str) -> None:
    """Refuse what `load_model` would refuse, as far as it can be told without reading the weights.

    Raises:
        InputError: as `load_model`; that tensors are missing or of another shape is not seen here.
    """
    place = resolve(reference)
    processor, config = load_processor(reference), _config(place)
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise InputError(
            f"a model of type {config.model_type!r} does not answer about images",
            where=place,
            fix="name a vision-language model, such as a Qwen2.5-VL",
        )
    check_vocabulary(config, processor, place, _ids_of(config, getattr(config, "text_config", config)))
    if Path(place).is_dir():
        _check_weight_files(Path(place))


def _config(place: str) -> Any:
    if Path(place).is_dir() and not (Path(place) / "config.json").exists():
        fix = "copy the whole model directory again"
        raise InputError("model directory without config.json", where=place, fix=fix)
    with readable("model", place):
        return AutoConfig.from_pretrained(place, trust_remote_code=False)


def _check_weight_files(folder: Path) -> None:
    """Look at the files that transformers would open: one, or those of an index."""
    fix = "copy the whole model directory again"
    name = next((name for name in _WEIGHTS if (folder / name).exists()), None)
    if name is None:
        raise InputError("model directory without weights", where=str(folder), fix=fix)
    names = sorted(set(read_json(folder / name)["weight_map"].values())) if name.endswith(".json") else [name]
    for path in (folder / file for file in names):
        if not path.exists():
            raise InputError("a file of the weights is missing", where=str(path), fix=fix)
        if path.suffix == ".safetensors":
            with readable("weights", str(path)), safe_open(path, framework="pt"):
                pass


def load_model(reference: str, precision: Precision = "float32") -> LoadedModel:
    """Load weights and processor from `tiny:base`, a model directory or a hub id, onto `default_device`.

    Code that comes with a model is never run.

    Raises:
        InputError: no such place, no processor, an unknown architecture, files that are damaged, weights
            that are not exactly the architecture's, or a tokenizer that does not fit
            (see `check_vocabulary`).
    """
    place = resolve(reference)
    processor, config = load_processor(reference), _config(place)
    family = AutoModelForCausalLM if config.model_type in TEXT_FAMILIES else AutoModelForImageTextToText
    with readable("model", place):
        model, report = family.from_pretrained(
            place,
            config=config,
            dtype=getattr(torch, precision),
            attn_implementation="sdpa",
            output_loading_info=True,
            trust_remote_code=False,
        )
    _check_weights(report, bool(getattr(model.config, "tie_word_embeddings", False)), place)
    check_vocabulary(model.config, processor, place, _end_tokens(model))
    model.eval()
    with readable("model onto its device", place):
        model.to(default_device())
    return LoadedModel(model, processor, reference)


def default_device() -> torch.device:
    """Where models are put: this process's CUDA device if there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))  # set by torchrun and accelerate


def _check_weights(report: dict[str, Any], tied: bool, place: str) -> None:
    """Refuse weights that are missing (they would be random), left over or of another shape.

    The output layer of a model that ties it to the embedding may be there or not.
    """
    for key, what in (
        ("missing_keys", "are missing"),
        ("mismatched_keys", "have another shape"),
        ("unexpected_keys", "do not belong to the architecture"),
    ):
        names = sorted(item if isinstance(item, str) else str(item[0]) for item in report.get(key) or ())
        names = [name for name in names if not (tied and name.endswith("lm_head.weight"))]
        if names:
            raise InputError(
                f"{len(names)} tensors {what}, {names[0]} first",
                where=place,
                fix="copy the whole model directory again, config.json with its own weights",
            )


def _end_tokens(model: Any) -> frozenset[int]:
    """The ids that the checkpoint says end a completion; empty where it does not say."""
    text = getattr(model.config, "text_config", model.config)
    return _ids_of(model.config, text, model.generation_config)


def _ids_of(*holders: Any) -> frozenset[int]:
    ids: set[int] = set()
    for holder in holders:
        found = getattr(holder, "eos_token_id", None)
        ids.update(found if isinstance(found, list | tuple) else [] if found is None else [found])
    return frozenset(ids)
