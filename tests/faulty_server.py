"""A chat endpoint on this machine that fails on request and counts what it was asked."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


def reply(text: str, finish: str = "stop", **message: Any) -> dict[str, Any]:
    """The body of a good answer."""
    return {
        "model": "served",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, **message},
                "finish_reason": finish,
            }
        ],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3},
    }


def events(text: str, thought: str = "", piece: int = 4, **usage: Any) -> list[bytes]:
    """A good answer as server-sent events, a few characters each, the counts in the last one."""

    def event(**delta: Any) -> dict[str, Any]:
        return {"model": "served", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}

    thoughts = [thought[i : i + piece] for i in range(0, len(thought), piece)]
    texts = [text[i : i + piece] for i in range(0, len(text), piece)]
    values = [event(role="assistant", content="")]
    values += [event(reasoning_content=part) for part in thoughts] + [event(content=part) for part in texts]
    values.append({"model": "served", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    values.append({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 3, **usage}})
    return [b"data: %b\n\n" % json.dumps(value).encode() for value in values] + [b"data: [DONE]\n\n"]


@dataclass
class Answer:
    """What the server does: a status and body, possibly late, cut off after some bytes, or hung up on.

    A body that is a list of bytes is sent piece by piece, with pauses between.
    """

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut_after: int | None = None
    hang_up: bool = False
    pause: float = 0.0


def prompt_of(body: dict[str, Any]) -> str:
    """The text of the last user turn."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(p.get("text", "") for p in content)


# (request body, how often this prompt was asked before) -> what to do
Script = Callable[[dict[str, Any], int], Answer]


def echo(body: dict[str, Any], _: int) -> Answer:
    return Answer(reply(f"echo {prompt_of(body)}"))


class FaultyServer:
    """Use as a context manager.

    Attributes:
        asked: how often each prompt came in.
        answered: how often each prompt was answered to the end.
        bodies, headers, times: of every request in order; times on the monotonic clock.
        most: the most requests that were under way at a time.
    """

    def __init__(self, script: Script = echo, host: str = "127.0.0.1") -> None:
        self.script, self.host = script, host
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.now = self.most = 0
        self.url = ""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        prompt = prompt_of(body)
        before = self.asked[prompt]
        self.asked[prompt] += 1
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.times.append(time.monotonic())
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await self._answer(request, prompt, self.script(body, before))
        finally:
            self.now -= 1

    async def _answer(self, request: web.Request, prompt: str, answer: Answer) -> web.StreamResponse:
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.hang_up:
            request.transport.abort()
            return web.Response()
        if isinstance(answer.body, list):
            return await self._pieces(request, prompt, answer, answer.body)
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.content_length = len(data)
        await response.prepare(request)
        if answer.cut_after is not None:
            await response.write(data[: answer.cut_after])
            await asyncio.sleep(0.01)
            request.transport.abort()
            return response
        await response.write(data)
        await response.write_eof()
        if answer.status == 200:
            self.answered[prompt] += 1
        return response

    async def _pieces(
        self, request: web.Request, prompt: str, answer: Answer, pieces: list[bytes]
    ) -> web.StreamResponse:
        headers = {"Content-Type": "text/event-stream", **answer.headers}
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        for index, piece in enumerate(pieces):
            if index == answer.cut_after:
                request.transport.abort()
                return response
            await response.write(piece)
            await asyncio.sleep(answer.pause)
        await response.write_eof()
        self.answered[prompt] += 1
        return response

    def __enter__(self) -> FaultyServer:
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()

        async def serve() -> None:
            app = web.Application(client_max_size=2**28)
            app.router.add_post("/v1/chat/completions", self._handle)
            self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await self._runner.setup()
            site = web.TCPSite(self._runner, self.host, 0)
            await site.start()
            self.url = f"http://{self.host}:{site._server.sockets[0].getsockname()[1]}/v1"
            ready.set()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(serve())
            self._loop.run_forever()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
