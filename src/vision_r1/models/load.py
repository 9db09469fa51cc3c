"""Load a model with its processor, refuse what cannot be right, and encode prompts with their images."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from safetensors import safe_open
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
)

from vision_r1.core.errors import InputError
from vision_r1.core.files import is_file, is_folder, read_json
from vision_r1.models.chat import IMAGE_TOKENS, prompt_messages, render_prompt
from vision_r1.models.processor import ImageProcessor, TextProcessor, image_processor
from vision_r1.models.quiet import quiet_transformers
from vision_r1.models.tiny import Role, shipped

Precision = Literal["float32", "bfloat16"]
TINY = "tiny:"
TEXT_FAMILIES = ("qwen2", "qwen3")  # models without images that can be loaded, for text-only problems
# Of an image processor, where a family's are not Qwen2.5-VL's.
_IMAGE_SETTINGS = ("patch_size", "temporal_patch_size", "merge_size", "image_mean", "image_std")
logger = logging.getLogger(__name__)
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


def resolve(reference: str) -> str:
    """Turn `tiny:base` into the shipped folder, and a stage's folder into its model; leave the rest.

    Raises:
        InputError: no such tiny model, or a run directory, which holds several.
    """
    if not reference.startswith(TINY):
        return _model_folder(reference)
    role: Role
    for role in ("base", "teacher"):
        if reference == f"{TINY}{role}":
            return str(shipped(role))
    raise InputError(f"no shipped model {reference!r}", fix="tiny:base or tiny:teacher")


def _model_folder(reference: str) -> str:
    folder = Path(reference)
    if not is_folder(folder) or is_file(folder / "config.json"):
        return reference
    if is_file(folder / "model" / "config.json"):
        return str(folder / "model")
    if is_file(folder / "run.json"):
        inside = sorted(str(path) for path in folder.glob("stages/*/model"))
        fix = f"name one of its models: {', '.join(inside)}" if inside else "it holds no model yet"
        raise InputError("is a run directory, not a model", where=reference, fix=fix)
    return reference


def load_processor(reference: str) -> Any:
    """The processor of a model directory or hub id; Qwen's works without torchvision.

    Raises:
        InputError: the directory has no tokenizer, image processor or chat template, or one of them is
            broken; the template is rendered once to know. Text models need no image processor.
    """
    place = resolve(reference)
    folder = Path(place)
    if is_folder(folder):
        for name, what in (
            ("tokenizer_config.json", "tokenizer"),
            ("preprocessor_config.json", "image processor"),
        ):
            if not (folder / name).exists() and not (what == "image processor" and _is_text(place)):
                fix = "copy the processor files of the base model beside the weights"
                raise InputError(f"model directory without {what} ({name})", where=place, fix=fix)
    elif not _is_hub_id(place):
        raise InputError("no such model directory", where=place, fix="name a folder, a hub id or tiny:base")
    else:
        with _readable("processor", place):  # the hub's client refuses names that it cannot have
            _tell_hub(place)
    _check_json(folder)
    with _readable("processor", place):
        tokenizer = AutoTokenizer.from_pretrained(place, padding_side="left", trust_remote_code=False)
        template = tokenizer.chat_template or _template_file(folder)
        pictures = None if _is_text(place) else _picture_settings(place)
    if template is None:
        raise InputError("the tokenizer has no chat template", where=place, fix="add chat_template.jinja")
    tokenizer.chat_template = template
    if pictures is None:
        processor: Any = TextProcessor(tokenizer)
    else:
        stock = pictures.pop("processor_class")
        processor = ImageProcessor(image_processor(**pictures), tokenizer, template)
        processor.stock = stock
    _check_template(processor, place)
    return processor


def _is_text(place: str) -> bool:
    """Whether the model is of a family without images."""
    path = Path(place) / "config.json"
    if Path(place).is_dir():
        data = read_json(path) if path.is_file() else None
        return isinstance(data, dict) and data.get("model_type") in TEXT_FAMILIES
    return AutoConfig.from_pretrained(place, trust_remote_code=False).model_type in TEXT_FAMILIES


def _check_json(folder: Path) -> None:
    """Name the damaged file: the libraries' own messages do not."""
    for name in ("config.json", "tokenizer_config.json", "tokenizer.json", "preprocessor_config.json"):
        path = folder / name
        if path.is_file() and not isinstance(read_json(path), dict):
            raise InputError("expected a JSON object", where=str(path), fix="copy the file again")


