"""What a served model is asked and what it says: frozen data, named by its content."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from vision_r1.core.seeds import derive_seed
from vision_r1.models.chat import refuse_control, user_content
from vision_r1.problems.images import Small, StoredImage
from vision_r1.problems.problem import Media
from vision_r1.problems.scaling import encoded, scaled_down, scaled_size

BROKEN_OFF = ("abort", "error")  # finish reasons, as vLLM, SGLang and OpenRouter say it
_CANONICAL = json.JSONEncoder(sort_keys=True)
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class ChatRequest:
    """One request to a served model.

    Attributes:
        model: what the endpoint calls the model.
        user: the user's turn; `<image>` marks place the images, else they lead.
        system: the system message, if any.
        media: images in the order of the marks.
        max_tokens: cap on the reply, in tokens.
        temperature: 0 is greedy; None leaves it to the endpoint, which some models ask for.
        top_p: nucleus mass.
        stop: texts that end the reply.
        seed: of the sampling; None sends none.
        template: version of the prompt template that `user` was rendered from.
        sample_index: 0-based among the samples of one prompt.
        attempt: 0, or which further sample was taken because an answer could not be used.
        max_image_pixels: larger images are scaled down to so many pixels before they are sent.
    """

    model: str
    user: str
    system: str | None = None
    media: tuple[Media, ...] = ()
    max_tokens: int = 1024
    temperature: float | None = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    template: str = ""
    sample_index: int = 0
    attempt: int = 0
    max_image_pixels: int | None = None

    @property
    def key(self) -> str:
        """SHA-256 of the content, see `request_key`. Decodes no image."""
        return request_key(request_text(self))

    @property
    def step(self) -> str:
        """Name of the step that asks: what stands before the "@" of the template's version."""
        return self.template.partition("@")[0]

    def again(self, attempt: int) -> ChatRequest:
        """The same request as a further sample; 0 is the request itself."""
        if attempt == 0:
            return self
        if self.seed is None:
            return replace(self, attempt=attempt)
        return replace(self, attempt=attempt, seed=derive_seed(self.seed, "attempt", attempt))


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What came back.

    Attributes:
        text: the answer.
        reasoning: what the endpoint hands over apart as the model's reasoning; empty without.
        finish_reason: as the endpoint says it: "stop", "length", "content_filter", ...
        prompt_tokens: as the endpoint counted them; None where it does not say.
        completion_tokens: likewise, reasoning included.
        model: what the endpoint says has answered.
        reasoning_tokens: how many of the completion tokens were reasoning; None where it does not say.
        hidden: why the reasoning is not here in full (encrypted, summarised, left out); empty where
            nothing says so.
    """

    text: str
    reasoning: str
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    model: str
    reasoning_tokens: int | None = None
    hidden: str = ""

    @property
    def cut(self) -> bool:
        """Whether the reply ran into its cap, by whatever name the endpoint calls that."""
        return self.finish_reason in ("length", "max_tokens")

    @property
    def held_back(self) -> bool:
        """Whether the endpoint kept the reply, or what was left of it, to itself."""
        return self.finish_reason == "content_filter"

    @property
    def broken_off(self) -> bool:
        """Whether the server ended the reply for a reason of its own: no answer, and never kept as one."""
        return self.finish_reason in BROKEN_OFF


def estimated_tokens(reply: ChatReply) -> int:
    """About how many tokens a reply has, where the endpoint does not count: a quarter of its bytes."""
    return max(1, len(f"{reply.reasoning}{reply.text}".encode()) // 4)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no reply.

    Attributes:
        kind: "request" when it cannot be asked as it is, "transport" when the endpoint failed
            until patience ran out, "answer" when no answer could be used.
        reason: what exactly happened, one line, without keys.
    """

    kind: Literal["request", "transport", "answer"]
    reason: str


