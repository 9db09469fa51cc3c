"""Overhead of the endpoint client: ours against a bare asyncio socket client, alternating, median ratio.

    python benchmarks/endpoint.py [--rounds 5] [--json]

A server in a process of its own answers each request after 200 ms; 64 requests are under way at a time.
The bare client writes HTTP by hand and parses the JSON; ours also names every request by its content,
writes every answer to the log before it hands it over, and adapts its pace. Exits with 1 above 1.10.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vision_r1.teachers.chat import ChatReply, ChatRequest
from vision_r1.teachers.config import EndpointConfig
from vision_r1.teachers.endpoint import EndpointClient
from vision_r1.teachers.request_log import RequestLog

MOST = 1.10
IN_FLIGHT, LATENCY = 64, 0.2
PROMPT = " Look at the picture and think step by step." * 20
SERVER = f"""
import asyncio, json
usage = {{"prompt_tokens": 5, "completion_tokens": 7}}
message = {{"role": "assistant", "content": "so the answer is 12. " * 30}}
choice = {{"message": message, "finish_reason": "stop"}}
body = json.dumps({{"model": "m", "choices": [choice], "usage": usage}})
answer = f"HTTP/1.1 200 OK\\r\\nContent-Length: {{len(body)}}\\r\\n\\r\\n{{body}}"

async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\\r\\n")[0]))
            await asyncio.sleep({LATENCY})
            writer.write(answer.encode())
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


async def bare(port: int, count: int) -> None:
    """`count` requests by hand-written HTTP over kept connections."""
    todo = iter(range(count))

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for i in todo:
            message = {"role": "user", "content": f"Question {i}.{PROMPT}"}
            body = json.dumps({"model": "m", "messages": [message], "max_tokens": 1024}).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            json.loads(await reader.readexactly(length))
        writer.close()

    await asyncio.gather(*(connection() for _ in range(IN_FLIGHT)))


def ours(port: int, count: int) -> tuple[float, float]:
    """Seconds of `count` requests with an empty log, and of the same ones from the log."""
    config = EndpointConfig(url=f"http://127.0.0.1:{port}/v1", max_in_flight=IN_FLIGHT)
    requests = [ChatRequest("m", f"Question {i}.{PROMPT}") for i in range(count)]
    seconds = []
    with (
        tempfile.TemporaryDirectory() as folder,
        RequestLog(Path(folder) / "log") as log,
        EndpointClient(config, log) as client,
    ):
        for _ in range(2):
            start = time.perf_counter()
            outcomes = client.complete(requests)
            seconds.append(time.perf_counter() - start)
            assert all(isinstance(outcome, ChatReply) for outcome in outcomes)
        assert client.sent == count
    return seconds[0], seconds[1]


def measure(port: int, rounds: int, count: int) -> dict[str, float]:
    """Medians over alternating rounds."""
    ratios, theirs, times, replays = [], [], [], []
    for _ in range(rounds):
        start = time.perf_counter()
        asyncio.run(bare(port, count))
        theirs.append(time.perf_counter() - start)
        seconds, again = ours(port, count)
        times.append(seconds)
        replays.append(again)
        ratios.append(seconds / theirs[-1])
    return {
        "requests": count,
        "bare_seconds": round(statistics.median(theirs), 3),
        "client_seconds": round(statistics.median(times), 3),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_lowest": round(min(ratios), 3),
        "ratio_highest": round(max(ratios), 3),
        "replay_seconds": round(statistics.median(replays), 3),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1280)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        found = measure(int(server.stdout.readline()), arguments.rounds, arguments.requests)
    finally:
        server.terminate()
        server.wait()
    if arguments.json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{name:16} {value:g}" for name, value in found.items()))
    return int(found["ratio"] > MOST)


if __name__ == "__main__":
    sys.exit(main())