@contextmanager
def _readable(what: str, place: str) -> Iterator[None]:
    """Turn whatever a broken model directory makes the libraries raise into one line."""
    try:
        with quiet_transformers():
            yield
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001  (transformers, tokenizers, safetensors and torch share no base)
        if isinstance(error, OSError) and _is_hub_id(place) and not Path(place).exists():
            reason = f"no such folder here, and the hub does not give it ({_one_line(error)[:120]})"
            raise InputError(reason, where=place, fix="check the spelling, and the network") from None
        raise InputError(f"cannot load the {what}: {_one_line(error)}", where=place) from None


def _check_template(processor: Any, place: str) -> None:
    """Render one question with one image, so that a broken chat template shows at once."""
    question, images = "How many?", 0 if isinstance(processor, TextProcessor) else 1
    with _readable("chat template", place):
        text = render_prompt(processor, prompt_messages(question, images))
    if text.count(processor.image_token) != images or question not in text:
        raise InputError(
            f"the chat template renders a question with one image as {text[:60]!r}: the question must be in"
            f" it, and {processor.image_token} once",
            where=place,
            fix="use the chat template the model was trained with",
        )


def _template_file(folder: Path) -> str | None:
    path = folder / "chat_template.jinja"
    return path.read_text(encoding="utf-8") if path.exists() else None


@functools.cache
def _tell_hub(place: str) -> None:
    """Say once that the hub is asked: without a network its client tries for a minute, in silence."""
    from huggingface_hub import constants, try_to_load_from_cache

    if not constants.HF_HUB_OFFLINE and try_to_load_from_cache(place, "config.json") is None:
        logger.warning("%s: no such folder here; asking the hub (HF_HUB_OFFLINE=1 does not)", place)


def _is_hub_id(text: str) -> bool:
    parts = text.split("/")
    return len(parts) == 2 and all(parts) and not text.startswith((".", "/", "~"))


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".rstrip(": ")


def _picture_settings(place: str) -> dict[str, Any]:
    """What a Qwen preprocessor_config.json says: the pixel budget, in either of its two spellings, and the
    family's own settings.
    """
    folder = Path(place)
    if folder.is_dir():
        path = folder / "preprocessor_config.json"
    else:
        from huggingface_hub import hf_hub_download

        path = Path(hf_hub_download(place, "preprocessor_config.json"))
    data = read_json(path)
    size = data.get("size") or {}
    if not isinstance(size, dict):
        raise InputError("`size` is not an object", where=str(path))
    low = data.get("min_pixels") or size.get("shortest_edge") or size.get("min_pixels")
    high = data.get("max_pixels") or size.get("longest_edge") or size.get("max_pixels")
    if not isinstance(low, int) or not isinstance(high, int) or not 0 < low <= high:
        raise InputError("states no pixel budget (0 < min_pixels <= max_pixels)", where=str(path))
    own = {name: data[name] for name in _IMAGE_SETTINGS if data.get(name) is not None}
    stock = data.get("processor_class") or ImageProcessor.stock
    return {"min_pixels": low, "max_pixels": high, **own, "processor_class": stock}


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
    with _readable("model", place):
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
            with _readable("weights", str(path)), safe_open(path, framework="pt"):
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
    with _readable("model", place):
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
    with _readable("model onto its device", place):
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


