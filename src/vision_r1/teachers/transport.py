"""One OpenAI-compatible endpoint: bytes out, a reply or a named fault back. Used within one event loop."""

from __future__ import annotations

import asyncio
import os
import re
import time
from dataclasses import dataclass, replace

import aiohttp
from yarl import URL

from vision_r1.core.errors import InputError
from vision_r1.teachers.chat import ChatReply
from vision_r1.teachers.config import EndpointConfig
from vision_r1.teachers.proxies import proxy_of
from vision_r1.teachers.stream import ReplyStream
from vision_r1.teachers.wire import Clean, Fault, read_answer, read_stream

_MOST_BYTES = 64 * 2**20  # of an answer
# A key of so many characters is known by its first ones; a shorter one ("none", "EMPTY") may be a word.
_SECRET, _START = 16, 6


@dataclass
class Traffic:
    """What went over one endpoint in this run; every attempt ends in one of the last four.

    Attributes:
        sent: attempts.
        answered: replies.
        throttled: asked to come later.
        failed: could not be reached, broke off, or came to nothing that is an answer.
        refused: the endpoint would not have this request, or none at all.
    """

    sent: int = 0
    answered: int = 0
    throttled: int = 0
    failed: int = 0
    refused: int = 0

    def count(self, outcome: ChatReply | Fault) -> None:
        """Add the end of an attempt."""
        if isinstance(outcome, ChatReply):
            self.answered += 1
        elif outcome.kind == "throttled":
            self.throttled += 1
        elif outcome.kind in ("retry", "unreachable"):
            self.failed += 1
        else:
            self.refused += 1


class Endpoint:
    """Sends requests to one address.

    Attributes:
        config: which one, and how patiently.
        traffic: what went over it.
    """

    def __init__(self, config: EndpointConfig) -> None:
        """Take the key from the environment; nothing is sent yet.

        Raises:
            InputError: the environment variable with the key is not set, or holds what no key can be,
                or the environment names a proxy that is none.
        """
        self.config = config
        self.traffic = Traffic()
        self._key = _key_of(config)
        # What a model wrote, without the key; one that is a word like "none" is left where it stands.
        self._clean_reply: Clean = self.clean if len(self._key) >= _SECRET else str
        self._proxy = proxy_of(config.url)
        self._url = URL(f"{config.url}/chat/completions")
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes) -> ChatReply | Fault:
        """One attempt; the key is in nothing that comes back."""
        self.traffic.sent += 1
        try:
            outcome = self._blotted(await self._post(body))
        except asyncio.CancelledError:
            self.traffic.failed += 1
            raise
        self.traffic.count(outcome)
        return outcome

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def clean(self, text: str) -> str:
        """A message without the key, whoever repeated it."""
        return text.replace(self._key, "***") if self._key else text

    async def _post(self, body: bytes) -> ChatReply | Fault:
        limit = self.config.idle_seconds if self.config.stream else self.config.timeout_seconds
        try:
            async with (
                asyncio.timeout(limit) as deadline,
                self._connected().post(self._url, data=body, allow_redirects=False) as response,
            ):
                events = response.status == 200 and response.content_type == "text/event-stream"
                if self.config.stream and events:
                    return await self._streamed(response, deadline)
                return await self._whole(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Fault("unreachable", str(error))
        except TimeoutError:
            words = f"no word for {limit:g} s" if self.config.stream else f"no answer within {limit:g} s"
            return Fault("retry", words, worked=True, crowded=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Fault("retry", f"the connection broke: {str(error) or type(error).__name__}", worked=True)

    async def _whole(self, response: aiohttp.ClientResponse) -> ChatReply | Fault:
        chunks, size = [], 0
        async for chunk in response.content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > _MOST_BYTES:
                return _flood()
        return read_answer(
            response.status, b"".join(chunks), response.headers.get("Retry-After"), time.time(), self.clean,
            self._clean_reply,
        )  # fmt: skip

    async def _streamed(
        self, response: aiohttp.ClientResponse, deadline: asyncio.Timeout
    ) -> ChatReply | Fault:
        clock = asyncio.get_running_loop().time
        stream, size = ReplyStream(), 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > _MOST_BYTES:
                return _flood()
            if stream.feed(chunk):
                deadline.reschedule(clock() + self.config.idle_seconds)
            if stream.done or stream.fault:
                break
        return read_stream(stream, self.clean, self._clean_reply)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"Content-Type": "application/json"}
            if self._key:
                headers["Authorization"] = f"Bearer {self._key}"
            proxy, proxy_auth = self._proxy
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.config.connect_seconds),
                headers=headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                # Else ~/.netrc is read for every request, and sent where no key is, or against the key.
                trust_env=False,
                proxy=proxy,
                proxy_auth=proxy_auth,
            )
        return self._session

    def _blotted(self, outcome: ChatReply | Fault) -> ChatReply | Fault:
        """The outcome without the key, should the endpoint repeat it."""
        if not self._key:
            return outcome
        if isinstance(outcome, Fault):
            reason = self.clean(outcome.reason)
            if len(self._key) >= _SECRET:  # shown in part, or cut off with the message
                reason = re.sub(re.escape(self._key[:_START]) + r"[^\s\"']*", "***", reason)
            return replace(outcome, reason=reason)
        texts = {
            name: self._clean_reply(value)
            for name in ChatReply.__slots__
            if isinstance(value := getattr(outcome, name), str)
        }
        return replace(outcome, **texts)  # type: ignore[arg-type]


def _flood() -> Fault:
    return Fault("retry", f"the answer is over {_MOST_BYTES // 2**20} MiB", worked=True)


def _key_of(config: EndpointConfig) -> str:
    if not config.key_env:
        return ""
    key = os.environ.get(config.key_env, "").strip()
    if not key:
        raise InputError(f"the environment variable {config.key_env} is not set", fix="put the key into it")
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"{config.key_env} holds characters that no key has", fix="set it again")
    return key