@dataclass(frozen=True)
class Picture:
    """An image as it is sent.

    Attributes:
        name: of its content, see `picture_name`.
        suffix: "png", "jpeg", "webp" or "gif".
        data: the encoded image.
        size: (width, height) in pixels.
    """

    name: str
    suffix: str
    data: bytes
    size: tuple[int, int]

    @property
    def url(self) -> bytes:
        """The image as a data URL, in ASCII."""
        return b"data:image/%b;base64,%b" % (self.suffix.encode(), base64.b64encode(self.data))


def picture_name(media: Media, max_pixels: int | None = None) -> str:
    """What an image is called in the store beside the log; a request's images and their cap give it.

    Names that could not be a file's are hashed.
    """
    name = media.key if max_pixels is None else f"{media.key}-{max_pixels}px"
    return name if _FILE_NAME.fullmatch(name) else hashlib.sha256(name.encode()).hexdigest()


def encode_picture(media: Media, max_pixels: int | None = None, small: Small | None = None) -> Picture:
    """An image ready to be sent: its own bytes where they show what `media.load()` gives, else a PNG.

    Args:
        media: the image.
        max_pixels: a larger one is scaled down to at most so many, keeping its shape (Lanczos), and
            stays a JPEG if it is one.
        small: a stored image over these limits is refused before it is read or decoded.

    Raises:
        InputError: the image cannot be read.
    """
    name = picture_name(media, max_pixels)
    if isinstance(media, StoredImage):
        # Once for an image: every question about it is sent with the same file.
        if media.size is not None and scaled_size(media.size, max_pixels) == media.size:
            checked = media.checked_file(small)
            if checked is not None:
                return Picture(name, media.plain, checked, media.size)
        # Refuses damaged and oversized images before they are paid for.
        image, data, suffix = media.load_with_file(small)
    else:
        image, data, suffix = media.load(), b"", ""
    if suffix and scaled_size(image.size, max_pixels) == image.size:
        return Picture(name, suffix, data, image.size)
    sent = scaled_down(image.convert("RGB"), max_pixels)
    suffix, data = encoded(sent, suffix)
    return Picture(name, suffix, data, sent.size)


def request_key(text: str) -> str:
    """SHA-256 of a request's canonical text; two requests with one key are the same request."""
    return hashlib.sha256(text.encode()).hexdigest()


def request_text(request: ChatRequest) -> str:
    """Everything that decides the answer, as canonical JSON; images by their `Media.key`.

    Raises:
        InputError: an image whose key is not known yet cannot be read.
    """
    content = {
        "model": request.model,
        "system": request.system,
        "user": request.user,
        "images": [media.key for media in request.media],
        "max_tokens": request.max_tokens,
        "temperature": None if request.temperature is None else float(request.temperature),
        "top_p": float(request.top_p),
        "stop": list(request.stop),
        "seed": request.seed,
        "template": request.template,
        "sample_index": request.sample_index,
        "attempt": request.attempt,
    }
    if request.max_image_pixels is not None:
        content["max_image_pixels"] = request.max_image_pixels
    return _CANONICAL.encode(content)


def messages(request: ChatRequest, urls: Sequence[str]) -> list[dict[str, Any]]:
    """The conversation in the endpoint's terms.

    A request without images is plain text, in which `<image>` marks nothing.

    Args:
        request: what is asked.
        urls: of its images, see `Picture.url`.

    Raises:
        InputError: marks and images differ in number, or a text holds a control token, which a
            served model could read as the end of a turn.
    """
    system = [] if request.system is None else [{"role": "system", "content": request.system}]
    refuse_control(request.system or "", "the prompt")
    refuse_control(request.user, "the prompt")
    if not urls:
        return [*system, {"role": "user", "content": request.user}]
    rest = iter(urls)
    parts = [
        {"type": "image_url", "image_url": {"url": next(rest)}} if part["type"] == "image" else part
        for part in user_content(request.user, len(urls))
    ]
    return [*system, {"role": "user", "content": parts}]
