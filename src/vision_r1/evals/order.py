"""In which order prompts are decoded, so that those of one batch are about equally long."""

from __future__ import annotations

from collections.abc import Sequence

from vision_r1.rollout.request import Request


def decoding_order(requests: Sequence[Request]) -> list[int]:
    """Indices of the requests, longest prompt first: what does not fit shows at once.

    Image tokens are estimated at one per 28x28 pixels and text at four characters a token. Equal
    questions stand side by side: their answers end at about the same length, so a batch ends soon.
    """

    def key(index: int) -> tuple[int, str, int]:
        request = requests[index]
        sizes = [media.load().size for media in request.media]
        tokens = sum(width * height for width, height in sizes) // 784 + len(request.question) // 4
        return -tokens, request.question, index

    return sorted(range(len(requests)), key=key)
