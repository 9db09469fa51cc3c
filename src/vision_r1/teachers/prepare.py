"""Requests made ready to be sent: images read, checked, encoded and stored, beside the event loop.

What is small is done in bundles: to hand over and to commit a single small image costs more than the image.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from vision_r1.core.errors import InputError
from vision_r1.teachers.chat import ChatRequest, Failure, Picture, encode_picture
from vision_r1.teachers.ledger import prompt_bound
from vision_r1.teachers.request_log import RequestLog
from vision_r1.teachers.wire import begun_body

_THREADS = 2
_BUNDLE_SECONDS = 0.002  # of work before what is ready is handed over


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


class Preparer:
    """Makes requests ready; used within one event loop.

    Attributes:
        log: where their images are stored.
    """

    def __init__(self, log: RequestLog) -> None:
        self.log = log
        self._waiting: deque[_Turn] = deque()
        self._working = 0
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
        self._waiting.append((request, turn))
        if self._working < _THREADS:
            self._begin(loop)
        return await turn

    def close(self) -> None:
        """Finish the bundles under way."""
        self._waiting.clear()
        self._threads.shutdown()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._working += 1
        loop.run_in_executor(self._threads, self._bundle, loop).add_done_callback(lambda _: self._end(loop))

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        self._working -= 1
        if self._waiting:
            self._begin(loop)

    def _bundle(self, loop: asyncio.AbstractEventLoop) -> None:
        """Work until some time has passed, or nothing waits; runs in a thread."""
        end = time.monotonic() + _BUNDLE_SECONDS
        done: list[tuple[asyncio.Future[Ready | Failure], Outcome]] = []
        new: list[Picture] = []
        while time.monotonic() < end:
            try:
                request, turn = self._waiting.popleft()
            except IndexError:
                break
            try:
                done.append((turn, _made_ready(request, self._pictures(request, new))))
            except InputError as error:
                done.append((turn, Failure("request", error.line())))
            except Exception as error:  # noqa: BLE001  (whoever waits has to hear of it, whatever it is)
                done.append((turn, error))
        try:
            if new:
                self.log.keep(new)
        except Exception as error:  # noqa: BLE001  (likewise)
            done = [(turn, error) for turn, _ in done]
        loop.call_soon_threadsafe(_hand_over, done)

    def _pictures(self, request: ChatRequest, new: list[Picture]) -> list[Picture]:
        pictures = []
        for media in request.media:
            picture = encode_picture(media, request.max_image_pixels)
            pictures.append(picture)
            new.append(picture)
        return pictures


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
