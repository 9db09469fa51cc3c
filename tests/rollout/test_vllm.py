"""The vLLM engine: errors and clearing up without vLLM; a real server where an interpreter has it."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from vision_r1.core.errors import InputError
from vision_r1.models.load import load_model
from vision_r1.models.tiny import shipped
from vision_r1.problems.tiny_world import FAMILIES, random_problem
from vision_r1.rollout import guard
from vision_r1.rollout.config import Sampling, VLLMSettings
from vision_r1.rollout.engine import InProcessEngine
from vision_r1.rollout.request import Request
from vision_r1.rollout.vllm_server import PYTHON, VLLMEngine, last_words, server_environment
from vision_r1.teachers.prompts import shipped_prompts
from vision_r1.teachers.request_log import RequestLog


@pytest.fixture
def log(tmp_path):
    with RequestLog(tmp_path / "requests.sqlite") as log:
        yield log


def fake_vllm(folder: Path, body: str) -> str:
    """An interpreter whose vLLM server does `body`."""
    package = folder / "site" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    for level in (package, package.parent, package.parent.parent):
        (level / "__init__.py").touch()
    (package / "api_server.py").write_text(textwrap.dedent(body))
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={folder / "site"} exec {sys.executable} "$@"\n')
    script.chmod(0o755)
    return str(script)


SERVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
import subprocess
name = sys.argv[sys.argv.index("--served-model-name") + 1]
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)

class Handler(BaseHTTPRequestHandler):
    def _send(self, body):
        data = json.dumps(body).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(data))); self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        self._send({"data": [{"id": name}]})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert body["model"] == name
        self._send({"choices": [{"message": {"content": "four"}, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 7, "completion_tokens": 2}})

HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


def test_without_vllm_the_error_names_the_variable(log, random_model_dir, monkeypatch):
    monkeypatch.delenv(PYTHON, raising=False)
    with pytest.raises(InputError, match=f"vLLM is not installed.*{PYTHON}"):
        VLLMEngine(random_model_dir, log).__enter__()
    monkeypatch.setenv(PYTHON, "/nowhere/python")
    with pytest.raises(InputError, match="not a Python interpreter that runs"):
        VLLMEngine(random_model_dir, log).__enter__()


def test_a_folder_without_a_model_is_refused(log, tmp_path):
    with pytest.raises(InputError, match="not a model directory"):
        VLLMEngine(tmp_path, log)


def test_a_server_that_ends_is_told_with_its_last_words(log, tmp_path, random_model_dir, monkeypatch):
    monkeypatch.setenv(PYTHON, fake_vllm(tmp_path, "raise SystemExit('ValueError: no such dtype')"))
    with pytest.raises(InputError, match="no such dtype"):
        VLLMEngine(random_model_dir, log).__enter__()


def test_the_last_words_name_the_cause():
    printed = """
        (APIServer pid=1) WARNING 11-21 [x.py:1] this can cause errors like `OSError: [Errno 24]`
        (EngineCore pid=2) ERROR 11-21 [core.py:9] Traceback (most recent call last):
        (EngineCore pid=2) ERROR 11-21 [core.py:9] ValueError: no room for the cache
        (EngineCore pid=2) Traceback (most recent call last):
        (APIServer pid=1)   File "a.py", line 3
        (APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.
    """
    told = last_words(textwrap.dedent(printed))
    assert (
        told.startswith("ValueError: no room")
        and "RuntimeError: Engine core" in told
        and "Errno 24" not in told
    )
    pydantic = (
        "pydantic_core._pydantic_core.ValidationError: 1 error for ModelConfig\n  Value error, too long"
    )
    assert "too long" in last_words(pydantic)
    usage = "usage: x\n  [y]\n  [z]\napi_server.py: error: unrecognized arguments: --no"
    assert last_words(usage) == "api_server.py: error: unrecognized arguments: --no"
    assert last_words("a\nb\x1b[0m") == "a | b [0m" and last_words("") == "it printed nothing"


def test_a_server_that_never_answers_is_given_up_and_ended(log, tmp_path, random_model_dir, monkeypatch):
    body = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)"
    monkeypatch.setenv(PYTHON, fake_vllm(tmp_path, body))
    with pytest.raises(InputError, match=r"not ready after 3 s.*start_seconds"):
        VLLMEngine(random_model_dir, log, VLLMSettings(start_seconds=3.0)).__enter__()
    pid = int((tmp_path / "vllm.log").read_text().split()[1])
    assert not psutil.pid_exists(pid)


def test_the_server_answers_and_is_gone_with_its_children(log, tmp_path, random_model_dir, monkeypatch):
    monkeypatch.setenv(PYTHON, fake_vllm(tmp_path, SERVER))
    with VLLMEngine(random_model_dir, log) as engine:
        trace = engine.complete([Request("r", "What is two plus two?")], Sampling(), 0)[0]
        child = int((tmp_path / "vllm.log").read_text().split()[1])
        assert psutil.pid_exists(child)
    assert (trace.text, trace.tokens, trace.prompt_tokens, trace.model) == ("four", 2, 7, engine.name)
    assert gone(child)


def gone(pid: int, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_a_killed_process_leaves_no_server_behind(tmp_path):
    """SIGKILL gives no chance to clear up: the guard does."""
    sleeper = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    parent = textwrap.dedent(f"""
        import subprocess, sys, time
        subprocess.Popen([sys.executable, "-I", {guard.__file__!r}, sys.executable, "-c", {sleeper!r}],
                         stdin=subprocess.PIPE, start_new_session=True)
        time.sleep(600)
    """)
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
    pid = int(process.stdout.readline())
    assert psutil.pid_exists(pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert gone(pid)


def test_a_server_that_dies_leaves_no_children():
    sleeper = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)"
    command = [sys.executable, "-I", guard.__file__, sys.executable, "-c", sleeper]
    # Not read through a pipe: the child would hold it open.
    with tempfile.TemporaryFile() as output:
        ended = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output)
        assert ended.wait(30) == 0
        output.seek(0)
        pid = int(output.read())
    ended.stdin.close()
    assert gone(pid)


def test_the_server_is_kept_off_the_network_and_off_our_packages():
    own = {"PYTHONPATH": "/ours", PYTHON: "/theirs/bin/python", "HOME": "/h"}
    found = server_environment(own)
    assert "PYTHONPATH" not in found and found["HOME"] == "/h"
    assert found["HF_HUB_OFFLINE"] == found["VLLM_NO_USAGE_STATS"] == "1"
    assert server_environment({"PYTHONPATH": "/ours"})["PYTHONPATH"] == "/ours"


@pytest.mark.vllm
@pytest.mark.skipif(not os.environ.get(PYTHON), reason=f"{PYTHON} names no interpreter with vLLM")
def test_greedy_through_vllm_is_greedy_in_this_process(log, monkeypatch):
    """The same weights, prompts and pictures: the texts agree but for ties in rounding."""
    import numpy as np

    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    generator = np.random.default_rng(7)
    families = sorted(FAMILIES)
    problems = [random_problem(generator, FAMILIES[families[i % len(families)]], "test") for i in range(20)]
    # The shipped teacher writes long texts for the second kind of prompt, short ones for the first.
    requests = [Request(f"direct{i}", p.prompt, p.media) for i, p in enumerate(problems)]
    requests += [
        Request(f"long{i}", shipped_prompts("tiny").pseudo_cot(p.prompt, None), p.media)
        for i, p in enumerate(problems)
    ]
    sampling = Sampling(max_new_tokens=200)
    settings = VLLMSettings(dtype="float32", max_model_len=1024, images=2, arguments=("--enforce-eager",))
    ours = InProcessEngine(load_model("tiny:teacher")).complete(requests, sampling, 0)
    with VLLMEngine(shipped("teacher"), log, settings) as engine:
        served = engine.complete(requests, sampling, 0)
        drawn = engine.complete(requests[20:24], Sampling(max_new_tokens=40, temperature=1.0, n=4), 1)
        sent = engine._engine.client.sent
        assert engine.complete(requests, sampling, 0) == served and engine._engine.client.sent == sent
    print(f"{sum(t.tokens for t in ours) / len(ours):.1f} tokens a text")
    same = sum(a.text == b.text for a, b in zip(ours, served, strict=True))
    print(f"{same} of {len(ours)} greedy texts are equal")
    for a, b in zip(ours, served, strict=True):
        if a.text != b.text:
            print(repr(a.text), repr(b.text), sep="\n")
    assert [t.prompt_tokens for t in served] == [t.prompt_tokens for t in ours]
    assert same >= 36 and sum(t.tokens for t in ours[20:]) > 20 * 20
    assert all((a.tokens, a.stop_reason) == (b.tokens, b.stop_reason)
               for a, b in zip(ours, served, strict=True) if a.text == b.text)  # fmt: skip
    assert len({t.text for t in drawn}) > 4
