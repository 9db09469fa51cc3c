"""How a question becomes a prompt: one rendering for SFT, RL and evaluation alike.

For a Qwen2.5-VL checkpoint the text equals that of LLaMA-Factory's `qwen2_vl` template: the
default system message, each image as vision start, one pad, vision end where its `<image>` mark
stands, and the assistant's opening. No system prompt is added, as in the paper's Vision-R1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vision_r1.core.errors import InputError

IMAGE_MARK = "<image>"
IMAGE_TOKENS = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>")
SPECIAL_MARKS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", *IMAGE_TOKENS)

QWEN_CHAT_TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def user_content(question: str, images: int, where: str = "") -> list[dict[str, Any]]:
    """The user's turn as content parts: `<image>` marks place the images, else the images lead.

    Raises:
        InputError: marks and images differ in number, or the question holds a control token,
            which would be read as an image or as a turn.
    """
    refuse_control(question, "the question", where)
    marks = question.count(IMAGE_MARK)
    if marks not in (0, images):
        raise InputError(
            f"{marks} {IMAGE_MARK} marks for {images} images", where=where, fix="one mark an image, or none"
        )
    if marks == 0:
        return [{"type": "image"}] * images + [{"type": "text", "text": question}]
    parts: list[dict[str, Any]] = []
    for index, text in enumerate(question.split(IMAGE_MARK)):
        if index:
            parts.append({"type": "image"})
        if text:
            parts.append({"type": "text", "text": text})
    return parts


def refuse_control(text: str, what: str, where: str = "") -> None:
    """Refuse a text with a control token, which a model could read as an image or as the end of a turn.

    Raises:
        InputError: naming the token.
    """
    for mark in SPECIAL_MARKS:
        if mark in text:
            raise InputError(f"{what} contains the control token {mark}", where=where, fix="remove it")


def prompt_messages(
    question: str, images: int, where: str = "", history: Sequence[tuple[str, str]] = ()
) -> list[dict[str, Any]]:
    """The conversation that asks `question` of `images` pictures.

    Args:
        question: the latest turn of the user.
        images: in all turns together; earlier turns take as many as they have marks.
        where: names the prompt in messages.
        history: earlier turns, each (what was asked, what was answered).

    Raises:
        InputError: see `user_content`; or an answer of the history holds a control token.
    """
    messages: list[dict[str, Any]] = []
    for asked, answered in history:
        marks = asked.count(IMAGE_MARK)
        messages.append({"role": "user", "content": user_content(asked, marks, where)})
        refuse_control(answered, "an earlier answer", where)
        messages.append({"role": "assistant", "content": [{"type": "text", "text": answered}]})
        images -= marks
    if images < 0:
        raise InputError(f"earlier turns have {-images} more {IMAGE_MARK} marks than images", where=where)
    return [*messages, {"role": "user", "content": user_content(question, images, where)}]


def render_prompt(processor: Any, messages: Sequence[dict[str, Any]]) -> str:
    """The prompt text up to and including the assistant's opening, images still one pad each."""
    text = processor.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    if not isinstance(text, str):
        raise TypeError(f"chat template rendered {type(text).__name__}, expected str")
    return text
