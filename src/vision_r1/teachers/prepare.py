"""Requests made ready to be sent: images read, checked, encoded and stored, without holding up the others.

A small image that is at hand is done in the event loop, a slice of time at a time: to hand it to a thread and
back costs more than the image. Whatever may take long (a file to read, a large image to decode) is done in
threads. Both store their images in bundles: to commit a single small one costs more than the image.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from vision_r1.core.errors import InputError
from vision_r1.problems.images import BytesImage
from vision_r1.problems.problem import Media
from vision_r1.teachers.chat import ChatRequest, Failure, Picture, encode_picture
from vision_r1.teachers.ledger import prompt_bound
from vision_r1.teachers.request_log import RequestLog
from vision_r1.teachers.wire import begun_body

_THREADS = 2
_BUNDLE_SECONDS = 0.002  # of work before what is ready is handed over
# Decoded and encoded in half a millisecond.
_SMALL_BYTES, _SMALL_PIXELS = 32 * 2**10, 2**16


@dataclass(frozen=True, slots=True)
class Ready:
    """A request that can be sent.

    Attributes:
        begun: its body, see `wire.begun_body`.
        prompt_tokens: the most that its prompt can come to.
    """

    begun: bytes
    prompt_tokens: int


Outcome = Ready | Failure | Exception
_Turn = tuple[ChatRequest, "asyncio.Future[Ready | Failure]"]
_Turns = deque[_Turn]


class Preparer:
    """Makes requests ready; used within one event loop.

    Attributes:
        log: where their images are stored.
    """

    def __init__(self, log: RequestLog) -> None:
        self.log = log
        self._small, self._large = _Turns(), _Turns()
        self._working, self._due = 0, False
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="encode-image")

    async def ready(self, request: ChatRequest) -> Ready | Failure:
        """The request ready to be sent, or why it cannot be asked.

        Raises:
            InputError: the images cannot be stored.
        """
        if not request.media:
            return _made_ready(request, [])
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Ready | Failure] = loop.create_future()
        if all(_is_small(media) for media in request.media):
            self._small.append((request, turn))
            self._schedule(loop)
        else:
            self._hand_to_thread((request, turn), loop)
        return await turn

    def close(self) -> None:
        """Finish the bundles under way."""
        self._small.clear()
        self._large.clear()
        self._threads.shutdown()

    # ---- in the event loop

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._due:
            self._due = True
            loop.call_soon(self._slice, loop)

    def _slice(self, loop: asyncio.AbstractEventLoop) -> None:
        """Work for a slice of time, then let others have their turn."""
        self._due = False
        _hand_over(self._bundle(self._small))
        if self._small:
            self._schedule(loop)

    # ---- in threads

    def _hand_to_thread(self, turn: _Turn, loop: asyncio.AbstractEventLoop) -> None:
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
        loop.call_soon_threadsafe(_hand_over, self._bundle(self._large))

    # ---- in either

    def _bundle(self, waiting: _Turns) -> list[tuple[asyncio.Future[Ready | Failure], Outcome]]:
        """What becomes of those that wait, as many as some time allows; their images are stored."""
        end = time.monotonic() + _BUNDLE_SECONDS
        done: list[tuple[asyncio.Future[Ready | Failure], Outcome]] = []
        new: list[Picture] = []
        while time.monotonic() < end:
            try:
                request, turn = waiting.popleft()
            except IndexError:
                break
            try:
                pictures = [encode_picture(media, request.max_image_pixels) for media in request.media]
                new.extend(pictures)
                done.append((turn, _made_ready(request, pictures)))
            except InputError as error:
                done.append((turn, Failure("request", error.line())))
            except Exception as error:  # noqa: BLE001  (whoever waits has to hear of it, whatever it is)
                done.append((turn, error))
        try:
            if new:
                self.log.keep(new)
        except Exception as error:  # noqa: BLE001  (likewise)
            done = [(turn, error) for turn, _ in done]
        return done


def _is_small(media: Media) -> bool:
    return type(media) is BytesImage and len(media.read()) <= _SMALL_BYTES


def _made_ready(request: ChatRequest, pictures: list[Picture]) -> Ready | Failure:
    try:
        begun = begun_body(request, pictures)
    except InputError as error:
        return Failure("request", error.line())
    text = f"{request.system or ''}{request.user}".encode(errors="replace")
    return Ready(begun, prompt_bound(len(text), [picture.size for picture in pictures]))


def _hand_over(done: list[tuple[asyncio.Future[Ready | Failure], Outcome]]) -> None:
    for turn, outcome in done:
        if turn.done():
            continue
        if isinstance(outcome, Exception):
            turn.set_exception(outcome)
        else:
            turn.set_result(outcome)
