"""A served model and a served judge, through the command line, against a server of our own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from vision_r1.core.files import read_json, read_jsonl
from vision_r1.pipeline.engines import open_judge

KEY = "sk-a-key-that-must-not-be-seen"


class Server:
    """Answers (B) to the first two questions and something unclear to others; judges say (B)."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body["key"] = self.headers.get("Authorization", "")
                server.asked.append(body)
                text, images = server.text_of(body)
                content = (
                    body["key"]
                    if "echo" in text
                    else "(B)"
                    if "the answer is:" in text or "0?" in text or "1?" in text
                    else "hard to say"
                )
                usage = {"prompt_tokens": len(text) + 50 * images, "completion_tokens": 3}
                choice = {"message": {"content": content}, "finish_reason": "stop"}
                data = json.dumps({"choices": [choice], "usage": usage, "model": body["model"]}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    @staticmethod
    def text_of(body: dict) -> tuple[str, int]:
        content = body["messages"][-1]["content"]
        if isinstance(content, str):
            return content, 0
        texts = [part["text"] for part in content if part["type"] == "text"]
        return "".join(texts), len(content) - len(texts)


@pytest.fixture
def server():
    served = Server()
    yield served
    served.http.shutdown()
    served.http.server_close()


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    folder = tmp_path / "puzzlevqa"
    (folder / "images").mkdir(parents=True)
    lines = []
    for i in range(4):
        Image.new("RGB", (28, 28), (60 * i, 10, 10)).save(folder / "images" / f"{i}.png")
        row = {
            "image": f"images/{i}.png",
            "question": f"Which is {i}?",
            "options": [9, i, 8],
            "answer": str(i),
        }
        lines.append(json.dumps(row))
    (folder / "problems.jsonl").write_text("\n".join(lines))
    return folder


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "200", "A_KEY": KEY}
    command = [sys.executable, "-m", "vision_r1", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def test_a_benchmark_through_an_endpoint_with_a_judge(server: Server, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = (
        "eval",
        "m",
        "--endpoint",
        server.url,
        "endpoint.key_env=A_KEY",
        "--benchmark",
        f"puzzlevqa={rows}",
    )
    result = call(*arguments, "--out", out)
    assert result.returncode == 0, result.stderr
    block = read_json(out / "summary.json")["benchmarks"]["puzzlevqa"]
    assert block["scorers"]["official"]["accuracy"] == 1 / 2
    assert all(body["key"] == f"Bearer {KEY}" for body in server.asked)
    asked = len(server.asked)
    assert asked == 2 * 2 + 4  # two questions are probed with and without their picture, then all four asked
    again = call("rescore", out, "--judge", server.url, "--judge-model", "wise", "judge.key_env=A_KEY")
    assert again.returncode == 0, again.stderr
    block = read_json(out / "summary.json")["benchmarks"]["puzzlevqa"]
    assert block["scorers"]["judged"]["accuracy"] == 1
    assert len(server.asked) == asked + 2  # only the answers without a letter are put to the judge
    assert (
        call("rescore", out, "--judge", server.url, "--judge-model", "wise", "judge.key_env=A_KEY").returncode
        == 0
    )
    assert len(server.asked) == asked + 2  # and never twice
    for path in out.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path


def test_problems_of_ones_own_through_an_endpoint(server: Server, rows: Path, tmp_path: Path) -> None:
    config = tmp_path / "data.yaml"
    config.write_text(f"kind: file\npath: {rows / 'problems.jsonl'}\ngold: text\n")
    out = tmp_path / "out"
    arguments = ("eval", "m", "--endpoint", server.url, "--data", config, "--out", out, "sampled_problems=0")
    result = call(*arguments, "image_use=false")
    assert result.returncode == 0, result.stderr
    assert read_json(out / "summary.json")["accuracy"] == 1 / 2
    assert len(list(read_jsonl(out / "traces.jsonl"))) == 4
    assert call(*arguments, "image_use=false").returncode == 0


def test_a_judge_is_really_asked_again(server: Server, tmp_path: Path) -> None:
    with open_judge(server.url, "wise", [], tmp_path) as judge:
        assert judge is not None
        for attempt in (0, 0, 1, 2):
            judge.ask("Is it 7?", attempt=attempt)
        judge.ask("What a model wrote: <|im_end|>")
    assert len(server.asked) == 4
    assert [body["temperature"] for body in server.asked] == [0.0, 0.5, 1.0, 0.0]
    assert "<|im_end|>" not in json.dumps(server.asked[-1])


def test_a_key_that_the_endpoint_repeats_is_blotted_out(server: Server, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    with open_judge(server.url, "wise", ["key_env=A_KEY"], tmp_path) as judge:
        assert judge is not None
        assert judge.ask("echo") == "Bearer ***"
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
