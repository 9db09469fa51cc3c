"""What the client of construction costs: ours against a bare asyncio socket client, alternating, medians.

    python benchmarks/construct.py [--rounds 3] [--requests 2000] [--json]

A server in a process of its own answers each request after 200 ms. Every request has a prompt and an image
of 14 KB of its own. The bare client encodes the image, writes HTTP by hand over kept connections and parses
the JSON of the answer. Ours also names every request by its content, stores the image, sets aside what the
request may cost, adapts its pace, and writes every answer to the log before it hands it over. As in a
construction, images were decoded once before, when their set was read. Two more arms with 256: both read
their images from files; and ours has not seen the images before, so that each is decoded on its way. Exits
with 1 above 1.10 times the bare client's time with 64 requests under way, or 1.35 times with 256. The server
is at an address that nothing exempts from settings of the environment (proxies, netrc), where there is one.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from vision_r1.problems.images import BytesImage, FileImage, StoredImage
from vision_r1.problems.seen import SeenImages
from vision_r1.teachers.chat import ChatReply, ChatRequest
from vision_r1.teachers.config import EndpointConfig, RoleConfig
from vision_r1.teachers.request_log import RequestLog
from vision_r1.teachers.served import Teachers

MOST = {64: 1.10, 256: 1.35}
MOST_LOG_BYTES = 2048  # for a request, beside the images
HOST = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
SIZE = (70, 66)  # of an image, in pixels
PROMPT = " Look at the picture and think step by step."
# A protocol rather than streams: the server must not be what limits either client.
SERVER = """
import asyncio, json, sys
usage = {"prompt_tokens": 5, "completion_tokens": 7}
message = {"role": "assistant", "content": "so the answer is 12. " * 20}
body = json.dumps({"model": "m", "choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})
head = f"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
answer = (head + body).encode()

class Serve(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.seen, self.wanted = transport, bytearray(), 0

    def data_received(self, data):
        self.seen += data
        if not self.wanted:
            head, found, _ = bytes(self.seen).partition(b"\\r\\n\\r\\n")
            if not found:
                return
            length = head.lower().split(b"content-length:")[1].split(b"\\r\\n")[0]
            self.wanted = len(head) + 4 + int(length)
        if len(self.seen) >= self.wanted:
            del self.seen[:self.wanted]
            self.wanted = 0
            asyncio.get_running_loop().call_later(0.2, self.transport.write, answer)

async def main():
    server = await asyncio.get_running_loop().create_server(Serve, sys.argv[1], 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


def images(count: int) -> list[bytes]:
    """Different PNG files of 14 KB."""
    rng = np.random.default_rng(0)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.png"
        for _ in range(count):
            Image.fromarray(rng.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)).save(path)
            found.append(path.read_bytes())
    return found


def stored(files: list[bytes], folder: Path | None, work: Path, *, seen: bool) -> list[StoredImage]:
    """Images of a table, or of files where there is a folder; `seen` as construction sees those of a set."""
    found: list[StoredImage] = [
        FileImage(folder, f"{index}.png", f"row {index}") if folder else BytesImage(data, f"row {index}")
        for index, data in enumerate(files)
    ]
    if seen:
        with SeenImages(work / "seen.sqlite", looks_wanted=False, say=print) as look:
            faults = [fault for fault in look.faults(found) if fault is not None]
        assert not faults, faults[0]
    return found


async def bare(port: int, files: list[bytes], in_flight: int, folder: Path | None) -> None:
    """One request for each image by hand-written HTTP over kept connections."""
    todo = iter(enumerate(files))

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        for i, image in todo:
            data = (folder / f"{i}.png").read_bytes() if folder else image
            url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
            content = [
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "text", "text": f"Question {i}.{PROMPT}"},
            ]
            message = {"role": "user", "content": content}
            body = json.dumps({"model": "m", "messages": [message], "max_tokens": 1024}).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            json.loads(await reader.readexactly(length))
        writer.close()

    await asyncio.gather(*(connection() for _ in range(in_flight)))


def ours(
    port: int, files: list[bytes], in_flight: int, folder: Path | None, *, seen: bool = True
) -> tuple[float, float, float]:
    """Seconds with an empty log and from the log, and the log's bytes for one request, images apart."""
    endpoint = EndpointConfig(url=f"http://{HOST}:{port}/v1", max_in_flight=in_flight)
    roles = {"mllm": RoleConfig(model="m", endpoints=(endpoint,))}
    seconds = []
    with tempfile.TemporaryDirectory() as work:
        requests = [
            ChatRequest("m", f"Question {i}.{PROMPT}", media=(image,))
            for i, image in enumerate(stored(files, folder, Path(work), seen=seen))
        ]
        path = Path(work) / "log.sqlite"
        with RequestLog(path) as log, Teachers(roles, log) as teachers:

            async def drive() -> list[object]:
                todo, outcomes = iter(requests), []

                async def work() -> None:
                    for request in todo:
                        outcome = await teachers.answer("mllm", request)
                        outcomes.append(outcome)

                # As construction does it: more tasks than slots, so that there is always one to send.
                await asyncio.gather(*(work() for _ in range(2 * in_flight)))
                return outcomes

            for _ in range(2):
                start = time.perf_counter()
                outcomes = teachers.run(drive)
                seconds.append(time.perf_counter() - start)
                assert len(outcomes) == len(files)
                assert all(isinstance(outcome, ChatReply) for outcome in outcomes)
            sent = teachers.status().endpoints[0].traffic.sent
            assert sent == len(files), f"{sent} sent for {len(files)} requests"
        # Closed, so that the write-ahead log is in it.
        size = path.stat().st_size
    return seconds[0], seconds[1], size / len(files)


def measure(port: int, rounds: int, count: int, folder: Path) -> dict[str, object]:
    """Medians over alternating rounds."""
    files = images(count)
    for i, data in enumerate(files):
        (folder / f"{i}.png").write_bytes(data)
    asyncio.run(bare(port, files[:64], 64, None))  # both are measured warm
    ours(port, files[:64], 64, None)
    seconds: dict[str, float] = {}
    found: dict[str, object] = {"requests": count, "rounds": rounds}
    sizes = []
    for name, (in_flight, place, seen) in {
        "64": (64, None, True),
        "256": (256, None, True),
        "256_files": (256, folder, True),
        "256_unseen": (256, None, False),
    }.items():
        theirs, mine, replays = [], [], []
        for _ in range(rounds):
            start = time.perf_counter()
            asyncio.run(bare(port, files, in_flight, place))
            theirs.append(time.perf_counter() - start)
            first, again, size = ours(port, files, in_flight, place, seen=seen)
            mine.append(first)
            replays.append(again)
            sizes.append(size)
        ratios = [own / bare for own, bare in zip(mine, theirs, strict=True)]
        found[f"ratio_{name}"] = round(statistics.median(ratios), 3)
        found[f"ratios_{name}"] = [round(ratio, 3) for ratio in ratios]
        for what, each in {"bare": theirs, "ours": mine, "from_log": replays}.items():
            seconds[f"{what}_{name}"] = round(statistics.median(each), 3)
    found["seconds"] = seconds
    found["log_bytes_per_request"] = round(max(sizes))
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    server = subprocess.Popen([sys.executable, "-c", SERVER, HOST], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        with tempfile.TemporaryDirectory() as folder:
            found = measure(port, arguments.rounds, arguments.requests, Path(folder))
    finally:
        server.terminate()
        server.wait()
    print(json.dumps(found) if arguments.json else json.dumps(found, indent=2))
    slow = any(found[f"ratio_{in_flight}"] > most for in_flight, most in MOST.items())
    return int(slow or found["log_bytes_per_request"] > MOST_LOG_BYTES)


if __name__ == "__main__":
    sys.exit(main())
