"""The client of OpenAI-compatible endpoints: paced, patient, and never asking twice what is in the log.

The requests run in an event loop in a thread of the client's own, so it can be called from any thread
and from inside another event loop. What goes wrong with one request is a `Failure`; what would go wrong
with every request (a refused key, an unknown model, an endpoint that is not there) is raised.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Literal, NoReturn, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp

from vision_r1.core.errors import InputError
from vision_r1.problems.problem import Media
from vision_r1.teachers.chat import (
    ChatReply,
    ChatRequest,
    Failure,
    Picture,
    encode_picture,
    request_key,
    request_text,
)
from vision_r1.teachers.config import EndpointConfig
from vision_r1.teachers.pacing import Pace, Patience
from vision_r1.teachers.request_log import Answered, RequestLog
from vision_r1.teachers.wire import Fault, read_answer, request_body

Usable = Callable[[str], bool]
_MOST_BYTES = 64 * 2**20  # of an answer
# Failures without an answer between them that show that the endpoint or the settings are at fault.
MOST_FAILURES = 50
_TOO_LONG = re.compile(r"context|too long|(?:max|exceed)[^.]{0,60}(?:length|tokens?)", re.IGNORECASE)
T = TypeVar("T")


def any_text(text: str) -> bool:
    """Every answer can be used."""
    return True


def _nobody(done: int) -> None:
    """Tell nobody how far it is."""


class EndpointClient:
    """Asks one endpoint.

    Attributes:
        config: which one, and how patiently.
        log: answers of this run and those before.
        sent: HTTP requests sent so far, retries included.
    """

    def __init__(self, config: EndpointConfig, log: RequestLog) -> None:
        """Take the key from the environment; nothing is sent yet.

        Raises:
            InputError: the environment variable with the key is not set, or holds what no key can be.
        """
        self.config, self.log = config, log
        self.sent = 0
        self._key = _key_of(config)
        self._url = f"{config.url}/chat/completions"
        self._pace = Pace(config.max_in_flight)
        self._failed_in_a_row = 0
        self._running: dict[str, asyncio.Event] = {}
        self._unwritten: list[tuple[Answered, asyncio.Future[None]]] = []
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._pid = os.getpid()

    # ---- what callers use

    def complete(
        self,
        requests: Sequence[ChatRequest],
        on_done: Callable[[int], None] = _nobody,
        usable: Usable = any_text,
    ) -> list[ChatReply | Failure]:
        """Ask all requests; blocks, also inside a running event loop (see `acomplete`).

        Args:
            requests: what to ask; equal ones are sent once.
            on_done: called in the calling thread with the number of requests that have just ended.
            usable: whether an answer's text can be used; where not, further samples are taken.

        Returns:
            One outcome for each request, in order.

        Raises:
            InputError: no request could succeed: the key is refused, the model or the address unknown,
                the endpoint cannot be reached, throttles or fails without end, or the log cannot be
                written. Answers that have come until then are in the log.
        """
        ended: queue.SimpleQueue[tuple[int, ChatReply | Failure] | None] = queue.SimpleQueue()
        job = self._submit(self._all(requests, usable, lambda *outcome: ended.put(outcome)))
        job.add_done_callback(lambda _: ended.put(None))
        outcomes: dict[int, ChatReply | Failure] = {}
        try:
            while (item := ended.get()) is not None:
                outcomes[item[0]] = item[1]
                on_done(1)
        except BaseException:
            job.cancel()
            raise
        job.result()
        return [outcomes[index] for index in range(len(requests))]

    async def acomplete(
        self, requests: Sequence[ChatRequest], usable: Usable = any_text
    ) -> list[ChatReply | Failure]:
        """`complete` for callers with an event loop of their own, which goes on meanwhile."""
        outcomes: dict[int, ChatReply | Failure] = {}
        await asyncio.wrap_future(self._submit(self._all(requests, usable, outcomes.__setitem__)))
        return [outcomes[index] for index in range(len(requests))]

    def ask(
        self,
        prompt: str,
        *,
        model: str,
        system: str | None = None,
        media: tuple[Media, ...] = (),
        max_tokens: int = 1024,
        temperature: float | None = 0.0,
        seed: int | None = None,
        sample_index: int = 0,
        template: str = "",
        usable: Usable = any_text,
    ) -> str | Failure:
        """The answer to one prompt, as text; for judges, from many threads at once. See `complete`."""
        request = ChatRequest(
            model=model, user=prompt, system=system, media=media, max_tokens=max_tokens,
            temperature=temperature, seed=seed, sample_index=sample_index, template=template,
        )  # fmt: skip
        outcome = self.complete([request], usable=usable)[0]
        return outcome if isinstance(outcome, Failure) else outcome.text

    def close(self) -> None:
        """Drop what is under way and end the client's thread; the log stays open."""
        with self._starting:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        atexit.unregister(self.close)
        asyncio.run_coroutine_threadsafe(self._wind_up(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- the thread with the event loop

    def _submit(self, work: Coroutine[Any, Any, T]) -> Any:
        """Run a coroutine in the client's loop; gives a `concurrent.futures.Future`."""
        if self._pid != os.getpid():
            work.close()
            raise RuntimeError("an EndpointClient does not live through a fork: make one in each process")
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="endpoint-client", daemon=True
                )
                self._thread.start()
                atexit.register(self.close)
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _wind_up(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None
        await asyncio.get_running_loop().shutdown_default_executor()

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"Content-Type": "application/json"}
            if self._key:
                headers["Authorization"] = f"Bearer {self._key}"
            host = urlsplit(self.config.url).hostname
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(
                    total=self.config.timeout_seconds, sock_connect=self.config.connect_seconds
                ),
                headers=headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                # A proxy of the environment is for the world outside, not for a server on this machine.
                trust_env=host not in ("127.0.0.1", "localhost", "::1"),
            )
        return self._session

    # ---- requests

    async def _all(
        self,
        requests: Sequence[ChatRequest],
        usable: Usable,
        ended: Callable[[int, ChatReply | Failure], None],
    ) -> None:
        order = iter(enumerate(requests))

        async def work() -> None:
            for index, request in order:  # shared: each takes the next one
                ended(index, await self._answer(request, usable))

        try:
            async with asyncio.TaskGroup() as group:
                # More than there are slots: some wait to try again.
                for _ in range(min(len(requests), 2 * self.config.max_in_flight)):
                    group.create_task(work())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _answer(self, request: ChatRequest, usable: Usable) -> ChatReply | Failure:
        """An answer that can be used, from further samples if need be."""
        last = ""
        for attempt in range(1 + self.config.answer_retries):
            outcome = await self._settle(request.again(attempt))
            if isinstance(outcome, Failure) or usable(outcome.text):
                return outcome
            last = outcome.text[:80]
        tries = 1 + self.config.answer_retries
        return Failure(
            "answer", self._clean(f"none of {tries} answers could be used; the last begins {last!r}")
        )

    async def _settle(self, request: ChatRequest) -> ChatReply | Failure:
        """The answer from the log, else from the endpoint."""
        try:
            # Images are read and encoded beside the loop.
            pictures = await asyncio.to_thread(_pictures, request) if request.media else []
        except InputError as error:
            return Failure("request", error.line())
        text = request_text(request, pictures)
        key = request_key(text)
        while True:
            logged = self.log.get(key)
            if logged is not None:
                return logged
            if key not in self._running:
                break
            await self._running[key].wait()
        self._running[key] = asyncio.Event()
        try:

            def entry(reply: ChatReply) -> Answered:
                return Answered(key, request.model, text, reply)

            if pictures:
                await asyncio.to_thread(self.log.keep, pictures)
            return await self._send(request, pictures, entry)
        finally:
            self._running.pop(key).set()

    async def _write(self, answer: Answered) -> None:
        """Put an answer on file; those that came in the same turn of the loop go in one transaction."""
        loop = asyncio.get_running_loop()
        written = loop.create_future()
        self._unwritten.append((answer, written))
        if len(self._unwritten) == 1:
            loop.call_soon(self._write_all)
        await written

    def _write_all(self) -> None:
        batch, self._unwritten = self._unwritten, []
        error: Exception | None = None
        try:
            self.log.put([answer for answer, _ in batch])
        except Exception as raised:  # noqa: BLE001  (whoever waits has to hear of it, whatever it is)
            error = raised
        for _, written in batch:
            if not written.done() and error is not None:
                written.set_exception(error)
            elif not written.done():
                written.set_result(None)

    async def _send(
        self, request: ChatRequest, pictures: list[Picture], entry: Callable[[ChatReply], Answered]
    ) -> ChatReply | Failure:
        """Try until there is a reply, or patience ends."""
        try:
            body = request_body(request, pictures, self.config.cap_field)
        except InputError as error:
            return Failure("request", error.line())
        patience = Patience(self.config)
        while True:
            outcome = await self._paced(body, entry)
            if isinstance(outcome, ChatReply):
                self._failed_in_a_row = 0
                return outcome
            if outcome.kind == "row":
                return self._give_up("request", outcome, request.model)
            if outcome.kind not in ("retry", "unreachable", "throttled"):
                self._stop(outcome, request.model)
            now = asyncio.get_running_loop().time()
            wait = patience.wait(outcome, now, self._pace.last_answered)
            if wait is not None:
                await asyncio.sleep(wait)
            elif outcome.kind == "retry":
                tried = replace(outcome, reason=f"gave up after {patience.failures} tries: {outcome.reason}")
                return self._give_up("transport", tried, request.model)
            else:
                self._stop(outcome, request.model)

    def _give_up(self, kind: Literal["request", "transport"], fault: Fault, model: str) -> Failure:
        """The failure of one request, unless so many failed that it is not this one's fault."""
        # The longest prompts come first in an evaluation: that they do not fit is each one's own fault.
        if kind == "transport" or not _TOO_LONG.search(fault.reason):
            self._failed_in_a_row += 1
        if self._failed_in_a_row >= MOST_FAILURES:
            self._stop(replace(fault, kind="row"), model)
        return Failure(kind, self._clean(fault.reason))

    async def _paced(self, body: bytes, entry: Callable[[ChatReply], Answered]) -> ChatReply | Fault:
        """One HTTP request when the endpoint has room for it; its slot is free once the answer is on file."""
        clock = asyncio.get_running_loop().time
        async with self._pace.slot() as started:
            outcome = await self._once(body)
            if isinstance(outcome, ChatReply):
                outcome = self._blotted(outcome)
                self._pace.answered(clock())
                await self._write(entry(outcome))
            elif outcome.kind == "throttled":
                patient = (outcome.wait or 0.0) <= self.config.patience_seconds
                self._pace.throttled(started, clock(), outcome.wait if patient else None)
            return outcome

    async def _once(self, body: bytes) -> ChatReply | Fault:
        """One HTTP request."""
        self.sent += 1
        try:
            async with self._connected().post(self._url, data=body, allow_redirects=False) as response:
                chunks, size = [], 0
                async for chunk in response.content.iter_any():
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > _MOST_BYTES:
                        return Fault("retry", f"the answer is over {_MOST_BYTES // 2**20} MiB")
                retry_after = response.headers.get("Retry-After")
                return read_answer(response.status, b"".join(chunks), retry_after, time.time())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Fault("unreachable", str(error))
        except TimeoutError:
            return Fault("retry", f"no answer within {self.config.timeout_seconds:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Fault("retry", f"the connection broke: {str(error) or type(error).__name__}")

    def _stop(self, fault: Fault, model: str) -> NoReturn:
        """Raise what would befall every request."""
        name, kept = self.config.key_env, "what was answered is kept"
        what, fix = {
            "key": (
                "the endpoint refuses the key" if name else "the endpoint asks for a key",
                f"put a valid key into {name}" if name else "set key_env to the variable that holds it",
            ),
            "quota": ("the account has no quota left", "top it up and run again; " + kept),
            "model": (f"the endpoint has no model {model[:80]!r}", "name one that it lists under /models"),
            "address": ("no chat completions at this address", "the url usually ends in /v1"),
            "row": (f"{MOST_FAILURES} requests in a row failed", "mend it and run again; " + kept),
            "throttled": ("the endpoint throttles every request", "run again later; " + kept),
        }.get(fault.kind, ("the endpoint cannot be reached", "check the url, and that the server runs"))
        raise InputError(self._clean(f"{what} ({fault.reason})"), where=self.config.url, fix=fix)

    def _blotted(self, reply: ChatReply) -> ChatReply:
        """The reply without the key, should the endpoint repeat it."""
        if not self._key or self._key not in f"{reply.text}{reply.reasoning}{reply.model}":
            return reply
        return replace(
            reply,
            text=self._clean(reply.text),
            reasoning=self._clean(reply.reasoning),
            model=self._clean(reply.model),
        )

    def _clean(self, text: str) -> str:
        """A message without the key, whoever repeated it."""
        return text.replace(self._key, "***") if self._key else text


def _key_of(config: EndpointConfig) -> str:
    if not config.key_env:
        return ""
    key = os.environ.get(config.key_env, "").strip()
    if not key:
        raise InputError(f"the environment variable {config.key_env} is not set", fix="put the key into it")
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"{config.key_env} holds characters that no key has", fix="set it again")
    return key


def _pictures(request: ChatRequest) -> list[Picture]:
    return [encode_picture(media) for media in request.media]
