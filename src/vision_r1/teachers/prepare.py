"""Requests made ready to be sent: images read, checked, encoded and stored, without holding up the others.

A small image is done in the event loop, a slice of time at a time: to hand it to a thread and back costs more
than the image. What may take long is done in threads: a large image to decode, or a file of a size not seen
before, or of a slow disk, to read. So is storing, in bundles: to commit one small image costs more than it.
A request does not wait for that while storing works, only its answer, which goes on file when they are there.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from vision_r1.core.errors import InputError
from vision_r1.problems.faults import RowError
from vision_r1.problems.images import BytesImage, FileImage, Small, SpilledImage
from vision_r1.problems.problem import Media
from vision_r1.teachers.chat import ChatRequest, Failure, Picture, encode_picture
from vision_r1.teachers.ledger import prompt_bound
from vision_r1.teachers.request_log import RequestLog
from vision_r1.teachers.wire import begun_body

_THREADS = 2
_BUNDLE_SECONDS = 0.002  # of work before what is ready is handed over
# Read, decoded and encoded in half a millisecond.
_SMALL = Small(file_bytes=32 * 2**10, pixels=2**16)
_FEW = 4  # images of a request that is done in a slice
_SLOW_SECONDS = 0.01  # slices that take so long, by a moving average, wait for a disk
_MOVES = 0.1  # of a slice's time into the average: a hiccup of the machine is no slow disk
_SHELF_BYTES = 2**22  # of images from which on the next ones are stored apart
_FORGETS = 0.999  # of the average at each request for a thread: now and then the disk is tried again


@dataclass(slots=True)
class Ready:
    """A request that can be sent.

    Attributes:
        begun: its body, see `wire.begun_body`.
        prompt_tokens: the most that its prompt can come to.
        stored: done when its images are on file; None where it has none.
    """

    begun: bytes
    prompt_tokens: int
    stored: asyncio.Future[None] | None = None

    def check(self) -> None:
        """Raises InputError where it is known by now that its images cannot be stored."""
        if self.stored is not None and self.stored.done():
            self.stored.result()


_Turn = tuple[ChatRequest, "asyncio.Future[Ready | Failure]"]
_Turns = deque[_Turn]


class _Bundle:
    """Requests made ready together.

    Attributes:
        done: what each came to.
        new: their images, to be stored.
        large: those that take too long, see `fill`.
    """

    def __init__(self) -> None:
        self.done: list[tuple[asyncio.Future[Ready | Failure], Ready | Failure | Exception]] = []
        self.new: list[Picture] = []
        self.large: list[_Turn] = []

    def fill(self, waiting: _Turns, small: Small | None = None) -> None:
        """Work on those that wait, as many as some time allows; not on images over the limits of `small`."""
        end = time.monotonic() + _BUNDLE_SECONDS
        while time.monotonic() < end:
            try:
                request, turn = waiting.popleft()
            except IndexError:
                break
            try:
                pictures = [encode_picture(each, request.max_image_pixels, small) for each in request.media]
                self.new.extend(pictures)
                self.done.append((turn, _made_ready(request, pictures)))
            except InputError as error:
                if small is not None and isinstance(error, RowError) and error.reason == "image_too_large":
                    self.large.append((request, turn))
                else:
                    self.done.append((turn, Failure("request", error.line())))
            except Exception as error:  # noqa: BLE001  (whoever waits has to hear of it, whatever it is)
                self.done.append((turn, error))

    def hand_over(self, stored: asyncio.Future[None] | None) -> None:
        """Tell all who wait; in the event loop. `stored` is done when the images are on file."""
        fault = stored.exception() if stored is not None and stored.done() else None
        for turn, outcome in self.done:
            if turn.done():
                continue
            if isinstance(outcome, Exception):
                turn.set_exception(outcome)
            elif isinstance(outcome, Ready) and fault is not None:
                turn.set_exception(fault)
            else:
                if isinstance(outcome, Ready):
                    outcome.stored = stored
                turn.set_result(outcome)


class _Shelf:
    """Images that are stored together.

    Attributes:
        pictures: they.
        size: bytes of them.
        stored: done when they are on file.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.pictures: list[Picture] = []
        self.size = 0
        self.stored: asyncio.Future[None] = loop.create_future()

    def tell(self, stored: asyncio.Future[None]) -> None:
        """What came of it."""
        error = stored.exception()
        if error is None:
            self.stored.set_result(None)
        else:
            self.stored.set_exception(error)
            self.stored.exception()  # seen, whether or not any answer came for them


