"""The tiny models: real Qwen2.5-VL, only small, with a real byte-level tokenizer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from vision_r1.models.chat import QWEN_CHAT_TEMPLATE
from vision_r1.models.processor import ImageProcessor, image_processor

Role = Literal["base", "teacher"]
MAX_POSITIONS = 2048
TINY_MAX_PIXELS = 64 * 28 * 28

# Qwen2's own split of text before byte-pair merges: digits stand alone, words keep their space.
_QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPECIAL = [
    f"<|{name}|>"
    for name in (
        *("endoftext", "im_start", "im_end", "object_ref_start", "object_ref_end"),
        *("box_start", "box_end", "quad_start", "quad_end"),
        *("vision_start", "vision_end", "vision_pad", "image_pad", "video_pad"),
    )
]


@dataclass(frozen=True, slots=True)
class Size:
    """Width and depth of a tiny model's two towers."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    vision_hidden: int
    vision_intermediate: int
    vision_depth: int


SIZES: dict[Role, Size] = {
    "base": Size(128, 384, 4, 4, 128, 256, 2),
    "teacher": Size(160, 480, 4, 5, 160, 320, 2),
}


def shipped(role: Role) -> Path:
    """The folder of a checkpoint that comes with the package."""
    return Path(str(resources.files("vision_r1") / "models" / "checkpoints" / role))


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with Qwen's split, special tokens and chat template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(_SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in _SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",  # noqa: S106 - a token of text
        pad_token="<|endoftext|>",  # noqa: S106
        chat_template=QWEN_CHAT_TEMPLATE,
        model_max_length=MAX_POSITIONS,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def build_processor(tokenizer: PreTrainedTokenizerFast) -> ImageProcessor:
    """The processor of a tiny model; one 28x28 cell is its smallest picture."""
    return ImageProcessor(image_processor(28 * 28, TINY_MAX_PIXELS), tokenizer, QWEN_CHAT_TEMPLATE)


def build_config(tokenizer: PreTrainedTokenizerFast, size: Size) -> Qwen2_5_VLConfig:
    """A Qwen2.5-VL configuration of this size with the tokenizer's token ids."""

    def token(text: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(text))

    half = size.hidden // size.heads // 2
    side = (half - half // 4) // 2
    text_config: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": size.hidden,
        "intermediate_size": size.intermediate,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.heads,
        "max_position_embeddings": MAX_POSITIONS,
        "tie_word_embeddings": True,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000.0,
            # Time, height, width: the three axes of Qwen's multimodal rotary positions.
            "mrope_section": [half - 2 * side, side, side],
        },
        "bos_token_id": None,
        "eos_token_id": token("<|im_end|>"),
        "pad_token_id": token("<|endoftext|>"),
    }
    vision_config: dict[str, Any] = {
        "depth": size.vision_depth,
        "hidden_size": size.vision_hidden,
        "intermediate_size": size.vision_intermediate,
        "num_heads": 4,
        "out_hidden_size": size.hidden,
        "fullatt_block_indexes": list(range(size.vision_depth)),
        "window_size": 112,
        "tokens_per_second": 2,
    }
    return Qwen2_5_VLConfig(
        text_config=text_config,
        vision_config=vision_config,
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )


def build_model(config: Qwen2_5_VLConfig, seed: int) -> Qwen2_5_VLForConditionalGeneration:
    """A randomly initialised model in float32."""
    torch.manual_seed(seed)
    config._attn_implementation = "sdpa"
    return Qwen2_5_VLForConditionalGeneration(config).float()
