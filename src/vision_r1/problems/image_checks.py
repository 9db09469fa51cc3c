"""Find the images of a set that cannot be decoded, in threads, each shared file once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from vision_r1.core.errors import InputError
from vision_r1.problems.faults import RowError, reason_of
from vision_r1.problems.images import FileImage, StoredImage
from vision_r1.problems.problem import Media

SHOWN_FAULTS = 5
AHEAD = 64  # images that may wait for a thread, or to be asked for

ImageCallback = Callable[[int, int], None]
Item = TypeVar("Item")
Result = TypeVar("Result")


def check_images(media: Iterable[Media], progress: ImageCallback | None = None) -> None:
    """Decode every image once, so that a bad one shows now and not in the middle of training.

    Args:
        media: the images of all rows; a file that several rows share is decoded once.
        progress: called with (images done, images in all).

    Raises:
        InputError: naming the first bad ones and how many there are.
    """
    images = list(media)
    faults: list[InputError] = []
    for done, (image, verdict) in enumerate(zip(images, image_faults(images), strict=True), start=1):
        if verdict is not None:
            place = image.where if isinstance(image, StoredImage) else verdict.where
            faults.append(InputError(verdict.what, where=place, fix=verdict.fix))
        if progress is not None:
            progress(done, len(images))
    if len(faults) == 1:
        raise faults[0]
    if faults:
        shown = "; ".join(f"{fault.where}: {fault.what}" for fault in faults[1:SHOWN_FAULTS])
        rest = f"; and {len(faults) - SHOWN_FAULTS} more" if len(faults) > SHOWN_FAULTS else ""
        raise InputError(
            f"{faults[0].what} ({len(faults)} bad images of {len(images)}; next {shown}{rest})",
            where=faults[0].where,
            fix=faults[0].fix,
        )


def image_faults(images: Sequence[Media]) -> Iterator[RowError | None]:
    """Why each image cannot be decoded, None where it can; decoded in threads, a shared file once."""
    return once_each(images, lambda firsts: in_threads(image_fault, firsts))


def once_each(
    images: Sequence[Media], function: Callable[[Iterable[Media]], Iterator[Result]]
) -> Iterator[Result]:
    """What `function` gives for every image, although it is given each shared file once."""
    firsts: dict[object, Media] = {}
    for image in images:
        firsts.setdefault(image_place(image), image)
    results = function(firsts.values())
    known: dict[object, Result] = {}
    for image in images:
        place = image_place(image)
        if place not in known:
            known[place] = next(results)
        yield known[place]


def image_place(image: Media) -> object:
    """What is read; the same for two rows that share a file."""
    return image.source if isinstance(image, FileImage) else id(image)


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`map` in threads that run a bounded way ahead."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def image_fault(image: Media) -> RowError | None:
    """Why an image cannot be decoded; None if it can."""
    try:
        image.load()
    except InputError as error:
        return image_error(error)
    return None


def image_error(error: InputError) -> RowError:
    """The same as a fault of its row; a new one, as that which was raised holds on to the image."""
    return RowError(error.what, where=error.where, fix=error.fix, reason=reason_of(error, "corrupt_image"))