class Preparer:
    """Makes requests ready; used within one event loop.

    Attributes:
        log: where their images are stored.
    """

    def __init__(self, log: RequestLog) -> None:
        self.log = log
        self._small, self._large = _Turns(), _Turns()
        self._working, self._due = 0, False
        self._shelves: deque[_Shelf] = deque()  # the first is being stored
        self._works = False  # storing: requests wait for it until it has succeeded, and where it fails
        self._closed = False
        self._slice_seconds = 0.0
        self._threads = ThreadPoolExecutor(_THREADS + 1, thread_name_prefix="encode-image")

    async def ready(self, request: ChatRequest) -> Ready | Failure:
        """The request ready to be sent, or why it cannot be asked.

        Raises:
            InputError: the images cannot be stored.
        """
        if not request.media:
            return _made_ready(request, [])
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Ready | Failure] = loop.create_future()
        if len(request.media) <= _FEW and all(self._is_small(media) for media in request.media):
            self._small.append((request, turn))
            self._schedule(loop)
        else:
            self._hand_to_thread((request, turn), loop)
        return await turn

    async def close(self) -> None:
        """Finish the bundles under way, store what is to be stored; what waits is dropped."""
        self._small.clear()
        self._large.clear()
        self._closed = True
        if self._shelves:
            await asyncio.wait([shelf.stored for shelf in self._shelves])
        self._threads.shutdown()

    # ---- in the event loop

    def _is_small(self, media: Media) -> bool:
        if isinstance(media, FileImage | SpilledImage) and self._slice_seconds > _SLOW_SECONDS:
            return False
        if isinstance(media, FileImage):
            return media.size is not None and math.prod(media.size) <= _SMALL.pixels
        return isinstance(media, BytesImage) and media.file_bytes <= _SMALL.file_bytes

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._due:
            self._due = True
            loop.call_soon(self._slice, loop)

    def _slice(self, loop: asyncio.AbstractEventLoop) -> None:
        """Work for a slice of time, then let others have their turn."""
        self._due = False
        began, bundle = time.monotonic(), _Bundle()
        bundle.fill(self._small, _SMALL)
        took = min(time.monotonic() - began, 5 * _SLOW_SECONDS)
        self._slice_seconds += _MOVES * (took - self._slice_seconds)
        for turn in bundle.large:
            self._hand_to_thread(turn, loop)
        self._take(bundle, loop)
        if self._small:
            self._schedule(loop)

    def _take(self, bundle: _Bundle, loop: asyncio.AbstractEventLoop) -> None:
        """Have the images of a bundle stored, and let its requests go."""
        if self._closed:
            return
        if not bundle.new:
            bundle.hand_over(None)
            return
        # The first shelf is taken already.
        if len(self._shelves) < 2 or self._shelves[-1].size >= _SHELF_BYTES:
            self._shelves.append(_Shelf(loop))
        shelf = self._shelves[-1]
        shelf.pictures += bundle.new
        shelf.size += sum(len(picture.data) for picture in bundle.new)
        if self._works:
            bundle.hand_over(shelf.stored)
        else:
            shelf.stored.add_done_callback(bundle.hand_over)
        if len(self._shelves) == 1:
            self._store(loop)

    def _store(self, loop: asyncio.AbstractEventLoop) -> None:
        """Store the first shelf in a thread, then the next."""
        shelf = self._shelves[0]

        def stored(done: asyncio.Future[None]) -> None:
            self._shelves.popleft()
            self._works = done.exception() is None
            shelf.tell(done)
            if self._shelves:
                self._store(loop)

        loop.run_in_executor(self._threads, self.log.keep, shelf.pictures).add_done_callback(stored)

    # ---- in threads

    def _hand_to_thread(self, turn: _Turn, loop: asyncio.AbstractEventLoop) -> None:
        self._slice_seconds *= _FORGETS
        self._large.append(turn)
        if self._working < _THREADS:
            self._begin(loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._working += 1
        loop.run_in_executor(self._threads, self._work, loop).add_done_callback(lambda _: self._end(loop))

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        self._working -= 1
        if self._large:
            self._begin(loop)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        bundle = _Bundle()
        bundle.fill(self._large)
        loop.call_soon_threadsafe(self._take, bundle, loop)


def _made_ready(request: ChatRequest, pictures: list[Picture]) -> Ready | Failure:
    try:
        begun = begun_body(request, pictures)
    except InputError as error:
        return Failure("request", error.line())
    text = f"{request.system or ''}{request.user}".encode(errors="replace")
    return Ready(begun, prompt_bound(len(text), [picture.size for picture in pictures]))
