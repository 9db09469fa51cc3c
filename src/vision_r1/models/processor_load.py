"""Load a processor, and refuse one that cannot be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer

from vision_r1.core.errors import InputError
from vision_r1.core.files import is_folder, read_json
from vision_r1.models.chat import prompt_messages, render_prompt
from vision_r1.models.place import is_hub_id, readable, resolve, tell_hub
from vision_r1.models.processor import ImageProcessor, TextProcessor, image_processor

TEXT_FAMILIES = ("qwen2", "qwen3")  # models without images that can be loaded, for text-only problems
# Of an image processor, where a family's are not Qwen2.5-VL's.
_IMAGE_SETTINGS = ("patch_size", "temporal_patch_size", "merge_size", "image_mean", "image_std")


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
            if not (folder / name).exists() and not (what == "image processor" and is_text(place)):
                fix = "copy the processor files of the base model beside the weights"
                raise InputError(f"model directory without {what} ({name})", where=place, fix=fix)
    elif not is_hub_id(place):
        raise InputError("no such model directory", where=place, fix="name a folder, a hub id or tiny:base")
    else:
        with readable("processor", place):  # the hub's client refuses names that it cannot have
            tell_hub(place)
    _check_json(folder)
    with readable("processor", place):
        tokenizer = AutoTokenizer.from_pretrained(place, padding_side="left", trust_remote_code=False)
        template = tokenizer.chat_template or _template_file(folder)
        pictures = None if is_text(place) else _picture_settings(place)
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


def is_text(place: str) -> bool:
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


def _check_template(processor: Any, place: str) -> None:
    """Render one question with one image, so that a broken chat template shows at once."""
    question, images = "How many?", 0 if isinstance(processor, TextProcessor) else 1
    with readable("chat template", place):
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