def check_vocabulary(
    config: Any, processor: Any, where: str, end_tokens: frozenset[int] = frozenset()
) -> None:
    """Refuse a tokenizer that is not this model's.

    Compared is what a checkpoint carries: the size of the embedding table, the ids of the image, video
    and vision marks, and the end of a completion. A tokenizer of other words with the same special
    tokens at the same ids cannot be told from the right one; the pad token may differ, for it is masked.

    Args:
        config: the model's.
        processor: the one loaded beside it.
        where: the model, for the message.
        end_tokens: ids that the checkpoint says end a completion; empty for unknown.

    Raises:
        InputError: they do not fit.
    """
    tokenizer = processor.tokenizer
    text = getattr(config, "text_config", config)
    fix = "use the tokenizer the model was trained with"
    if len(tokenizer) > text.vocab_size:
        raise InputError(
            f"the tokenizer has {len(tokenizer)} tokens, the model {text.vocab_size}", where=where, fix=fix
        )
    vocabulary = tokenizer.get_vocab()
    for name, token in (
        ("image", processor.image_token),
        ("video", "<|video_pad|>"),
        ("vision_start", "<|vision_start|>"),
        ("vision_end", "<|vision_end|>"),
    ):
        stated, found = getattr(config, f"{name}_token_id", None), vocabulary.get(token)
        if stated is not None and found is not None and found != stated:
            what = f"the tokenizer's {name} token is {found}, the model's {stated}"
            raise InputError(what, where=where, fix=fix)
    if end_tokens and tokenizer.eos_token_id not in end_tokens:
        ends = ", ".join(map(str, sorted(end_tokens)))
        what = f"the tokenizer's end token is {tokenizer.eos_token_id}, the model's {ends}"
        raise InputError(what, where=where, fix=fix)


def forbidden_tokens(processor: Any) -> list[int]:
    """Image and vision tokens: sampled, they would make the next forward pass fail (trl#3847)."""
    vocabulary = processor.tokenizer.get_vocab()
    return sorted(vocabulary[token] for token in IMAGE_TOKENS if token in vocabulary)


def encode_prompts(
    processor: Any,
    questions: Sequence[str],
    images: Sequence[Sequence[Image.Image]],
    where: Sequence[str],
    histories: Sequence[Sequence[tuple[str, str]]] | None = None,
) -> dict[str, torch.Tensor]:
    """Tokenise prompts with their images, padded on the left.

    Args:
        processor: of `load_processor`.
        questions: the latest turn of each.
        images: of all turns of each, in order.
        where: how messages name each.
        histories: earlier turns of each, see `chat.prompt_messages`; None without any.

    Returns:
        The model's inputs; `input_ids` is int64 of shape (batch, longest prompt).

    Raises:
        InputError: marks and images differ, the processor refuses an image, the model takes none, or a
            prompt's image tokens are not those of its images.
    """
    if isinstance(processor, TextProcessor) and any(images):
        place = next(name for name, pictures in zip(where, images, strict=True) if pictures)
        raise InputError("the model takes no images", where=place, fix="name a vision-language model")
    texts = [
        render_prompt(processor, prompt_messages(question, len(pictures), place, history))
        for question, pictures, place, history in zip(
            questions, images, where, histories or [()] * len(questions), strict=True
        )
    ]
    flat = [picture for pictures in images for picture in pictures]
    try:
        batch = processor(text=texts, images=flat or None, padding=True, return_tensors="pt")
    except (ValueError, TypeError) as error:
        if not flat:
            raise
        raise _image_error(processor, images, where, error) from None
    check_image_tokens(processor, batch, [len(pictures) for pictures in images], where)
    return dict(batch)


def _image_error(
    processor: Any, images: Sequence[Sequence[Image.Image]], where: Sequence[str], error: Exception
) -> InputError:
    """The processor's complaint, with the first prompt whose images it refuses alone."""
    place = where[0] if len(where) == 1 else f"{where[0]} to {where[-1]}"
    for name, pictures in zip(where, images, strict=True):
        try:
            if pictures:
                processor.image_processor(images=list(pictures))
        except (ValueError, TypeError) as own:
            place, error = name, own
            break
    fix = "check its size (neither side may be 200 times the other) and its format"
    return InputError(f"the processor cannot take its image: {_one_line(error)}", where=place, fix=fix)


def check_image_tokens(processor: Any, batch: Any, counts: Sequence[int], where: Sequence[str]) -> None:
    """Refuse a batch whose image tokens per row are not what its images need."""
    found = (batch["input_ids"] == processor.image_token_id).sum(1).tolist()
    grids = batch["image_grid_thw"].prod(1).tolist() if "image_grid_thw" in batch else []
    merge = processor.image_processor.merge_size**2 if grids else 1
    start = 0
    for row, (count, place) in enumerate(zip(counts, where, strict=True)):
        needed = sum(int(patches) // merge for patches in grids[start : start + count])
        start += count
        if found[row] != needed:
            raise InputError(
                f"the prompt holds {found[row]} image tokens, its images make {needed}", where=place
            )
