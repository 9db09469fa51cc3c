"""Do images reach a served model? Judged by what its endpoint says that prompts cost.

A server whose chat template or gateway drops images answers all the same; only the count of the prompt's
tokens tells.
"""

from __future__ import annotations

from collections.abc import Iterable

from vision_r1.core.errors import ImageUseError
from vision_r1.models.chat import IMAGE_MARK
from vision_r1.problems.problem import Problem

PROBES = 3  # problems


def without_images(problem: Problem) -> str:
    """A problem's prompt as it is sent without its images."""
    return problem.prompt.replace(IMAGE_MARK, "")


def check_prompt_costs(counts: Iterable[tuple[int | None, int | None]], where: str) -> bool:
    """Stop where prompts cost as many tokens with their images as without.

    Args:
        counts: for each prompt, its tokens with its images and without; None or 0 where that is not known.
        where: the served model.

    Returns:
        Whether anything could be compared.

    Raises:
        ImageUseError: no prompt costs more with its images.
    """
    known = [(real, bare) for real, bare in counts if real and bare]
    if known and all(real <= bare for real, bare in known):
        raise ImageUseError(
            f"the images do not reach the served model: a prompt has {known[0][0]} tokens with its picture"
            f" and {known[0][1]} without",
            where=where,
            fix="check that the server serves a vision-language model and takes images",
        )
    return bool(known)
