"""A Qwen-VL processor that needs no torchvision, one for text alone, and the patches of images, vectorised.

The stock processor insists on a video processor, which insists on torchvision. Images alone go
through the PIL backend: the same resizing, normalisation and patch order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from transformers import Qwen2_5_VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from vision_r1.core.files import read_json, write_json

PATCH, MERGE = 14, 2
_CLIP_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
_CLIP_STD = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)


class ImageProcessor(Qwen2_5_VLProcessor):  # type: ignore[misc]
    """Qwen2.5-VL's processor without its video part; Qwen3-VL's only has other settings for images.

    Attributes:
        stock: the class that the checkpoint names, under which it is saved again.
    """

    stock = "Qwen2_5_VLProcessor"

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None, **_: Any
    ) -> None:
        super().__init__(image_processor, tokenizer, None, chat_template=chat_template)

    @classmethod
    def get_attributes(cls) -> list[str]:
        """The parts that are loaded and saved: no video processor."""
        return ["image_processor", "tokenizer"]

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        """Write tokenizer, image processor and template under the stock class names.

        The folder then loads in any tool that knows the family.
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save_pretrained(folder)
        self.image_processor.save_pretrained(folder)
        path = folder / "preprocessor_config.json"
        stock = {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": self.stock}
        write_json(path, {**read_json(path), **stock})
        template = self.chat_template or self.tokenizer.chat_template
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")


class TextProcessor:
    """The processor of a model without images: its tokenizer and chat template.

    Attributes:
        tokenizer: pads on the left.
    """

    image_token, image_token_id = "<|image_pad|>", -1

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def apply_chat_template(self, messages: Sequence[dict[str, Any]], **kwargs: Any) -> Any:
        """The tokenizer's; content given in parts of text becomes the text that such templates expect."""
        return self.tokenizer.apply_chat_template([_as_text(message) for message in messages], **kwargs)

    def __call__(self, text: Sequence[str], images: Any = None, **kwargs: Any) -> Any:
        """Token ids and mask of texts."""
        return self.tokenizer(list(text), **kwargs)

    def save_pretrained(self, save_directory: Any, **_: Any) -> None:
        """Write the tokenizer with its template."""
        self.tokenizer.save_pretrained(save_directory)


def _as_text(message: dict[str, Any]) -> dict[str, Any]:
    content = message["content"]
    text = content if isinstance(content, str) else "".join(part["text"] for part in content)
    return {**message, "content": text}


def image_processor(min_pixels: int, max_pixels: int, **settings: Any) -> Any:
    """The PIL image processor with its pixel budget.

    Args:
        min_pixels: smaller images are scaled up.
        max_pixels: larger ones are scaled down.
        settings: of the family where they are not Qwen2.5-VL's: `patch_size`, `image_mean`, ...
    """
    return Qwen2VLImageProcessorPil(min_pixels=min_pixels, max_pixels=max_pixels, **settings)


def patches_of(picture: Image.Image) -> tuple[npt.NDArray[np.float32], tuple[int, int, int]]:
    """Patches of a picture whose sides are multiples of 28: what the processor gives, faster.

    Returns:
        Patches, float32 of shape (grid_h * grid_w, 3 * 2 * 14 * 14), in the order of the merged
        two-by-two blocks, and the grid (1, grid_h, grid_w).
    """
    pixels = (np.asarray(picture, dtype=np.float32) / 255.0 - _CLIP_MEAN) / _CLIP_STD
    height, width = pixels.shape[0] // PATCH, pixels.shape[1] // PATCH
    blocks = pixels.reshape(height // MERGE, MERGE, PATCH, width // MERGE, MERGE, PATCH, 3)
    # (block row, block column, row in block, column in block, channel, y, x)
    blocks = blocks.transpose(0, 3, 1, 4, 6, 2, 5)
    frames = np.broadcast_to(blocks[:, :, :, :, :, None], (*blocks.shape[:5], 2, PATCH, PATCH))
    return frames.reshape(height * width, -1).astype(np.float32), (1, height, width)
